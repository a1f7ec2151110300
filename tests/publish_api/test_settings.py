from __future__ import annotations

from typing import Any

import pytest

from handlers.errors import InvalidSetting
from handlers.protocol.address import Address
from handlers.protocol.unix_address import UnixAddress
from publish_api.settings import MetricsSettings, PublishSettings


def test_the_port_is_on_loopback_unless_told_otherwise() -> None:
    assert PublishSettings().address == Address(host="127.0.0.1", port=5561)


def test_it_may_be_a_unix_socket() -> None:
    assert PublishSettings(listen="unix:/run/p?mode=600").address == UnixAddress(path="/run/p", mode=0o600)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"listen": "unix:"}, r"^listen: 'unix:' is not a Unix socket"),
        ({"listen": "unix:/a?b"}, r"^listen: 'unix:/a\?b' is not a Unix socket"),
        ({"tls_key": "a"}, r"^tls_key: is set although tls_cert is empty$"),
        ({"listen": "unix:/a", "tls_cert": "a", "tls_key": "a"}, r"^tls_cert: there is no TLS on a Unix socket$"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidSetting, match=error):
        PublishSettings(**changes)


@pytest.mark.parametrize("text", ["", "localhost", "h:", "h:x", "h:65536", "::1:5561", "h:-1", "h:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^listen: .* is not an address: "):
        PublishSettings(listen=text)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("short", "^jwt_key: expected at least 32 bytes, got 5$"),
        ("base64:AAAA", "^jwt_key: expected at least 32 bytes, got 3$"),
        ("base64:*", "^jwt_key: what follows base64: is not base64$"),
    ],
)
def test_a_key_that_cannot_sign_is_refused(key: str, error: str) -> None:
    with pytest.raises(InvalidSetting, match=error):
        PublishSettings(jwt_key=key)


def test_a_token_that_is_not_base64_is_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"^token: what follows base64: is not base64$"):
        PublishSettings(token="base64:*")


def test_secrets_do_not_show_in_logs() -> None:
    assert "hidden" not in repr(PublishSettings(token="hidden", jwt_key="hidden" * 6))


def test_metrics_have_no_port_of_their_own_unless_told() -> None:
    assert MetricsSettings().address is None
    assert MetricsSettings(listen=":9000").address == Address(host=None, port=9000)
    with pytest.raises(InvalidSetting, match=r"^listen: .* is not an address: "):
        MetricsSettings(listen="x")
