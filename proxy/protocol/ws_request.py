"""The requests that carry a WebSocket over HTTP: which of the client's headers go along, and what is added.

Used by `proxy.over_http`. The body and what the answer means are `ws_over_http`'s matter.
"""

from __future__ import annotations

from handlers.protocol.http1 import Headers, header_values, without_headers
from proxy.protocol.headers import folded_name
from proxy.protocol.ws_events import EVENTS_TYPE
from proxy.protocol.ws_exchange import EventsRequest

_REPLACED = frozenset(
    (
        b"accept",
        b"connection-id",
        b"content-bytes-replayed",
        b"content-encoding",  # of a body that is not sent on
        b"content-type",
        b"sec-websocket-extensions",
    )
)


def events_headers(headers: Headers, *, connection_id: bytes, extension: bytes | None) -> Headers:
    """Return the headers that all requests of a connection have (reference 4.2), from those for the backend.

    What only we may say is taken out of the client's, also where CGI and WSGI would read it: to them `Meta_User` is
    `Meta-User`.
    """
    passed = tuple(pair for pair in headers if not _is_ours(folded_name(pair[0])))
    added: Headers = ((b"Accept", EVENTS_TYPE), (b"Connection-Id", connection_id), (b"Content-Type", EVENTS_TYPE))
    return passed + added + (((b"Sec-WebSocket-Extensions", extension),) if extension is not None else ())


def one_request_headers(headers: Headers, request: EventsRequest, *, grip_sig: bytes | None) -> Headers:
    """Add what differs from request to request: the signature, what is replayed, and the meta."""
    added = tuple((b"Meta-" + name, value) for name, value in request.meta)
    if request.replayed:
        added = ((b"Content-Bytes-Replayed", b"%d" % request.replayed), *added)
    if grip_sig is not None:
        added = ((b"Grip-Sig", grip_sig), *added)
    return headers + added


def is_events(status: int, headers: Headers) -> bool:
    """Say whether an answer is one to events: 200, and their media type without parameters (reference 4.3)."""
    return status == 200 and [value.lower() for value in header_values(headers, b"content-type")] == [EVENTS_TYPE]


def pack_headers(headers: Headers) -> bytes:
    """Pack headers into a fifth of their memory, for a connection that is held idle."""
    return b"\n".join(b"%b:%b" % pair for pair in headers)


def unpack_headers(packed: bytes) -> Headers:
    """Return what was packed. Neither a name has a colon, nor either of them a line feed."""
    pairs = (line.partition(b":") for line in packed.split(b"\n") if line)
    return tuple((name, value) for name, _, value in pairs)


def rejection_headers(headers: Headers) -> Headers:
    """Return what a client gets of a refusal: what is said of our request is for us alone."""
    return without_headers(headers, (b"sec-websocket-extensions",))


def _is_ours(name: bytes) -> bool:
    return name in _REPLACED or name.startswith(b"meta-")
