"""Requests by JSON-P: a GET whose query says which request is meant, and what to call with its answer (reference 3.13).

Called by `proxy.cross_origin` for routes with `aco`. What is meant goes to the backend, so whatever could make two
requests of one is refused here. Who the client is, and how it came, a query cannot say: see `_FORBIDDEN`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from handlers.protocol.fields import encode_field
from handlers.protocol.http1 import HOP_BY_HOP, Headers, is_field_value, is_token
from handlers.protocol.jsonp import Jsonp, is_callback
from proxy.protocol.headers import folded_name
from proxy.protocol.route import DEFAULT_JSONP_BODY, JsonpMode, Route

_METHOD: Final = "_method"
_HEADERS: Final = "_headers"

# Reference 3.13 has Host and Accept ignored. The others frame a message, or are what proxies and browsers vouch for: a
# page may send them to nobody but by this road.
_FORBIDDEN: Final = HOP_BY_HOP | frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"cdn-loop",
        b"content-length",
        b"cookie",
        b"cookie2",
        b"expect",
        b"forwarded",
        b"host",
        b"origin",
        b"referer",
        b"via",
    )
)
_FORBIDDEN_PREFIXES: Final = (b"grip-", b"proxy-", b"sec-", b"x-forwarded-", b"x-real-", b"pushpin-")

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")


class JsonpRequestError(Exception):
    """A parameter cannot be used; the text is `Invalid NAME parameter.`, for a 400."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Invalid {name} parameter.")


class JsonpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request that is meant, and what to do with its answer. `path` has the query less what is not the backend's.

    `headers` are the client's and those of `_headers`, in which those that it has sent itself do not count.
    """

    jsonp: Jsonp
    method: bytes
    path: bytes
    headers: Headers
    body: bytes


def read_jsonp(path: bytes, headers: Headers, route: Route) -> JsonpRequest | None:
    """Read a GET for `path` (origin-form, with its query); None where it is none by JSON-P.

    Raises JsonpRequestError.
    """
    resource, _, query = path.partition(b"?")
    if not query:
        return None
    names = (route.jsonp_cb, route.jsonp_body, _METHOD, _HEADERS)
    found: dict[str, bytes] = {}
    left: list[bytes] = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        known = _name(name)
        if known in names:
            found.setdefault(known, value)
        else:
            left.append(part)
    callback = _callback(found, route)
    if callback is None:
        return None
    own, body = _body(found, route)
    return JsonpRequest(
        jsonp=Jsonp(callback=callback, is_extended=route.jsonp_mode is JsonpMode.EXTENDED),
        method=_method(found, route),
        path=resource + b"?" + b"&".join(left) if left else resource,
        headers=_joined(headers, _headers(found), own),
        body=body,
    )


def _callback(found: dict[str, bytes], route: Route) -> str | None:
    if route.jsonp_cb in found:
        callback = _text(found[route.jsonp_cb], "callback")
        if not is_callback(callback):
            raise JsonpRequestError("callback")
        return callback
    return route.jsonp_defcb if route.jsonp_defcb and route.jsonp_body in found else None


def _method(found: dict[str, bytes], route: Route) -> bytes:
    if _METHOD not in found:
        return route.jsonp_defmethod.encode()
    method = _bytes(found[_METHOD], _METHOD)
    # Nobody tunnels by JSON-P (RFC 9110 section 9.3.6).
    if not is_token(method) or method == b"CONNECT":
        raise JsonpRequestError(_METHOD)
    return method


def _headers(found: dict[str, bytes]) -> Headers:
    if _HEADERS not in found:
        return ()
    text = _bytes(found[_HEADERS], _HEADERS)
    try:
        pairs = msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JsonpRequestError(_HEADERS) from error
    headers = tuple((encode_field(name), encode_field(value.strip(" \t"))) for name, value in pairs.items())
    if not all(is_token(name) and is_field_value(value) for name, value in headers):
        raise JsonpRequestError(_HEADERS)
    return headers


def _body(found: dict[str, bytes], route: Route) -> tuple[Headers, bytes]:
    """Return the body, and the header that comes with one that the route has a parameter of its own for."""
    value = found.get(route.jsonp_body)
    if value is None:
        return (), b""
    if route.jsonp_body == DEFAULT_JSONP_BODY:
        return (), _bytes(value, "_body")
    return ((b"Content-Type", b"application/json"),), _bytes(value, "body")


def _joined(sent: Headers, asked: Headers, own: Headers) -> Headers:
    """Return the headers that came, less those of no account, then those asked for, then those of the body."""
    own_names = {folded_name(name) for name, _ in own}
    taken = own_names.union([folded_name(name) for name, _ in sent])
    added = tuple([pair for pair in asked if _may_be_asked(folded_name(pair[0])) and folded_name(pair[0]) not in taken])
    return tuple([pair for pair in sent if folded_name(pair[0]) not in own_names]) + added + own


def _may_be_asked(name: bytes) -> bool:
    return name not in _FORBIDDEN and not name.startswith(_FORBIDDEN_PREFIXES)


def _name(raw: bytes) -> str:
    """Return a parameter's name; one that cannot be decoded is not ours."""
    try:
        return _decoded(raw).decode()
    except ValueError:
        return ""


def _text(raw: bytes, name: str) -> str:
    try:
        return _decoded(raw).decode()
    except ValueError as error:
        raise JsonpRequestError(name) from error


def _bytes(raw: bytes, name: str) -> bytes:
    try:
        return _decoded(raw)
    except ValueError as error:
        raise JsonpRequestError(name) from error


def _decoded(raw: bytes) -> bytes:
    """Decode a query's name or value, as forms write it: `+` is a space. ValueError for a `%` without two digits."""
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    return _ESCAPE.sub(_byte, raw) if b"%" in raw else raw


def _byte(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        raise ValueError("a % without two digits behind it")
    return bytes.fromhex(found[1].decode())
