"""Forms: pairs in order, and what is malformed in a body or dropped from a query string (reference 1.3, 1.7)."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.mercure.form import MAX_PAIRS, first_value, parse_form, values_of


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("data", "pairs"),
    [
        (b"", ()),
        (b"&", ()),
        (b"&&a=1&&b=2&", (("a", "1"), ("b", "2"))),
        (b"a", (("a", ""),)),
        (b"a=", (("a", ""),)),
        (b"=a", (("", "a"),)),
        (b"a=b=c", (("a", "b=c"),)),
        (b"a=1&b=2&a=3", (("a", "1"), ("b", "2"), ("a", "3"))),
        (b"a+b=c+d", (("a b", "c d"),)),
        (b"a=%2B%26%3D%3b%25zz", (("a", "+&=;%zz"),)),
        (b"%6datch=a", (("match", "a"),)),
        (b"a=caf%C3%a9", (("a", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),)),
        ("a=\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), (("a", "\N{LATIN SMALL LETTER E WITH ACUTE}"),)),
        (b"a=%ff\xfe", (("a", "\udcff\udcfe"),)),
        (b"a=%ed%a0%80", (("a", "\udced\udca0\udc80"),)),
        (b"a=%00", (("a", "\0"),)),
    ],
)
def test_pairs_come_decoded_and_in_order(data: bytes, strict: bool, pairs: tuple[tuple[str, str], ...]) -> None:
    assert parse_form(data, strict=strict) == pairs


@pytest.mark.parametrize("pair", [b"a=%zz", b"%zz=1", b"%zz", b"a=%", b"a=%4", b"a=%4%41", b"a;b", b"a=b;c=d", b";"])
def test_p11_s25_a_malformed_pair_spoils_a_body_and_is_dropped_from_a_query(pair: bytes) -> None:
    data = b"x=1&" + pair + b"&y=2"
    assert parse_form(data, strict=False) == (("x", "1"), ("y", "2"))
    with pytest.raises(ValueError, match="malformed pair"):
        parse_form(data, strict=True)


def test_of_a_malformed_pair_the_beginning_of_its_name_is_told() -> None:
    name = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.a.b"
    with pytest.raises(ValueError, match="malformed pair") as caught:
        parse_form(name.encode() + b";", strict=True)
    assert str(caught.value) == f"malformed pair in a form: {name[:20].encode()!r}", "it may be a token"


def test_a_body_has_a_bounded_number_of_pairs() -> None:
    most = b"&".join([b"a"] * MAX_PAIRS)
    assert len(parse_form(most, strict=True)) == MAX_PAIRS
    with pytest.raises(ValueError, match="more than"):
        parse_form(most + b"&a", strict=True)


def test_values_are_found_by_name() -> None:
    pairs = parse_form(b"a=1&b=2&a=3&A=4", strict=True)
    assert (first_value(pairs, "a"), first_value(pairs, "c")) == ("1", None)
    assert (values_of(pairs, "a"), values_of(pairs, "c")) == (("1", "3"), ())


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


@given(pairs=st.lists(st.tuples(TEXT, TEXT), max_size=6), strict=st.booleans())
def test_what_others_encode_is_read_back(pairs: list[tuple[str, str]], strict: bool) -> None:
    assert parse_form(urlencode(pairs).encode(), strict=strict) == tuple(pairs)


@given(data=st.lists(st.sampled_from([b"a", b"%", b"41", b"&", b";", b"=", b"+", b"\xff"])).map(b"".join))
def test_where_a_strict_reading_succeeds_a_lenient_one_says_the_same(data: bytes) -> None:
    lenient = parse_form(data, strict=False)
    try:
        assert parse_form(data, strict=True) == lenient
    except ValueError:
        assert len(lenient) < len(data.split(b"&"))
