"""The hub's header lines (reference 1.5, 6.2 point 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.hub.settings import Dialect, HubSettings
from handlers.protocol.http1 import Headers, is_field_value, is_token
from handlers.protocol.mercure.headers import (
    EARLIEST,
    SECURITY_HEADERS,
    STREAM_HEADERS,
    TEXT_HEADERS,
    cursor_headers,
    event_id_bytes,
)
from handlers.protocol.names import EventId


def test_o06_the_security_headers_are_the_reference_hubs() -> None:
    assert dict(SECURITY_HEADERS) == {
        b"Content-Security-Policy": b"default-src 'self'",
        b"X-Content-Type-Options": b"nosniff",
        b"X-Frame-Options": b"DENY",
        b"X-Xss-Protection": b"1; mode=block",
    }


def test_s01_a_stream_is_neither_cached_nor_buffered() -> None:
    assert dict(STREAM_HEADERS) == {
        b"Content-Type": b"text/event-stream",
        b"Cache-Control": b"private, no-cache, no-store, must-revalidate, max-age=0",
        b"Pragma": b"no-cache",
        b"Expires": b"0",
        b"X-Accel-Buffering": b"no",
    }


@pytest.mark.parametrize("headers", [SECURITY_HEADERS, STREAM_HEADERS, TEXT_HEADERS])
def test_every_line_may_stand_in_a_head(headers: Headers) -> None:
    assert all(is_token(name) and is_field_value(value) for name, value in headers)
    assert len({name.lower() for name, _ in headers}) == len(headers)


@pytest.mark.parametrize(
    ("protocols", "cursor", "headers"),
    [
        (("1.0", "8"), None, ()),
        (("1.0",), "x", ((b"Mercure-Last-Event-ID", b"x"),)),
        (("1.0", "2019"), "x", ((b"Mercure-Last-Event-ID", b"x"),)),
        (("1.0", "8"), "x", ((b"Mercure-Last-Event-ID", b"x"), (b"Last-Event-ID", b"x"))),
        (("7", "1.0"), "x", ((b"Mercure-Last-Event-ID", b"x"), (b"Last-Event-ID", b"x"))),
        (("8", "7"), "x", ((b"Last-Event-ID", b"x"),)),
        (("2019",), "x", ()),
        (("1.0",), EARLIEST, ((b"Mercure-Last-Event-ID", b"earliest"),)),
        (("1.0",), 'my id é"x', ((b"Mercure-Last-Event-ID", 'my id é"x'.encode()),)),
    ],
)
def test_the_cursor_is_told_in_every_dialect_that_is_spoken(
    protocols: tuple[Dialect, ...], cursor: str | None, headers: Headers
) -> None:
    event_id = None if cursor is None else EventId(cursor)
    assert cursor_headers(event_id, HubSettings(protocols=protocols)) == headers


@pytest.mark.parametrize(
    ("event_id", "value"),
    [
        ("urn:uuid:1", b"urn:uuid:1"),
        ('a%20 "\\é\u2028', 'a%20 "\\é\u2028'.encode()),
        ("a\r\nb\x00\x7f", b"a%0D%0Ab%00%7F"),
        ("\ud800", b"?"),
    ],
)
def test_an_id_is_told_as_it_is(event_id: str, value: bytes) -> None:
    assert event_id_bytes(EventId(event_id)) == value


@given(st.text(st.characters()))
def test_no_id_ends_a_header_line(event_id: str) -> None:
    assert is_field_value(event_id_bytes(EventId(event_id)))
