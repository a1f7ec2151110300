"""`[proxy]`: the defaults, and the values that only the section itself can refuse."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_type_hints

import msgspec
import pytest

from handlers.errors import InvalidSetting
from handlers.protocol.address import Address
from handlers.protocol.unix_address import UnixAddress
from proxy.settings import ProxySettings

HINTS = get_type_hints(ProxySettings, include_extras=True)


@pytest.mark.parametrize(("key", "value"), asdict(ProxySettings()).items())
def test_a_default_is_within_its_own_bounds(key: str, value: object) -> None:
    assert msgspec.convert(value, HINTS[key]) == value


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"listen": ()}, "listen: expected at least one address"),
        ({"listen": (":80", "nowhere")}, "listen: 'nowhere' is not an address"),
        ({"routes": ""}, "routes: expected the path of the routes file"),
        ({"x_forwarded_for": ("prepend",)}, "x_forwarded_for: expected 'append' or 'truncate:N', got 'prepend'"),
        ({"x_forwarded_for": ("truncate:-1",)}, "x_forwarded_for: expected 'append' or 'truncate:N'"),
        ({"x_forwarded_for_trusted": ("append ",)}, "x_forwarded_for_trusted: expected 'append' or 'truncate:N'"),
        ({"x_forwarded_for": ("append", "append")}, "x_forwarded_for: 'append' and 'truncate:N' can be given once"),
        ({"x_forwarded_for": ("truncate:1", "truncate:2")}, "x_forwarded_for: 'append' and 'truncate:N' can be given"),
        ({"orig_headers_need_mark": ("X-A:",)}, "orig_headers_need_mark: expected names of headers, got 'X-A:'"),
        ({"cdn_loop": "a, b"}, "cdn_loop: expected one token"),
        ({"cdn_loop": "a\r\nX: y"}, "cdn_loop: expected one token"),
        ({"sig_key": "secret", "sig_iss": ""}, "sig_iss: is empty although sig_key is set"),
    ],
)
def test_what_no_type_can_refuse_is_refused_with_its_key_in_front(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^[a-z_]+: ") as caught:
        ProxySettings(**changes)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"x_forwarded_for": ("truncate:0", "append")},
        {"cdn_loop": "holdfast"},
        {"cdn_loop": "cdn.example; v=1"},
        {"orig_headers_need_mark": ("X-Forwarded-For", "host")},
        {"sig_key": "secret"},
        {"sig_iss": ""},
    ],
)
def test_sensible_values_are_accepted(changes: dict[str, Any]) -> None:
    settings = asdict(ProxySettings(**changes))
    assert {key: settings[key] for key in changes} == changes


def test_addresses_are_parsed_in_their_order() -> None:
    settings = ProxySettings(
        listen=("80", "[::1]:81"), tls_listen=("[::1]:82", ":83"), unix_listen=("/a?mode=600", "/b")
    )
    assert settings.addresses == (Address(host=None, port=80), Address(host="::1", port=81))
    assert settings.tls_addresses == (Address(host="::1", port=82), Address(host=None, port=83))
    assert settings.unix_addresses == (UnixAddress(path="/a", mode=0o600), UnixAddress(path="/b"))


@pytest.mark.parametrize("doors", [{"tls_listen": ("443",)}, {"unix_listen": ("/a",)}])
def test_it_may_listen_elsewhere_alone(doors: dict[str, Any]) -> None:
    assert ProxySettings(listen=(), **doors).addresses == ()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"listen": ()}, r"^listen: expected at least one address, here or in tls_listen or unix_listen$"),
        ({"tls_listen": ("a b:1",)}, r"^tls_listen: 'a b:1' is not an address"),
        ({"unix_listen": ("/a?x=1",)}, r"^unix_listen: '/a\?x=1' is not a Unix socket"),
        ({"tls_certs": ""}, r"^tls_certs: expected the path of a folder$"),
    ],
)
def test_what_nobody_can_listen_on_is_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidSetting, match=error):
        ProxySettings(**changes)


def test_keys_are_not_shown_when_the_settings_are() -> None:
    assert "hush" not in repr(ProxySettings(sig_key="hush", upstream_key="hush"))


@pytest.mark.parametrize(
    ("limit", "workers", "room", "clients"),
    [(0, 1, 900, 900), (500, 1, 900, 500), (1000, 1, 900, 900), (500, 4, 900, 125), (501, 4, 900, 126), (1, 4, 900, 1)],
)
def test_o08_the_limit_of_clients_is_shared_by_the_workers(limit: int, workers: int, room: int, clients: int) -> None:
    """Open files bound it in any case."""
    assert ProxySettings(connection_limit=limit, workers=workers).client_limit(room) == clients
