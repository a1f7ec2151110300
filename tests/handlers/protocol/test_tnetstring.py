from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.tnetstring import (
    DEPTH_LIMIT,
    TnetStringError,
    Value,
    encode_tnetstring,
    parse_tnetstring,
)

CASES: list[tuple[Value, bytes]] = [
    (b"", b"0:,"),
    (b"hello", b"5:hello,"),
    (b"a:b,c\x00\xff", b"7:a:b,c\x00\xff,"),
    (b"x" * 1000, b"1000:" + b"x" * 1000 + b","),
    (0, b"1:0#"),
    (-12, b"3:-12#"),
    (2**63 - 1, b"19:9223372036854775807#"),
    (-(2**63), b"20:-9223372036854775808#"),
    (1.5, b"3:1.5^"),
    (-1e300, b"7:-1e+300^"),
    (True, b"4:true!"),
    (False, b"5:false!"),
    (None, b"0:~"),
    ([], b"0:]"),
    ([b"a", 1, [None]], b"14:1:a,1:1#3:0:~]]"),
    ({}, b"0:}"),
    ({"channel": b"c", "no-seq": True}, b"30:7:channel,1:c,6:no-seq,4:true!}"),
    ({"ü": {"": [{}]}}, b"17:2:\xc3\xbc,9:0:,3:0:}]}}"),
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary(max_size=1200),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("value", "data"), CASES, ids=range(len(CASES)))
def test_a_value_has_its_bytes_and_they_are_that_value(value: Value, data: bytes) -> None:
    assert encode_tnetstring(value) == data
    parsed, rest = parse_tnetstring(data)
    assert (parsed, rest) == (value, b"")
    assert type(parsed) is type(value)


@pytest.mark.parametrize("data", [data for _, data in CASES], ids=range(len(CASES)))
def test_a_value_that_is_not_all_there_is_none(data: bytes) -> None:
    for length in range(min(len(data), 60)):
        with pytest.raises(TnetStringError, match=r"^(ends early|no length)$"):
            parse_tnetstring(data[:length])
    with pytest.raises(TnetStringError):
        parse_tnetstring(data[:-1])


@pytest.mark.parametrize(("value", "data"), CASES, ids=range(len(CASES)))
def test_what_stands_behind_a_value_is_given_back(value: Value, data: bytes) -> None:
    assert parse_tnetstring(data + b"\n5:x") == (value, b"\n5:x")


def test_text_is_written_as_its_bytes() -> None:
    assert encode_tnetstring({"a": "ü"}) == b"9:1:a,2:\xc3\xbc,}"
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert encode_tnetstring(name) == b"4:caf\xe9,"
    assert encode_tnetstring({name: name}) == b"14:4:caf\xe9,4:caf\xe9,}"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"03:abc,", b"abc"),
        (b"0000000003:abc,", b"abc"),
        (b"2:+5#", 5),
        (b"3:1e3^", 1000.0),
        (b"1:5^", 5.0),
        (b"2:.5^", 0.5),
        (b"23:1:a,1:1#1:a,1:2#1:b,0:~}", {"a": 2, "b": None}),
    ],
)
def test_other_ways_to_write_it_are_read_too(data: bytes, value: Value) -> None:
    assert parse_tnetstring(data) == (value, b"")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no length"),
        (b"x", "no length"),
        (b"abc:x,", "no length"),
        (b":x,", "no length"),
        (b"-1:x,", "no length"),
        (b"+1:x,", "no length"),
        (b" 1:x,", "no length"),
        (b"1 :x,", "no length"),
        (b"1_0:0123456789,", "no length"),
        ("\N{ARABIC-INDIC DIGIT ONE}:x,".encode(), "no length"),
        (b"00000000001:x,", "no length"),
        (b"99999999999999999999:x,", "no length"),
        (b"9999999999:x,", "ends early"),
        (b"1:x", "ends early"),
        (b"3:9:x}", "ends early"),
        (b"1:x?", "a value does not fit its type"),
        (b"1:x#", "a value does not fit its type"),
        (b"0:#", "a value does not fit its type"),
        (b"2: 5#", "a value does not fit its type"),
        (b"3:1_0#", "a value does not fit its type"),
        (b"3:1.0#", "a value does not fit its type"),
        (b"19:9223372036854775808#", "a value does not fit its type"),
        (b"20:-9223372036854775809#", "a value does not fit its type"),
        (b"40:" + b"1" * 40 + b"#", "a value does not fit its type"),
        (b"3:nan^", "a value does not fit its type"),
        (b"3:inf^", "a value does not fit its type"),
        (b"5:1e999^", "a value does not fit its type"),
        (b"1:x^", "a value does not fit its type"),
        (b"3:yes!", "a value does not fit its type"),
        (b"4:True!", "a value does not fit its type"),
        (b"1:x~", "a value does not fit its type"),
        (b"4:1:x,}", "no length"),
        (b"8:1:1#1:x,}", "a key is not a string"),
        (b"8:1:\xff,1:x,}", "a key is not UTF-8"),
        (b"5:1:x,y}", "no length"),
        (b"4:1:xy]", "a value does not fit its type"),
    ],
)
def test_other_bytes_are_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(TnetStringError) as caught:
        parse_tnetstring(data)
    assert str(caught.value) == why


def test_values_may_be_nested_so_deep_and_no_deeper() -> None:
    def nested(depth: int, tag: bytes) -> bytes:
        data = b"0:" + tag
        for _ in range(depth - 1):
            data = (b"0:," if tag == b"}" else b"") + data
            data = b"%d:%b%b" % (len(data), data, tag)
        return data

    for tag in (b"]", b"}"):
        parse_tnetstring(nested(DEPTH_LIMIT, tag))
        with pytest.raises(TnetStringError, match="nested too deep"):
            parse_tnetstring(nested(DEPTH_LIMIT + 1, tag))
        with pytest.raises(TnetStringError, match="nested too deep"):
            parse_tnetstring(nested(20_000, tag))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_not_finite_cannot_be_written(number: float) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        encode_tnetstring([number])


@given(values, st.binary(max_size=8))
def test_every_value_survives_the_way_there_and_back(value: Value, tail: bytes) -> None:
    assert parse_tnetstring(encode_tnetstring(value) + tail) == (value, tail)


@given(st.binary(max_size=60) | st.text("0123456789:,#^!~}]tea.-", max_size=60).map(str.encode))
def test_any_bytes_are_a_value_or_the_error(data: bytes) -> None:
    try:
        value, rest = parse_tnetstring(data)
    except TnetStringError:
        return
    assert parse_tnetstring(encode_tnetstring(value)) == (value, b"")
    assert data.endswith(rest)


@given(values, st.data())
def test_a_byte_changed_anywhere_is_a_value_or_the_error(value: Value, data: st.DataObject) -> None:
    encoded = bytearray(encode_tnetstring(value))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TnetStringError):
        parse_tnetstring(bytes(encoded))
