"""What a client's request is, and what a backend is sent for it: route, settings and connection applied to headers."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.protocol.http1 import header_values
from handlers.timers import Clock
from proxy.exchange import Exchange
from proxy.protocol.grip_sig import GripKey, is_signed
from proxy.protocol.headers import (
    RequestOptions,
    XffRules,
    client_address,
    forwarded_scheme,
    request_headers,
    xff_rules,
)
from proxy.protocol.request_target import split_target
from proxy.protocol.route import Route
from proxy.router import LoadedRoute
from proxy.settings import ProxySettings
from proxy.upstream import BackendRequest

LOGGED_PATH = 1000
"""Bytes of a request's path that log lines show. A hold writes the path once a channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """The facts about a request that routing, forwarding and the log share.

    `authority` is the host with its port, `path` the origin-form target, `client` the logical address. `uri` is for
    the log: a long one is cut.
    """

    authority: bytes
    path: bytes
    is_tls: bool
    is_trusted: bool
    uri: str
    client: str


class Outgoing:
    """Reads clients' requests and writes the backends'. Keeps nothing between requests."""

    def __init__(self, *, settings: ProxySettings, upstream_key: GripKey | None, clock: Clock) -> None:
        self._settings = settings
        self._upstream_key = upstream_key
        self._clock = clock
        self._xff = xff_rules(settings.x_forwarded_for)
        self._xff_trusted = xff_rules(settings.x_forwarded_for_trusted)
        self._marks = tuple(name.encode() for name in settings.orig_headers_need_mark)
        self._cdn_loop = settings.cdn_loop.encode()

    def read(self, exchange: Exchange) -> Incoming:
        """Tell what the client asked for. A request without Host is for `localhost` (reference 1.2)."""
        head = exchange.head
        authority, path = split_target(head.method, head.target, head.host)
        # Lower case, as the reference sends it: hosts know no letter case (RFC 3986 section 3.2.2), caches do.
        authority = authority.lower() or b"localhost"
        is_tls = exchange.is_tls or self._came_by_tls(exchange)
        is_trusted = self._is_trusted(exchange)
        scheme = ("wss" if is_tls else "ws") if head.is_websocket else "https" if is_tls else "http"
        return Incoming(
            authority=authority,
            path=path,
            is_tls=is_tls,
            is_trusted=is_trusted,
            uri=f"{scheme}://{authority.decode('latin-1')}{shorten(path)}",
            client=client_address(head.headers, exchange.peer, self._rules(is_trusted=is_trusted)),
        )

    def write(
        self, exchange: Exchange, incoming: Incoming, loaded: LoadedRoute, *, signs: bool = True
    ) -> BackendRequest:
        """Make the backend's request (reference 3.1). Without `signs` it is for the caller to sign."""
        route = loaded.route
        host = route.as_host.encode() or incoming.authority
        scheme = b"wss" if exchange.head.is_websocket else b"https"
        sets_proto = self._settings.set_x_forwarded_proto
        options = RequestOptions(
            host=host,
            peer=exchange.peer.encode(),
            route_headers=route.headers,
            orig_headers=route.orig_headers,
            orig_headers_need_mark=self._marks,
            cdn_loop=self._cdn_loop,
            trusted=incoming.is_trusted,
            grip=not route.no_grip,
            grip_sig=loaded.signer.sign(int(self._clock.wall())) if loaded.signer and signs else None,
            strip_forwarded_proto=sets_proto != "off" or self._settings.accept_x_forwarded_proto,
            forwarded_proto=scheme if incoming.is_tls and sets_proto != "off" else None,
            also_forwarded_protocol=sets_proto == "true",
            xff=self._rules(is_trusted=incoming.is_trusted),
        )
        return BackendRequest(
            method=exchange.head.method,
            path=backend_path(incoming.path, route),
            host=host,
            headers=request_headers(exchange.head.headers, options=options),
            body=exchange.body,
        )

    def _rules(self, *, is_trusted: bool) -> XffRules:
        return self._xff_trusted if is_trusted else self._xff

    def _came_by_tls(self, exchange: Exchange) -> bool:
        return self._settings.accept_x_forwarded_proto and forwarded_scheme(exchange.head.headers) == b"https"

    def _is_trusted(self, exchange: Exchange) -> bool:
        if self._upstream_key is None:
            return False
        tokens = header_values(exchange.head.headers, b"grip-sig")
        return bool(tokens) and is_signed(tokens[0], self._upstream_key, int(self._clock.wall()))


def shorten(path: bytes) -> str:
    """Return a path for log lines: text, and cut where it would be longer than LOGGED_PATH."""
    text = path[:LOGGED_PATH].decode("utf-8", "surrogateescape")
    return text if len(path) <= LOGGED_PATH else f"{text}...({len(path)} bytes)"


def backend_path(path: bytes, route: Route) -> bytes:
    """Apply `path_rem` and `replace_beg`. What is left always begins with a slash, as origin-form must."""
    if not route.path_rem and not route.replace_beg:
        return path
    rest = route.replace_beg + path[route.path_rem :]
    return rest if rest.startswith(b"/") else b"/" + rest
