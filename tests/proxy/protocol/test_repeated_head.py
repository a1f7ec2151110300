"""Whatever heads came before, each is read as if it were the first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.repeated_head import REMEMBERED_BYTES, HeadReader
from proxy.protocol.request_error import RequestError
from proxy.protocol.request_head import RequestHead, parse_request_head

FIELDS = b"Host: a\r\nUser-Agent: b\r\n\r\n"

STARTS = [
    b"GET /", b"GET /x", b"POST /x", b"GET http://b/x", b"OPTIONS *", b"GET *", b"GET", b"GET ", b" /", b"", b"GET  /",
    b"GET / ", b"CONNECT a:80", b"GET http://", b"GET /x HTTP/1.1\r\nX: y", b"GET / HTTP/1.1\r\nHost: b\r\nX:",
    b"GET /\x00", b"GET /\xff",
]  # fmt: skip
RESTS = [
    b" HTTP/1.1\r\n" + FIELDS,
    b" HTTP/1.0\r\n" + FIELDS,
    b" HTTP/1.1\r\nConnection: close\r\n" + FIELDS,
    b" HTTP/1.1\r\nContent-Length: 5\r\n" + FIELDS,
    b" HTTP/1.1\r\nHost: c\r\n" + FIELDS,
    b" HTTP/1.1\r\nX: " + b"x" * REMEMBERED_BYTES + b"\r\n" + FIELDS,
    b" HTTP/1.1\r\n\r\n",
    b" HTTP/1.0\r\n\r\n",
]


def outcome(read: RequestHead | RequestError) -> object:
    return (read.status, read.text) if isinstance(read, RequestError) else read


def read_alone(head: bytes) -> object:
    try:
        return parse_request_head(head, max_headers=3)
    except RequestError as error:
        return outcome(error)


def read_next(reader: HeadReader, head: bytes) -> object:
    try:
        return reader.read(head)
    except RequestError as error:
        return outcome(error)


@given(heads=st.lists(st.builds(bytes.__add__, st.sampled_from(STARTS), st.sampled_from(RESTS)), max_size=5))
def test_what_came_before_changes_nothing(heads: list[bytes]) -> None:
    reader = HeadReader(max_headers=3)
    for head in heads:
        assert read_next(reader, head) == read_alone(head)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("rest", RESTS)
def test_any_head_is_read_after_any_other(start: bytes, rest: bytes) -> None:
    for before in RESTS:
        reader = HeadReader(max_headers=3)
        read_next(reader, b"GET /before" + before)
        assert read_next(reader, start + rest) == read_alone(start + rest)


def test_the_same_bytes_are_the_same_head() -> None:
    reader = HeadReader(max_headers=3)
    head = reader.read(b"GET / HTTP/1.1\r\n" + FIELDS)
    assert reader.read(b"GET / HTTP/1.1\r\n" + FIELDS) is head


def test_the_same_lines_are_the_same_headers() -> None:
    reader = HeadReader(max_headers=3)
    first = reader.read(b"GET / HTTP/1.1\r\n" + FIELDS)
    second = reader.read(b"POST /longer HTTP/1.1\r\n" + FIELDS)
    assert (second.method, second.target) == (b"POST", b"/longer")
    assert second.headers is first.headers
    assert reader.read(b"GET / HTTP/1.0\r\n" + FIELDS).headers is not first.headers


def test_a_large_head_is_forgotten_and_so_is_the_one_before() -> None:
    """The length of the target counts, too."""
    reader = HeadReader(max_headers=3)
    small, rest = b"GET / HTTP/1.1\r\n" + FIELDS, b" HTTP/1.1\r\n" + FIELDS
    for size, is_remembered in ((REMEMBERED_BYTES, True), (REMEMBERED_BYTES + 1, False)):
        reader.read(small)
        large = b"GET /".ljust(size - len(rest), b"x") + rest
        head = reader.read(large)
        assert (reader.last is head) is is_remembered
        assert reader.is_last(large) is is_remembered
        assert not reader.is_last(small)
        assert (reader.read(large) is head) is is_remembered


@pytest.mark.parametrize(
    ("head", "is_last"),
    [
        (b"GET / HTTP/1.1\r\n" + FIELDS, True),
        (b"POST / HTTP/1.1\r\nContent-Length: 0\r\n" + FIELDS, True),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\n" + FIELDS, False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + FIELDS, False),
    ],
)
def test_a_request_without_a_body_is_known_again_when_it_comes_alone(head: bytes, is_last: bool) -> None:
    reader = HeadReader(max_headers=3)
    assert not reader.is_last(b"")
    assert not reader.is_last(head)
    reader.read(head)
    assert reader.is_last(head) is is_last
    assert not reader.is_last(b"")
    assert not reader.is_last(head + b"G")
    assert not reader.is_last(head[:-1])
    reader.read(b"GET /other HTTP/1.1\r\n" + FIELDS)
    assert not reader.is_last(head)
