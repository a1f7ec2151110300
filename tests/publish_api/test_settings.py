from __future__ import annotations

import pytest

from handlers.errors import InvalidSetting
from handlers.protocol.address import Address
from publish_api.settings import PublishSettings


def test_the_port_is_on_loopback_unless_told_otherwise() -> None:
    assert PublishSettings().address == Address(host="127.0.0.1", port=5561)


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
