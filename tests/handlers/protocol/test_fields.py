from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.fields import (
    decode_base64,
    decode_field,
    encode_field,
    encode_list,
    encode_parameters,
    escape_cstring,
    parameter,
    parse_pairs,
    parse_parameters,
    printable,
    split_list,
    unescape_cstring,
)

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
PARAMETERS = st.lists(st.tuples(NAMES, st.text()), max_size=4).map(tuple)
FIRSTS = st.from_regex(r"[a-zA-Z0-9/:%é]([a-zA-Z0-9/:% é]*[a-zA-Z0-9/:%é])?", fullmatch=True)


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ("", ()),
        (" , ,", ()),
        ("a", ("a",)),
        ("a,b ,\tc d\t", ("a", "b", "c d")),
        ('"a,b", c', ('"a,b"', "c")),
        (r'"a\",b", c', (r'"a\",b"', "c")),
        ('a; x="1,2", b', ('a; x="1,2"', "b")),
        ('a="unterminated, b', ('a="unterminated, b',)),
        ('"a\\', ('"a\\',)),
        ("</a?q=1,2>; rel=next, </b>; rel=gone", ("</a?q=1,2>; rel=next", "</b>; rel=gone")),
        (' </a,"b>, c', ('</a,"b>', "c")),
        ("a<b, c>d", ("a<b", "c>d")),
        ("<a, b", ("<a", "b")),
    ],
)
def test_a_list_is_split_at_bare_commas(value: str, elements: tuple[str, ...]) -> None:
    assert split_list(value) == elements


@pytest.mark.parametrize(
    ("text", "first", "parameters"),
    [
        ("", "", ()),
        ("a b", "a b", ()),
        ('"q"', '"q"', ()),
        ("a;", "a", ()),
        ("; prev-id=1", "", (("prev-id", "1"),)),
        ("a; b=1;b = 2 ; c", "a", (("b", "1"), ("b", "2"), ("c", ""))),
        ('a; b="x;y"; c="q \\"z\\" \\\\"', "a", (("b", "x;y"), ("c", 'q "z" \\'))),
        ('a; b="x"tail; c=d"e', "a", (("b", "x"), ("c", 'd"e'))),
        ('a; b="open; c=1', "a", (("b", "open; c=1"),)),
        ("a; =x; b=c=d", "a", (("b", "c=d"),)),
        ("</n;v=1?a,b>; rel=next", "</n;v=1?a,b>", (("rel", "next"),)),
        ("<n; rel=next", "<n", (("rel", "next"),)),
        ("event: x\\n\\n; format=cstring", "event: x\\n\\n", (("format", "cstring"),)),
    ],
)
def test_parameters_follow_a_raw_first_item(text: str, first: str, parameters: tuple[tuple[str, str], ...]) -> None:
    assert parse_parameters(text) == (first, parameters)


def test_pairs_are_parameters_without_a_first_item() -> None:
    assert parse_pairs('user="al\\"ice"; n=5; flag') == (("user", 'al"ice'), ("n", "5"), ("flag", ""))


def test_a_parameter_is_found_in_any_letter_case_and_the_first_one_counts() -> None:
    parameters = (("Prev-ID", "1"), ("prev-id", "2"))
    assert parameter(parameters, "prev-id") == "1"
    assert parameter(parameters, "timeout") is None


@given(FIRSTS, PARAMETERS)
def test_encoded_parameters_parse_back(first: str, parameters: tuple[tuple[str, str], ...]) -> None:
    assert parse_parameters(encode_parameters(first, parameters)) == (first, parameters)


@given(st.lists(st.tuples(FIRSTS, PARAMETERS)))
def test_encoded_parameters_stay_one_element_of_a_list(entries: list[tuple[str, tuple[tuple[str, str], ...]]]) -> None:
    elements = tuple(encode_parameters(*entry) for entry in entries)
    assert tuple(parse_parameters(element) for element in split_list(encode_list(elements))) == tuple(entries)


@given(st.text(alphabet='a,;="<>\\ \t'))
def test_any_text_splits_and_parses(text: str) -> None:
    for element in split_list(text):
        assert element == element.strip(" \t") != ""
        parse_parameters(element)


@given(st.binary())
def test_any_header_bytes_survive_decoding(value: bytes) -> None:
    assert encode_field(decode_field(value)) == value


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (rb"", b""),
        (rb"plain", b"plain"),
        (rb"a\r\nb", b"a\r\nb"),
        (rb"\\n", b"\\n"),
        (rb"\\\\", b"\\\\"),
        (rb"\x41\xfF\x00", b"A\xff\x00"),
        (rb"a\qb", b"ab"),
        (rb"\x4100", b"A00"),
    ],
)
def test_a_cstring_is_unescaped(text: bytes, data: bytes) -> None:
    assert unescape_cstring(text) == data


@pytest.mark.parametrize("text", [b"a\\", rb"\\\\" + b"\\", rb"\x", rb"\x4", rb"\xg0", rb"\x 1"])
def test_a_broken_escape_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"backslash|hexadecimal"):
        unescape_cstring(text)


@given(st.binary())
def test_an_escaped_cstring_is_visible_ascii_and_unescapes_back(data: bytes) -> None:
    text = escape_cstring(data)
    assert unescape_cstring(text) == data
    assert all(0x20 < byte < 0x7F for byte in text)
    assert b";" not in text


@given(st.binary(), st.sampled_from(["strict", "unpadded", "wrapped"]))
def test_base64_decodes_as_libraries_write_it(data: bytes, style: str) -> None:
    text = base64.encodebytes(data) if style == "wrapped" else base64.b64encode(data)
    assert decode_base64(text.decode().rstrip("=") if style == "unpadded" else text.decode()) == data


@pytest.mark.parametrize("text", ["a", "ab_-", "é", "ab=c", "!!!!", "\udcff"])
def test_what_is_not_base64_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the standard library's
        decode_base64(text)


@given(st.text(st.characters()))
def test_printable_text_can_be_encoded(text: str) -> None:
    assert printable(text).encode().decode().isprintable()
