from __future__ import annotations

from pathlib import Path

import pytest

from handlers.errors import InvalidSetting
from handlers.secret import read_secret


@pytest.mark.parametrize(("text", "secret"), [("", b""), ("é", "é".encode()), ("base64:AP8Q", b"\x00\xff\x10")])
def test_a_secret_in_the_settings_is_as_it_stands(text: str, secret: bytes) -> None:
    assert read_secret("key", text, minimum=32) == secret


@pytest.mark.parametrize("content", [b" k\xff\n", b" k\xff", b" k\xff \r\n\n"])
def test_white_space_at_the_end_of_a_file_is_not_part_of_the_secret(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)

    assert read_secret("key", f"file:{tmp_path / 'key'}") == b" k\xff"


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "key"

    with pytest.raises(InvalidSetting, match=rf"^key: {path} cannot be read: No such file or directory$"):
        read_secret("key", f"file:{path}")


def test_a_file_has_to_hold_as_much_as_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("abc\n")

    assert read_secret("key", f"file:{path}", minimum=3) == b"abc"
    with pytest.raises(InvalidSetting, match=rf"^key: {path} has 3 bytes, expected at least 4$"):
        read_secret("key", f"file:{path}", minimum=4)
