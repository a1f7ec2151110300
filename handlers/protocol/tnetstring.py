"""Tagged netstrings: `LENGTH:DATA` and a letter that says of what type, as Pushpin's ZeroMQ sockets speak them.

Called by whoever reads or writes ZeroMQ messages (reference 6.2, 7.1, 7.3). What a value means is elsewhere. What is
written is canonical; what is read may have leading zeros in a length, and bytes behind it, as the reference allows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from handlers.protocol.fields import encode_field

Value: TypeAlias = "bytes | int | float | bool | list[Value] | dict[str, Value] | None"
"""What is read. Text comes as bytes, as the format has no other; keys of a map are UTF-8."""

Encodable: TypeAlias = "str | bytes | int | float | bool | Sequence[Encodable] | Mapping[str, Encodable] | None"
"""What can be written: text is written as its UTF-8 bytes."""

DEPTH_LIMIT = 100
"""Lists and maps that may be within one another: more than any item has, and less than Python's stack."""

LENGTH_DIGITS = 10
"""Digits a length may have."""

BYTES, INTEGER, FLOAT, BOOLEAN, NULL, MAP, LIST = b",#^!~}]"

_INTEGER = re.compile(rb"[+-]?[0-9]{1,19}")
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_BOOLEANS = {b"true": True, b"false": False}


class TnetStringError(ValueError):
    """Bytes are no tagged netstring. `str(error)` says why, without quoting them."""


def parse_tnetstring(data: bytes) -> tuple[Value, bytes]:
    """Read the value that `data` begins with; return it and the bytes behind it.

    Of equal keys of a map the last one counts. Integers have 64 bits, floats are finite. Raises TnetStringError.
    """
    try:
        value, end = _parse(data, 0, len(data), DEPTH_LIMIT)
    except UnicodeDecodeError as error:
        raise TnetStringError("a key is not UTF-8") from error
    return value, data[end:]


def encode_tnetstring(value: Encodable) -> bytes:
    """Encode a value; text that was bytes of no encoding (surrogates) is those again.

    Raises ValueError for a float that is not finite.
    """
    match value:
        case str():
            return _tagged(encode_field(value), BYTES)
        case bytes():
            return _tagged(value, BYTES)
        case bool():  # before int, which it is
            return _tagged(b"true" if value else b"false", BOOLEAN)
        case int():
            return _tagged(b"%d" % value, INTEGER)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{value} cannot be written")
            return _tagged(repr(value).encode(), FLOAT)
        case None:
            return b"0:~"
        case Sequence():
            return _tagged(b"".join([encode_tnetstring(each) for each in value]), LIST)
        case Mapping():
            return _tagged(
                b"".join([encode_tnetstring(key) + encode_tnetstring(each) for key, each in value.items()]), MAP
            )


def _tagged(data: bytes, tag: int) -> bytes:
    return b"%d:%b%c" % (len(data), data, tag)


def _parse(data: bytes, position: int, end: int, depth: int) -> tuple[Value, int]:
    """Read the value at `position`; return it and where it ends, which is not behind `end`."""
    begin = data.find(b":", position, position + LENGTH_DIGITS + 1) + 1
    if not begin:
        raise TnetStringError("no length")
    stop = begin + _LENGTHS[data[position : begin - 1]]
    if stop >= end:
        raise TnetStringError("ends early")
    return _parse_tagged(data, begin, stop, depth), stop + 1


def _parse_tagged(data: bytes, begin: int, stop: int, depth: int) -> Value:
    """Read the value whose data is from `begin` to `stop`, where its tag is."""
    tag = data[stop]
    if tag == BYTES:
        return data[begin:stop]
    if tag not in {MAP, LIST}:
        return _parse_scalar(data[begin:stop], tag)
    if not depth:
        raise TnetStringError("nested too deep")
    return (_parse_map if tag == MAP else _parse_list)(data, begin, stop, depth - 1)


def _parse_list(data: bytes, position: int, end: int, depth: int) -> list[Value]:
    values: list[Value] = []
    while position < end:
        value, position = _parse(data, position, end, depth)
        values.append(value)
    return values


def _parse_map(data: bytes, position: int, end: int, depth: int) -> dict[str, Value]:
    """Read the pairs from `position` to `end`. Maps are what items are made of: without calls it takes half as long."""
    values: dict[str, Value] = {}
    while position < end:
        begin = data.find(b":", position, position + LENGTH_DIGITS + 1) + 1
        if not begin:
            raise TnetStringError("no length")
        stop = begin + _LENGTHS[data[position : begin - 1]]
        if stop >= end or data[stop] != BYTES:
            raise TnetStringError("a key is not a string" if stop < end else "ends early")
        key = data[begin:stop].decode()
        position = stop + 1
        begin = data.find(b":", position, position + LENGTH_DIGITS + 1) + 1
        if not begin:
            raise TnetStringError("no length")
        stop = begin + _LENGTHS[data[position : begin - 1]]
        if stop >= end:
            raise TnetStringError("ends early")
        values[key] = data[begin:stop] if data[stop] == BYTES else _parse_tagged(data, begin, stop, depth)
        position = stop + 1
    return values


def _parse_scalar(data: bytes, tag: int) -> Value:
    match tag:
        case _ if tag == INTEGER and _INTEGER.fullmatch(data) and -(2**63) <= int(data) < 2**63:
            return int(data)
        case _ if tag == FLOAT and _FLOAT.fullmatch(data) and math.isfinite(float(data)):
            return float(data)
        case _ if tag == BOOLEAN and data in _BOOLEANS:
            return _BOOLEANS[data]
        case _ if tag == NULL and not data:
            return None
        case _:
            raise TnetStringError("a value does not fit its type")


class _Lengths(dict[bytes, int]):
    """Digits -> the number they are. The short ones are there: a look-up costs a third of reading them."""

    def __missing__(self, digits: bytes) -> int:
        if not digits.isdigit():
            raise TnetStringError("no length")
        return int(digits)


_LENGTHS = _Lengths((b"%d" % number, number) for number in range(1000))
