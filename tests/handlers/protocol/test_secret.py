from __future__ import annotations

import pytest

from handlers.errors import InvalidSetting
from handlers.protocol.secret import Secret, SecretFile, parse_secret


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("", Secret(value=b"")),
        ("é", Secret(value="é".encode())),
        ("base64:AP8Q", Secret(value=b"\x00\xff\x10")),
        ("file:/a/b", SecretFile(path="/a/b")),
    ],
)
def test_a_secret_is_text_or_base64_or_in_a_file(text: str, secret: Secret | SecretFile) -> None:
    assert parse_secret("key", text) == secret


@pytest.mark.parametrize("text", ["base64:", "base64:===="])
def test_one_that_is_written_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^key: (nothing follows base64:|what follows base64: is not base64)$"):
        parse_secret("key", text)


@pytest.mark.parametrize("text", ["base64:*", "base64:é", "base64:AAAAA"])
def test_what_is_not_base64_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^key: what follows base64: is not base64$"):
        parse_secret("key", text)


def test_what_is_not_utf8_is_refused_without_being_shown() -> None:
    with pytest.raises(InvalidSetting, match=r"^key: is not UTF-8$"):
        parse_secret("key", "\udcff")


def test_a_secret_does_not_show_in_logs() -> None:
    assert "hidden" not in repr(parse_secret("key", "hidden"))
