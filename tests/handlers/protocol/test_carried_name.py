"""Names of channels that are text nowhere else but here: all there and back, and no two become one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.carried_name import carry, is_text, show, show_bytes, uncarry
from handlers.protocol.fields import decode_field

NAMES = st.binary(max_size=6) | st.lists(st.sampled_from([b"\0", b"a", b"\xff", b"\xc3", b"\xa4"])).map(b"".join)


@pytest.mark.parametrize("name", ["", "a", "\u00e4", "a\0", "\U0001f600*"])
def test_text_is_carried_as_it_is(name: str) -> None:
    assert carry(name) == uncarry(name) == show(name) == name


@pytest.mark.parametrize(
    ("name", "carried", "shown", "as_bytes"),
    [
        (b"a\xff", "\0a\xff", "a\ufffd", "Yf8="),
        (b"\xc3\xa4\xfe", "\0\xc3\xa4\xfe", "\u00e4\ufffd", "w6T+"),
        (b"\0a", "\0\0a", "\0a", "AGE="),
    ],
)
def test_what_is_no_text_is_carried_as_its_bytes(name: bytes, carried: str, shown: str, as_bytes: str) -> None:
    channel = decode_field(name)
    assert (carry(channel), show(channel), show_bytes(channel)) == (carried, shown, as_bytes)


@given(NAMES, NAMES)
def test_no_two_names_become_one(one: bytes, other: bytes) -> None:
    names = decode_field(one), decode_field(other)
    carried = tuple(map(carry, names))
    assert tuple(map(uncarry, carried)) == names
    assert (carried[0] == carried[1]) == (one == other)
    assert all(each.encode().decode() == each for each in carried)


@given(st.text())
def test_whatever_is_handed_in_is_a_name(carried: str) -> None:
    uncarry(carried)


@given(NAMES)
def test_a_name_is_text_if_it_is_utf_8(name: bytes) -> None:
    try:
        name.decode()
    except UnicodeDecodeError:
        assert not is_text(decode_field(name))
    else:
        assert is_text(decode_field(name))
