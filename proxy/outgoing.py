"""What a client's request is, and what a backend is sent for it: route, settings and connection applied to headers."""

from __future__ import annotations

from handlers.protocol.http1 import Headers, header_values
from handlers.protocol.subscribing import LastSeen
from handlers.timers import Clock
from proxy.exchange import Exchange
from proxy.incoming import Incoming, Repetition, Written
from proxy.protocol.grip_sig import GripKey, is_signed
from proxy.protocol.headers import (
    RequestOptions,
    XffRules,
    client_address,
    forwarded_scheme,
    request_headers,
    xff_rules,
)
from proxy.protocol.jsonp_request import JsonpRequest
from proxy.protocol.link_uri import LinkUri
from proxy.protocol.request_head import RequestHead
from proxy.protocol.request_target import split_target
from proxy.protocol.route import Route
from proxy.request_body import NO_BODY, RequestBody
from proxy.router import LoadedRoute
from proxy.settings import ProxySettings
from proxy.upstream import BackendRequest

LOGGED_PATH = 1000
"""Bytes of a request's path that log lines show. A hold writes the path once a channel."""


class Outgoing:
    """Reads clients' requests and writes the backends'. What it keeps of a request is kept with the connection."""

    def __init__(
        self, *, settings: ProxySettings, upstream_key: GripKey | None, clock: Clock, mark: bytes = b""
    ) -> None:
        """`mark` is a token that no other Holdfast has, by which it knows its own requests for links again."""
        self._settings = settings
        self._upstream_key = upstream_key
        self._clock = clock
        self._xff = xff_rules(settings.x_forwarded_for)
        self._xff_trusted = xff_rules(settings.x_forwarded_for_trusted)
        self._marks = tuple(name.encode() for name in settings.orig_headers_need_mark)
        self._cdn_loop = settings.cdn_loop.encode()
        self._mark = mark
        self._direct_loop = b", ".join(filter(None, (self._cdn_loop, mark)))

    def read(self, exchange: Exchange) -> Incoming:
        """Tell what the client asked for. A request without Host is for `localhost` (reference 1.2)."""
        head, earlier = exchange.head, exchange.earlier
        is_trusted = self._upstream_key is not None and self._is_trusted(head, self._upstream_key)
        incoming = earlier.same_incoming(head, is_trusted=is_trusted)
        if incoming is None:
            incoming = self._read(exchange, earlier.same_client(head, is_trusted=is_trusted), is_trusted=is_trusted)
            earlier.keep_incoming(head, incoming)
        return incoming

    def write(
        self,
        exchange: Exchange,
        incoming: Incoming,
        loaded: LoadedRoute,
        *,
        signs: bool = True,
        meant: JsonpRequest | None = None,
    ) -> BackendRequest:
        """Make the backend's request (reference 3.1), or that for `meant` in its place.

        Without `signs` it is for the caller to sign.
        """
        route, head, earlier = loaded.route, exchange.head, exchange.earlier
        host = route.as_host.encode() or incoming.authority
        signature = loaded.signer.sign(int(self._clock.wall())) if loaded.signer and signs else None
        trusted = incoming.is_trusted
        if meant is not None:
            options = self._options(exchange, incoming, loaded, host=host, signature=signature)
            return BackendRequest(
                method=meant.method,
                path=backend_path(incoming.path, route),
                host=host,
                headers=request_headers(meant.headers, options=options),
                body=RequestBody.of(meant.body) if meant.body else NO_BODY,
            )
        # What its client has seen goes with one request that is sent again, and with none that looks the same.
        kept = earlier if not exchange.retried else Repetition()
        headers = kept.same_headers(head.headers, loaded, host, signature, is_trusted=trusted)
        if headers is None:
            options = self._options(exchange, incoming, loaded, host=host, signature=signature)
            headers = request_headers(head.headers, options=options)
            kept.keep_headers(
                Written(
                    received=head.headers,
                    headers=headers,
                    loaded=loaded,
                    host=host,
                    signature=signature,
                    is_trusted=trusted,
                )
            )
        return BackendRequest(
            method=head.method, path=backend_path(incoming.path, route), host=host, headers=headers, body=exchange.body
        )

    def write_link(
        self,
        loaded: LoadedRoute,
        uri: LinkUri,
        *,
        method: bytes,
        last_seen: LastSeen = (),
        is_internal: bool,
        headers: Headers = (),
        body: bytes = b"",
    ) -> BackendRequest:
        """Make the request for a link, which is nobody's but ours: without a client's headers (reference 3.9).

        One that `is_internal` takes the route of the request that the link came with; what that changes about paths is
        for those that it is for. Any other link carries our mark (RFC 8586), since it may lead back to us.
        """
        route = loaded.route
        is_rewritten = is_internal and uri.path.startswith(route.path_beg)
        host = (route.as_host.encode() if is_internal else b"") or uri.authority
        sets_proto = self._settings.set_x_forwarded_proto
        options = RequestOptions(
            host=host,
            route_headers=route.headers if is_internal else (),
            cdn_loop=self._cdn_loop if is_internal else self._direct_loop,
            grip_sig=loaded.signer.sign(int(self._clock.wall())) if loaded.signer else None,
            grip_last=last_seen,
            forwarded_proto=b"https" if is_internal and uri.is_tls and sets_proto != "off" else None,
            also_forwarded_protocol=sets_proto == "true",
        )
        return BackendRequest(
            method=method,
            path=backend_path(uri.path, route) if is_rewritten else uri.path,
            host=host,
            headers=request_headers(headers, options=options),
            body=RequestBody.of(body) if body else NO_BODY,
            is_direct=not is_internal,
        )

    def _read(self, exchange: Exchange, same: Incoming | None, *, is_trusted: bool) -> Incoming:
        """Find out about a request; `same` is an earlier one of the client with the same headers."""
        head = exchange.head
        authority, path = split_target(head.method, head.target, head.host)
        # Lower case, as the reference sends it: hosts know no letter case (RFC 3986 section 3.2.2), caches do.
        authority = authority.lower() or b"localhost"
        if same is None:
            is_tls = exchange.is_tls or self._came_by_tls(head)
            client = client_address(head.headers, exchange.peer, self._rules(is_trusted=is_trusted))
            is_looping = self._has_our_mark(head)
        else:
            is_tls, client, is_looping = same.is_tls, same.client, same.is_looping
        scheme = ("wss" if is_tls else "ws") if head.is_websocket else "https" if is_tls else "http"
        return Incoming(
            authority=authority,
            path=path,
            is_tls=is_tls,
            is_trusted=is_trusted,
            uri=f"{scheme}://{authority.decode('latin-1')}{shorten(path)}",
            client=client,
            is_looping=is_looping,
        )

    def _options(
        self, exchange: Exchange, incoming: Incoming, loaded: LoadedRoute, *, host: bytes, signature: bytes | None
    ) -> RequestOptions:
        route = loaded.route
        scheme = b"wss" if exchange.head.is_websocket else b"https"
        sets_proto = self._settings.set_x_forwarded_proto
        return RequestOptions(
            host=host,
            peer=exchange.peer.encode(),
            route_headers=route.headers,
            orig_headers=route.orig_headers,
            orig_headers_need_mark=self._marks,
            accept_pushpin_route=self._settings.accept_pushpin_route,
            cdn_loop=self._cdn_loop,
            trusted=incoming.is_trusted,
            grip=not route.no_grip,
            grip_sig=signature,
            grip_last=exchange.retried or (),
            strip_forwarded_proto=sets_proto != "off" or self._settings.accept_x_forwarded_proto,
            forwarded_proto=scheme if incoming.is_tls and sets_proto != "off" else None,
            also_forwarded_protocol=sets_proto == "true",
            xff=self._rules(is_trusted=incoming.is_trusted),
        )

    def _rules(self, *, is_trusted: bool) -> XffRules:
        return self._xff_trusted if is_trusted else self._xff

    def _came_by_tls(self, head: RequestHead) -> bool:
        return self._settings.accept_x_forwarded_proto and forwarded_scheme(head.headers) == b"https"

    def _has_our_mark(self, head: RequestHead) -> bool:
        return bool(self._mark) and any(self._mark in value for value in header_values(head.headers, b"cdn-loop"))

    def _is_trusted(self, head: RequestHead, key: GripKey) -> bool:
        tokens = header_values(head.headers, b"grip-sig")
        return bool(tokens) and is_signed(tokens[0], key, int(self._clock.wall()))


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
