"""Where presence notices may go, and what has to be noted for them."""

from __future__ import annotations

import pytest

from handlers.errors import InvalidSetting
from handlers.protocol.observed import Interest
from proxy.presence.settings import PresenceSettings


@pytest.mark.parametrize(
    ("url", "is_internal", "host", "port", "path"),
    [
        ("/presence?a=b", True, "localhost", 80, b"/presence?a=b"),
        ("http://app.example:8080/p", False, "app.example", 8080, b"/p"),
        ("HTTPS://app.example", False, "app.example", 443, b"/"),
    ],
)
def test_a_path_is_for_the_routes_and_a_url_is_asked_directly(
    url: str, is_internal: bool, host: str, port: int, path: bytes
) -> None:
    settings = PresenceSettings(url=url)
    assert (settings.is_internal, settings.uri.host, settings.uri.port, settings.uri.path) == (
        is_internal, host, port, path,
    )  # fmt: skip


@pytest.mark.parametrize(
    "url", ["presence", "//host/p", "ftp://host/p", "http://", "http://user@host/", "/with space", "/\u00fc", "/a\nb"]
)
def test_what_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        PresenceSettings(url=url)
    assert caught.value.key == "url"


def test_without_a_url_nothing_is_noted() -> None:
    assert PresenceSettings().interest == Interest()
    assert PresenceSettings(url="/p", events=("connections",)).interest == Interest(connections=True)
