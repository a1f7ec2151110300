from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.field_lines import FIELD_LINES, explain_field_lines, find_stray
from proxy.protocol.request_error import Refusal


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"", None),
        (b"a: b\r\n\tc\xff\r\n", None),
        (b"a\r", None),  # its LF may be on its way
        (b"a\rb", Refusal.BARE_CR),
        (b"a\r\r\n", Refusal.BARE_CR),
        (b"\na", Refusal.BARE_LF),
        (b"\r\n\na", Refusal.BARE_LF),
        (b"\x00", Refusal.NUL),
        (b"\x1b", Refusal.CONTROL),
        (b"\x7f", Refusal.CONTROL),
        (b"\x7f\x00\n", Refusal.CONTROL),  # the first decides
    ],
)
def test_the_first_byte_that_fits_no_line_is_named(data: bytes, refusal: Refusal | None) -> None:
    assert find_stray(data, 0, len(data)) is refusal
    assert find_stray(bytearray(data), 0, len(data)) is refusal


def test_a_search_may_go_on_where_the_last_one_ended() -> None:
    assert find_stray(b"a\r\nb", 2, 4) is None
    assert find_stray(b"a\r\nb\n", 0, 4) is None
    assert find_stray(b"a\r\nb\n", 4, 5) is Refusal.BARE_LF


@given(st.lists(st.binary(max_size=8), max_size=4))
def test_a_section_is_sound_or_explained(lines: list[bytes]) -> None:
    section = b"".join(line + b"\r\n" for line in lines if line) + b"\r\n"
    if re.fullmatch(FIELD_LINES, section):
        assert find_stray(section, 0, len(section)) is None
    elif find_stray(section, 0, len(section)) is None:
        assert isinstance(explain_field_lines(section[:-4].split(b"\r\n")), Refusal)
