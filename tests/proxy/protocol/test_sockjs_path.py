"""What requests under a SockJS path are for: tables of methods and paths."""

from __future__ import annotations

import pytest

from handlers.protocol.sockjs import Wrapping
from proxy.protocol.sockjs_path import (
    Page,
    Receive,
    Resource,
    Send,
    Socket,
    backend_target,
    find_field,
    find_resource,
    rest_below,
    take_callback,
)


@pytest.mark.parametrize(
    ("path", "prefix", "rest"),
    [
        (b"/s", b"/s", b""),
        (b"/s/", b"/s", b"/"),
        (b"/s/info", b"/s", b"/info"),
        (b"/s/info", b"/s/", b"/info"),
        (b"/s", b"/s/", b""),
        (b"/sx", b"/s", None),
        (b"/", b"/s", None),
        (b"/info", b"/", b"/info"),
        (b"/a/b/info", b"/a/b", b"/info"),
    ],
)
def test_what_is_below_a_path(path: bytes, prefix: bytes, rest: bytes | None) -> None:
    assert rest_below(path, prefix) == rest


@pytest.mark.parametrize(
    ("method", "rest", "resource"),
    [
        (b"GET", b"", Page.GREETING),
        (b"GET", b"/", Page.GREETING),
        (b"GET", b"/info", Page.INFO),
        (b"GET", b"/iframe.html", Page.IFRAME),
        (b"GET", b"/iframe-1.6.1.html", Page.IFRAME),
        (b"OPTIONS", b"/whatever", Page.PREFLIGHT),
        (b"POST", b"/0/s/xhr", Receive(session=b"s", wrapping=Wrapping.XHR)),
        (b"POST", b"/0/s/xhr_streaming", Receive(session=b"s", wrapping=Wrapping.XHR_STREAMING)),
        (b"GET", b"/0/s/eventsource", Receive(session=b"s", wrapping=Wrapping.EVENT_SOURCE)),
        (b"GET", b"/0/s/htmlfile", Receive(session=b"s", wrapping=Wrapping.HTML_FILE)),
        (b"GET", b"/0/s/jsonp", Receive(session=b"s", wrapping=Wrapping.JSONP)),
        (b"POST", b"/0/s/jsonp", Receive(session=b"s", wrapping=Wrapping.JSONP)),
        (b"POST", b"/0/s/xhr_send", Send(session=b"s", is_form=False)),
        (b"POST", b"/0/s/jsonp_send", Send(session=b"s", is_form=True)),
        (b"GET", b"/0/s/jsonp_send", Send(session=b"s", is_form=True)),
        (b"GET", b"/0/s/xhr", None),
        (b"GET", b"/0/s/xhr_send", None),
        (b"HEAD", b"/info", None),
        (b"GET", b"/iframe/x.html", None),
        (b"GET", b"/iframe.htm", None),
        (b"POST", b"/0/s", None),
        (b"POST", b"/0/s/xhr/", None),
        (b"POST", b"//s/xhr", None),
        (b"POST", b"/0//xhr", None),
        (b"POST", b"/0.1/s/xhr", None),
        (b"POST", b"/0/s.1/xhr", None),
        (b"POST", b"/0/s/XHR", None),
        (b"GET", b"/websocket", None),
        (b"GET", b"/0/s/websocket", None),
    ],
)
def test_what_a_request_is_for(method: bytes, rest: bytes, resource: Resource | None) -> None:
    assert find_resource(method, rest, is_websocket=False) == resource


@pytest.mark.parametrize(
    ("rest", "resource"),
    [
        (b"/websocket", Socket(is_raw=True)),
        (b"/0/s/websocket", Socket(is_raw=False)),
        (b"/0/s/xhr", None),
        (b"", None),
        (b"/info", None),
        (b"/0/s.1/websocket", None),
    ],
)
def test_what_a_websocket_is(rest: bytes, resource: Resource | None) -> None:
    assert find_resource(b"GET", rest, is_websocket=True) == resource


@pytest.mark.parametrize(
    ("query", "callback", "rest"),
    [
        (b"", b"", b""),
        (b"c=f", b"f", b""),
        (b"callback=f", b"f", b""),
        (b"a=b&c=f&d=e", b"f", b"a=b&d=e"),
        (b"c=f&callback=g", b"f", b""),
        (b"c=a%2Eb", b"a.b", b""),
        (b"cc=f", b"", b"cc=f"),
    ],
)
def test_a_callback_is_taken_out_of_the_query(query: bytes, callback: bytes, rest: bytes) -> None:
    assert take_callback(query) == (callback, rest)


@pytest.mark.parametrize(
    ("form", "value"),
    [(b"d=x", b"x"), (b"a=b&d=%5B%22a+b%25%22%5D&d=2", b'["a b%"]'), (b"%64=x", b"x"), (b"dd=x", b""), (b"", b"")],
)
def test_a_field_is_found(form: bytes, value: bytes) -> None:
    assert find_field(form, b"d") == value


@pytest.mark.parametrize(
    ("prefix", "as_path", "query", "suffix", "target"),
    [
        (b"/s", b"", b"", b"", b"/s"),
        (b"/s/", b"", b"", b"/websocket", b"/s/websocket"),
        (b"/s", b"/b", b"", b"/websocket", b"/b"),
        (b"/s", b"", b"a=b", b"", b"/s?a=b"),
        (b"/", b"", b"", b"", b"/"),
    ],
)
def test_where_a_session_leads(prefix: bytes, as_path: bytes, query: bytes, suffix: bytes, target: bytes) -> None:
    assert backend_target(prefix, as_path, query, suffix=suffix) == target
