"""Heads and chunks as aiohttp's parsers read them back."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import (
    LAST_CHUNK,
    Headers,
    encode_chunk,
    encode_head,
    first_header,
    has_body,
    header_values,
    hop_by_hop_names,
    is_field_value,
    is_token,
    standard_reason,
    without_headers,
)
from tests.handlers.protocol.reading import NAMES, REASONS, VALUES, parsed

HEADERS: Headers = ((b"Vary", b"a"), (b"X-One", b"1"), (b"vary", b"b, c"), (b"VARY", b""))

# -- headers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values"),
    [(b"vary", (b"a", b"b, c", b"")), (b"x-one", (b"1",)), (b"x", ()), (b"var", ())],
)
def test_values_of_a_header_come_in_order_whatever_its_letter_case(name: bytes, values: tuple[bytes, ...]) -> None:
    assert header_values(HEADERS, name) == values
    assert first_header(HEADERS, name) == (values[0] if values else None)


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ((), HEADERS),
        ((b"vary",), ((b"X-One", b"1"),)),
        (frozenset((b"x-one", b"other")), (HEADERS[0], HEADERS[2], HEADERS[3])),
        ((b"vary", b"x-one"), ()),
    ],
)
def test_headers_go_by_name_whatever_their_letter_case(names: tuple[bytes, ...], left: Headers) -> None:
    assert without_headers(HEADERS, names) == left


def test_the_names_in_connection_are_hop_by_hop_but_for_what_the_next_hop_needs() -> None:
    headers = ((b"Connection", b"close, X-Hop"), (b"X", b"1"), (b"connection", b"Host ,content-length, X-Two"))
    names = hop_by_hop_names(headers)
    assert {b"x-hop", b"x-two", b"close", b"connection", b"keep-alive", b"transfer-encoding"} <= names
    assert not names & {b"host", b"content-length", b"x"}


@pytest.mark.parametrize("name", [b"A", b"x-1", b"!#$%&'*+-.^_`|~", b"0"])
def test_a_token_may_be_a_headers_name(name: bytes) -> None:
    assert is_token(name)


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\n", b"\x00", b"a\x7f", "é".encode(), b"(a)", b'"a"'])
def test_anything_else_may_not(name: bytes) -> None:
    assert not is_token(name)


@given(st.binary(max_size=4))
def test_a_field_value_holds_no_control_character_but_the_tab(value: bytes) -> None:
    assert is_field_value(value) is all(byte == 9 or 32 <= byte != 127 for byte in value)


# -- heads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "status", "reason", "headers", "head"),
    [
        (b"1.1", 200, b"OK", (), b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"1.0", 404, b"", (), b"HTTP/1.0 404 \r\n\r\n"),
        (b"1.1", 200, b"OK", HEADERS[:2], b"HTTP/1.1 200 OK\r\nVary: a\r\nX-One: 1\r\n\r\n"),
        (b"1.1", 200, b"OK", ((b"x-EMPTY", b""),), b"HTTP/1.1 200 OK\r\nx-EMPTY: \r\n\r\n"),
    ],
)
def test_a_head_is_written_as_its_parts_stand(
    version: bytes, status: int, reason: bytes, headers: Headers, head: bytes
) -> None:
    assert encode_head(version=version, status=status, reason=reason, headers=headers) == head


@given(
    version=st.sampled_from([b"1.0", b"1.1"]),
    status=st.integers(min_value=200, max_value=999),
    reason=REASONS,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=8),
)
def test_aiohttp_reads_a_head_back(
    version: bytes, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    framed = [*headers, (b"Content-Length", b"0")]
    data = encode_head(version=version, status=status, reason=reason, headers=framed)
    message, body, rest = parsed(data)
    assert (message.version.major, message.version.minor) == (1, int(version[-1:]))
    assert (message.code, message.reason.encode()) == (status, reason)
    assert message.raw_headers == tuple(framed)
    assert (body, rest) == (b"", b"")


# -- chunks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "chunk"),
    [
        (b"", b""),
        (b"a", b"1\r\na\r\n"),
        (b"x" * 10, b"a\r\nxxxxxxxxxx\r\n"),
        (b"x" * 256, b"100\r\n" + b"x" * 256 + b"\r\n"),
        (b"\r\n0\r\n\r\n", b"7\r\n\r\n0\r\n\r\n\r\n"),
    ],
)
def test_a_chunk_has_its_length_in_front(data: bytes, chunk: bytes) -> None:
    assert encode_chunk(data) == chunk


@given(pieces=st.lists(st.binary(max_size=300), max_size=10))
def test_aiohttp_reads_chunks_back_and_only_the_last_ends_the_body(pieces: list[bytes]) -> None:
    head = encode_head(version=b"1.1", status=200, reason=b"OK", headers=((b"Transfer-Encoding", b"chunked"),))
    _, body, rest = parsed(head + b"".join(map(encode_chunk, pieces)) + LAST_CHUNK)
    assert (body, rest) == (b"".join(pieces), b"")


# -- bodies and reasons ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        (b"GET", 200, True),
        (b"HEAD", 200, False),
        (b"head", 200, True),
        (b"", 200, True),
        (b"GET", 100, False),
        (b"GET", 199, False),
        (b"GET", 204, False),
        (b"GET", 205, True),
        (b"GET", 304, False),
        (b"POST", 500, True),
    ],
)
def test_an_answer_has_a_body_unless_the_standard_says_otherwise(method: bytes, status: int, expected: bool) -> None:
    assert has_body(method=method, status=status) is expected


@pytest.mark.parametrize(("status", "reason"), [(200, b"OK"), (418, b"I'm a Teapot"), (599, b"Undefined Reason")])
def test_a_reason_is_the_registered_one(status: int, reason: bytes) -> None:
    assert standard_reason(status) == reason


def test_every_registered_reason_is_ascii() -> None:
    assert all(standard_reason(status).isascii() for status in HTTPStatus)
