"""What text the protocol allows, how Go would quote it, and the beginnings that patterns are filed under."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.mercure.text import (
    ANCHOR_LENGTH,
    SLASHES,
    is_plain_text,
    is_utf8,
    quote_go,
    slash_prefixes,
)

REFUSED = "\x00\n\x1f\x7f\x80\x85\x9f\u00ad\u200b\u200d\u200e\u202e\u2060\ufeff\U0001343f\U000e0001\ud800\udc80\udfff"
PLAIN = " ~\xa0\xae\u2028\u3000\u200a\ufffd\ue000\U0001f600\U0010ffff"


@pytest.mark.parametrize("character", REFUSED, ids=ascii)
def test_s14_p09_control_and_format_characters_are_refused_wherever_they_stand(character: str) -> None:
    assert not is_plain_text(character)
    assert not is_plain_text(f"a{character}b")


@pytest.mark.parametrize("character", PLAIN, ids=ascii)
def test_s14_p09_other_characters_are_plain(character: str) -> None:
    assert is_plain_text(f"a{character}b")


def test_s14_exactly_the_protocol_s_characters_are_refused() -> None:
    # Of newer Unicode than this Python's: U+13439 to U+1343F.
    newer = range(0x13439, 0x13440)
    wrong = [
        hex(code)
        for code in range(sys.maxunicode + 1)
        if code not in newer and is_plain_text(chr(code)) is (unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs"})
    ]
    assert not wrong
    assert not any(is_plain_text(chr(code)) for code in newer)


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (b"", True),
        (b"a\x00b\n", True),
        ("é€😀\u200b".encode(), True),
        (b"a\x80b", False),
        (b"\xc0\xaf", False),
        (b"\xed\xa0\x80", False),
        (b"\xe2\x82", False),
    ],
    ids=ascii,
)
def test_s14_bytes_that_are_no_utf8_are_known_by_their_surrogates(data: bytes, valid: bool) -> None:
    text = data.decode(errors="surrogateescape")
    assert is_utf8(text) is valid
    assert valid or not is_plain_text(text)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\x00b", r'"a\x00b"'),
        (b"", '""'),
        (b'say "hi"\\', r'"say \"hi\"\\"'),
        (b"\a\b\f\n\r\t\v'", r'''"\a\b\f\n\r\t\v'"'''),
        (b"\x1f\x7f", r'"\x1f\x7f"'),
        ("\x80\x9f\xa0\xad".encode(), r'"\u0080\u009f\u00a0\u00ad"'),
        ("é€😀".encode(), '"é€😀"'),
        ("\u200b\u2028\ufeff\ue000".encode(), r'"\u200b\u2028\ufeff\ue000"'),
        ("\U000e0001".encode(), r'"\U000e0001"'),
        ("\ufffd".encode(), '"\ufffd"'),
        (b"a\x80\xffb", r'"a\x80\xffb"'),
        (b"\xed\xa0\x80", r'"\xed\xa0\x80"'),
    ],
    ids=ascii,
)
def test_p09_text_is_quoted_as_go_does(data: bytes, text: str) -> None:
    assert quote_go(data.decode(errors="surrogateescape")) == text


def test_a_lone_surrogate_that_no_decoder_made_is_quoted_as_its_bytes() -> None:
    assert quote_go("\ud800") == r'"\xed\xa0\x80"'


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl"])))
def test_p09_quoted_text_can_be_sent_and_printed(value: str) -> None:
    quoted = quote_go(value)
    assert is_plain_text(quoted)
    assert quoted.isprintable()


@pytest.mark.parametrize(
    ("value", "prefixes"),
    [
        ("", ()),
        ("abc", ()),
        ("/", ("/",)),
        ("//", ("/", "//")),
        ("a/b", ("a/",)),
        ("/a/b/", ("/", "/a/", "/a/b/")),
        ("a" * (ANCHOR_LENGTH - 1) + "/", ("a" * (ANCHOR_LENGTH - 1) + "/",)),
        ("a" * ANCHOR_LENGTH + "/", ()),
        ("/" * 1000, tuple("/" * length for length in range(1, SLASHES + 1))),
    ],
)
def test_beginnings_end_in_a_slash_and_are_few(value: str, prefixes: tuple[str, ...]) -> None:
    assert slash_prefixes(value) == prefixes


@given(st.text("a/", max_size=40), st.text("a/", max_size=300))
def test_the_beginnings_of_a_beginning_are_among_those_of_the_whole(beginning: str, rest: str) -> None:
    assert slash_prefixes(beginning + rest)[: len(slash_prefixes(beginning))] == slash_prefixes(beginning)
