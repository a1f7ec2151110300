"""SockJS's answers without a session, and the headers of all its answers."""

from __future__ import annotations

import json

import pytest

from handlers.protocol.http1 import Headers, header_values
from handlers.protocol.sockjs import Wrapping
from proxy.protocol.sockjs_answer import (
    Iframe,
    cross_origin_headers,
    frame_headers,
    greeting,
    info,
    own_headers,
    preflight,
    text_answer,
)

FROM_PAGE: Headers = ((b"Origin", b"http://page.example"),)
ALLOWED = (
    (b"Access-Control-Allow-Origin", b"http://page.example"),
    (b"Access-Control-Allow-Credentials", b"true"),
)


def test_pages_of_the_requests_origin_may_read() -> None:
    assert cross_origin_headers(FROM_PAGE) == ALLOWED
    assert cross_origin_headers(()) == ((b"Access-Control-Allow-Origin", b"*"), ALLOWED[1])


def test_nothing_is_kept() -> None:
    assert own_headers(FROM_PAGE) == (
        (b"Cache-Control", b"no-store, no-cache, must-revalidate, max-age=0"), *ALLOWED,
    )  # fmt: skip


@pytest.mark.parametrize("wrapping", Wrapping)
def test_each_transport_has_its_type(wrapping: Wrapping) -> None:
    headers = frame_headers(wrapping, FROM_PAGE)
    (content_type,) = header_values(headers, b"content-type")
    assert content_type.endswith(b"; charset=UTF-8")
    assert bool(header_values(headers, b"x-accel-buffering")) is wrapping.is_streaming


def test_info() -> None:
    answer = info(7, FROM_PAGE)
    assert answer.body.endswith(b"\n")
    assert json.loads(answer.body) == {"websocket": True, "origins": ["*:*"], "cookie_needed": False, "entropy": 7}


def test_greeting() -> None:
    answer = greeting(FROM_PAGE)
    assert (answer.status, answer.body) == (200, b"Welcome to SockJS!\n")
    assert answer.headers[-len(ALLOWED) :] == ALLOWED


@pytest.mark.parametrize("asked", [(), ((b"Access-Control-Request-Headers", b"x-a"),)])
def test_preflight(asked: Headers) -> None:
    answer = preflight((*FROM_PAGE, *asked))
    assert (answer.status, answer.body) == (204, b"")
    assert header_values(answer.headers, b"access-control-allow-headers") == tuple(value for _, value in asked)


def test_a_text() -> None:
    answer = text_answer(404, "Not Found", FROM_PAGE)
    assert (answer.status, answer.reason, answer.body) == (404, b"Not Found", b"Not Found\n")


def test_the_iframe_names_the_script_and_nothing_that_it_could_hold() -> None:
    iframe = Iframe('https://cdn.example/a.js?"><script>')
    assert b'<script src="https://cdn.example/a.js?&quot;&gt;&lt;script&gt;"></script>' in iframe.page


@pytest.mark.parametrize(
    ("known", "status"),
    [("{}", 304), ("W/{}", 304), ('"other", {}', 304), ("*", 304), ('"other"', 200), ("", 200)],
)
def test_who_has_the_iframe_need_not_get_it_again(known: str, status: int) -> None:
    iframe = Iframe("/a.js")
    line = known.format(iframe.etag.decode()).encode()
    answer = iframe.answer(((b"If-None-Match", line),))
    assert answer is not None
    assert answer.status == status
    assert header_values(answer.headers, b"etag") == (iframe.etag,)


def test_another_script_is_another_page() -> None:
    assert Iframe("/a.js").etag != Iframe("/b.js").etag


def test_without_a_script_there_is_none() -> None:
    assert Iframe("").answer(()) is None
