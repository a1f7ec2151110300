"""What a request under a route's `sockjs` path is for (reference 8.1): a table of paths and methods.

Used by `proxy.sockjs.door`. Whoever asks for something else gets a 404.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from handlers.protocol.sockjs import Wrapping

_IFRAME: Final = re.compile(rb"/iframe[^/]*\.html")
_CALLBACK_NAMES: Final = (b"callback", b"c")


class Page(enum.Enum):
    """What is there without a session."""

    GREETING = enum.auto()
    INFO = enum.auto()
    IFRAME = enum.auto()
    PREFLIGHT = enum.auto()
    """OPTIONS, whatever the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """A request for what the session's backend says."""

    session: bytes
    wrapping: Wrapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A request with what the client says; `is_form` is how it says it, JSON-P's way."""

    session: bytes
    is_form: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A WebSocket: with SockJS frames in it, or `is_raw`."""

    is_raw: bool


Resource = Page | Receive | Send | Socket

_RECEIVING: Final = {
    (b"POST", b"xhr"): Wrapping.XHR,
    (b"POST", b"xhr_streaming"): Wrapping.XHR_STREAMING,
    (b"GET", b"eventsource"): Wrapping.EVENT_SOURCE,
    (b"GET", b"htmlfile"): Wrapping.HTML_FILE,
    (b"GET", b"jsonp"): Wrapping.JSONP,
    (b"POST", b"jsonp"): Wrapping.JSONP,
}
_SENDING: Final = {(b"POST", b"xhr_send"): False, (b"POST", b"jsonp_send"): True, (b"GET", b"jsonp_send"): True}


def rest_below(path: bytes, prefix: bytes) -> bytes | None:
    """Return what follows `prefix` in a path without its query; None for a path that is not below it."""
    prefix = prefix.rstrip(b"/")
    rest = path[len(prefix) :]
    return rest if path.startswith(prefix) and rest[:1] in (b"", b"/") else None


def find_resource(method: bytes, rest: bytes, *, is_websocket: bool) -> Resource | None:
    """Return what a request is for; `rest` is its path behind that of SockJS. None: nothing is there."""
    if is_websocket:
        return _find_socket(rest)
    if method == b"OPTIONS":
        return Page.PREFLIGHT
    if method == b"GET" and (page := _find_page(rest)) is not None:
        return page
    session, transport = _split_session(rest)
    if not session:
        return None
    wrapping = _RECEIVING.get((method, transport))
    if wrapping is not None:
        return Receive(session=session, wrapping=wrapping)
    is_form = _SENDING.get((method, transport))
    return None if is_form is None else Send(session=session, is_form=is_form)


def take_callback(query: bytes) -> tuple[bytes, bytes]:
    """Return the function that a query names, and the query without it, for the backend. Empty: it names none."""
    callback, kept = b"", []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name in _CALLBACK_NAMES:
            callback = callback or unquote_to_bytes(value)
        else:
            kept.append(part)
    return callback, b"&".join(kept)


def find_field(form: bytes, name: bytes) -> bytes:
    """Return the first value of a field of a form or a query, decoded; empty where there is none."""
    for part in form.split(b"&"):
        key, _, value = part.partition(b"=")
        if unquote_to_bytes(key) == name:
            return unquote_to_bytes(value.replace(b"+", b" "))
    return b""


def backend_target(prefix: bytes, as_path: bytes, query: bytes, *, suffix: bytes = b"") -> bytes:
    """Return the target of a session's WebSocket for its backend: `sockjs_as_path`, or SockJS's own path and suffix."""
    path = as_path or prefix.rstrip(b"/") + suffix or b"/"
    return path + b"?" + query if query else path


def _find_page(rest: bytes) -> Page | None:
    if rest in (b"", b"/"):
        return Page.GREETING
    if rest == b"/info":
        return Page.INFO
    return Page.IFRAME if _IFRAME.fullmatch(rest) else None


def _find_socket(rest: bytes) -> Socket | None:
    if rest == b"/websocket":
        return Socket(is_raw=True)
    session, transport = _split_session(rest)
    return Socket(is_raw=False) if session and transport == b"websocket" else None


def _split_session(rest: bytes) -> tuple[bytes, bytes]:
    """Return the session and the transport that a path names; no session where it has another form."""
    match rest.split(b"/"):
        case [b"", server, session, transport] if server and session and b"." not in server + session:
            return session, transport
        case _:
            return b"", b""
