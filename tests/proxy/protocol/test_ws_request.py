"""The requests that carry a WebSocket over HTTP: what goes along of the client's headers, and what only we may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import Headers
from proxy.protocol.request_head import parse_request_head
from proxy.protocol.ws_events import EVENTS_TYPE
from proxy.protocol.ws_exchange import EventsRequest, Meta
from proxy.protocol.ws_request import (
    events_headers,
    is_events,
    one_request_headers,
    pack_headers,
    rejection_headers,
    unpack_headers,
)
from tests.proxy.protocol.sound_requests import Sound, sound_requests

OURS = (
    (b"Accept", EVENTS_TYPE),
    (b"Connection-Id", b"id-1"),
    (b"Content-Type", EVENTS_TYPE),
    (b"Sec-WebSocket-Extensions", b"grip"),
)
REQUEST = EventsRequest(body=b"", replayed=0, meta=(), is_last=False)


def events_headers_of(headers: Headers) -> Headers:
    return events_headers(headers, connection_id=b"id-1", extension=b"grip")


def folded(name: bytes) -> bytes:
    """Return what CGI and WSGI make of a name: to them letter case, `-` and `_` are the same."""
    return b"HTTP_" + name.upper().replace(b"-", b"_")


# -- what all requests of a connection have -----------------------------------------------------------------------


def test_the_clients_headers_come_first_as_they_stood() -> None:
    headers = ((b"host", b"a"), (b"COOKIE", b"\xff"), (b"Sec-WebSocket-Key", b"k"), (b"sec-websocket-protocol", b"p"))
    assert events_headers_of(headers) == headers + OURS


def test_without_an_extension_none_is_offered() -> None:
    assert events_headers((), connection_id=b"id-1", extension=None) == OURS[:3]


@pytest.mark.parametrize(
    "name",
    [
        b"Accept", b"Connection-Id", b"Content-Type", b"Content-Bytes-Replayed", b"Sec-WebSocket-Extensions",
        b"Meta-User", b"Meta-",
    ],
)  # fmt: skip
@pytest.mark.parametrize("disguise", [bytes, bytes.upper, bytes.lower, lambda name: name.replace(b"-", b"_")])
def test_what_only_we_may_say_is_not_the_clients_to_say(name: bytes, disguise: object) -> None:
    assert callable(disguise)
    assert events_headers_of(((b"A", b"1"), (disguise(name), b"forged"), (b"B", b"2"))) == (
        (b"A", b"1"), (b"B", b"2"), *OURS,
    )  # fmt: skip


@pytest.mark.parametrize("name", [b"Accept-Language", b"Accepted", b"X-Meta-User", b"Metadata", b"Meta", b"Connection"])
def test_what_is_only_alike_passes(name: bytes) -> None:
    assert events_headers_of(((name, b"x"),))[0] == (name, b"x")


@given(st.lists(st.tuples(st.text("MmEeTtAa-_Xx", min_size=1).map(str.encode), st.just(b"forged"))))
def test_no_spelling_of_a_name_becomes_one_of_ours_behind_cgi(headers: list[tuple[bytes, bytes]]) -> None:
    found = events_headers_of(tuple(headers))
    ours = {folded(name) for name, _ in OURS}
    for name, value in found:
        assert value != b"forged" or not (folded(name) in ours or folded(name).startswith(b"HTTP_META_"))


# -- what differs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replayed", "meta", "grip_sig", "added"),
    [
        (0, (), None, ()),
        (0, (), b"sig", ((b"Grip-Sig", b"sig"),)),
        (7, (), None, ((b"Content-Bytes-Replayed", b"7"),)),
        (0, ((b"User", b"alice"), (b"x", b"")), None, ((b"Meta-User", b"alice"), (b"Meta-x", b""))),
        (1, ((b"a", b"b"),), b"s", ((b"Grip-Sig", b"s"), (b"Content-Bytes-Replayed", b"1"), (b"Meta-a", b"b"))),
    ],
)
def test_each_request_has_what_belongs_to_it_behind_the_rest(
    replayed: int, meta: Meta, grip_sig: bytes | None, added: Headers
) -> None:
    request = EventsRequest(body=b"x", replayed=replayed, meta=meta, is_last=False)
    assert one_request_headers(OURS, request, grip_sig=grip_sig) == OURS + added


# -- which answers are about events -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [EVENTS_TYPE, b"Application/WebSocket-Events"])
def test_an_answer_is_about_events_by_its_type(value: bytes) -> None:
    assert is_events(200, ((b"CONTENT-type", value),))


@pytest.mark.parametrize(
    ("status", "values"),
    [
        (201, [EVENTS_TYPE]), (204, [EVENTS_TYPE]), (206, [EVENTS_TYPE]), (502, [EVENTS_TYPE]),
        (200, []), (200, [b""]), (200, [b"text/plain"]), (200, [EVENTS_TYPE + b"; charset=utf-8"]),
        (200, [EVENTS_TYPE, EVENTS_TYPE]), (200, [EVENTS_TYPE, b"text/plain"]), (200, [b"x" + EVENTS_TYPE]),
    ],
)  # fmt: skip
def test_no_other_answer_is(status: int, values: list[bytes]) -> None:
    assert not is_events(status, tuple((b"Content-Type", value) for value in values))


def test_a_refused_client_is_not_told_of_our_extension() -> None:
    headers = ((b"A", b"1"), (b"sec-websocket-EXTENSIONS", b"grip"), (b"Sec-WebSocket-Version", b"13"))
    assert rejection_headers(headers) == (headers[0], headers[2])


# -- packed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [(), ((b"A", b""),), ((b"A", b":"), (b"B", b"c:d")), ((b"a", b"\xff\x80\t "), (b"A", b"\xe2\x80\xa8\x85"))],
)
def test_what_was_packed_is_unpacked(headers: Headers) -> None:
    assert unpack_headers(pack_headers(headers)) == headers


@given(sound_requests())
def test_any_headers_of_a_request_that_is_let_through_are_packed_without_loss(request: Sound) -> None:
    headers = parse_request_head(request.head_bytes, max_headers=200).headers
    assert unpack_headers(pack_headers(headers)) == headers
    carried = events_headers_of(headers)
    assert unpack_headers(pack_headers(carried)) == carried


def test_packing_takes_a_fraction_of_the_memory() -> None:
    headers = tuple((b"X-Header-%d" % number, b"value %d" % number) for number in range(20))
    objects = sum(value.__sizeof__() for pair in headers for value in (pair, *pair))
    assert pack_headers(headers).__sizeof__() < objects / 4
