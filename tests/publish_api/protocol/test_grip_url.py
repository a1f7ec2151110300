from __future__ import annotations

import pytest

from publish_api.errors import CommandError
from publish_api.protocol.grip_url import GripUrl, parse_grip_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:5561", GripUrl(publish_url="http://localhost:5561/publish/", is_private=True)),
        ("http://localhost:5561/", GripUrl(publish_url="http://localhost:5561/publish/", is_private=True)),
        ("http://127.0.0.2", GripUrl(publish_url="http://127.0.0.2/publish/", is_private=True)),
        ("http://[::1]:5561", GripUrl(publish_url="http://[::1]:5561/publish/", is_private=True)),
        ("http://example.com/realm/x", GripUrl(publish_url="http://example.com/realm/x/publish/", is_private=False)),
        ("https://example.com", GripUrl(publish_url="https://example.com/publish/", is_private=True)),
        (
            "https://example.com/?iss=me&key=base64:AP8Q",
            GripUrl(publish_url="https://example.com/publish/", is_private=True, iss="me", key=b"\x00\xff\x10"),
        ),
        (
            "https://example.com?key=base64:+/+/&verify-iss=x&verify-key=y",
            GripUrl(publish_url="https://example.com/publish/", is_private=True, key=b"\xfb\xff\xbf"),
        ),
        ("http://h?key=a%20b", GripUrl(publish_url="http://h/publish/", is_private=False, key=b"a b")),
    ],
)
def test_a_grip_url_says_where_to_publish_and_with_which_key(text: str, expected: GripUrl) -> None:
    assert parse_grip_url(text) == expected


NO_URL = "expected an http:// or https:// URL (to publish, also tcp:// or ipc://), got "


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", NO_URL),
        ("localhost:5561", f"{NO_URL}localhost:5561"),
        ("tcp://127.0.0.1:5560", f"{NO_URL}tcp://127.0.0.1:5560"),
        ("http://", "invalid URL: http://"),
        ("http://h:x", "invalid URL: http://h:x"),
        ("http://h:99999", "invalid URL: http://h:99999"),
        ("http://[::1", "invalid URL: http://[::1"),
        ("http://u:p@h", "give credentials with -u or -B, not in the URL"),
        ("http://h?iss=a&realm=b", "unknown parameter in URL: realm"),
        ("http://h?key=base64:*", "the key in the URL: what follows base64: is not base64"),
    ],
)
def test_any_other_url_is_refused_with_a_reason(text: str, error: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_grip_url(text)

    assert str(caught.value) == error


def test_a_key_does_not_show_in_logs() -> None:
    assert "hidden" not in repr(parse_grip_url("https://h?key=hidden"))
