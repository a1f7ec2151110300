"""One request on its way through the proxy: the value that routing, forwarding, holding and the log share."""

from __future__ import annotations

import msgspec

from handlers.protocol.http1 import Headers
from handlers.protocol.mercure.link_header import encode_hub_link
from handlers.protocol.mercure.presenting import without_tokens
from proxy.exchange import Exchange
from proxy.incoming import Incoming
from proxy.log import AccessRecord, Outcome, log_access, logs_access
from proxy.protocol.jsonp_request import JsonpRequest
from proxy.protocol.route import Route, Target
from proxy.router import LoadedRoute

_LENGTHS = frozenset((len(b"referer"), len(b"user-agent")))


class Flow(msgspec.Struct, kw_only=True):
    """The client's side of a request, what it asks for, the route it took, and the target that answered."""

    exchange: Exchange
    incoming: Incoming
    loaded: LoadedRoute
    shows_reasons: bool
    """Whether this client is told what went wrong behind the proxy (`debug`)."""
    speaks_grip: bool
    """Whether what the backend says with GRIP is for us, and not for a proxy in front of us or for nobody."""
    meant: JsonpRequest | None = None
    """What the backend is sent in place of a request by JSON-P."""
    shared: int = 0
    """The number of the backend request whose answer others got too; 0 where it was this request's alone."""
    target: Target | None = None
    """None until one has answered."""
    answer_seconds: float = 0
    """How long the target may take for an answer that has to be read whole, once its head is here; 0 is no bound."""
    is_over_http: bool = False
    """Whether the target was asked by WebSocket-over-HTTP."""
    is_passed_on: bool = False
    """Whether another worker has the request, and logs it."""
    mark: int = 0
    """Of a request that is sent again: the edge's (`Edge.mark`) when it was."""
    hub_path: str = ""
    """Where this process's own Mercure hub is."""

    @property
    def route(self) -> Route:
        """The route of the request."""
        return self.loaded.route

    @property
    def headers(self) -> Headers:
        """The headers of the request, or of the one that is meant by it."""
        return self.exchange.head.headers if self.meant is None else self.meant.headers

    @property
    def added_headers(self) -> Headers:
        """What the route has Holdfast add to its backends' answers: a link to a Mercure hub (reference 1.2)."""
        link = self.route.mercure_link
        return () if link is None else ((b"Link", encode_hub_link(link or self.hub_path)),)

    @property
    def uri(self) -> str:
        """The request's URI, for log lines."""
        return self.incoming.uri


def log_request(exchange: Exchange, incoming: Incoming, flow: Flow | None) -> None:
    """Write the one line that the log has for a request; `flow` is None where no route was found."""
    if not logs_access() or (flow is not None and (flow.route.is_quiet or flow.is_passed_on)):
        return
    referer, user_agent = _said_of_the_client(exchange.head.headers)
    log_access(
        AccessRecord(
            method=(flow.meant if flow and flow.meant else exchange.head).method.decode("latin-1"),
            uri=incoming.uri,
            outcome=_find_outcome(exchange),
            target=flow.target.name if flow and flow.target else "",
            over_http=flow is not None and flow.is_over_http,
            client=incoming.client,
            referer=without_tokens(referer) if referer else "",
            route_id=flow.route.id if flow else "",
            code=exchange.status,
            size=exchange.size,
            shared=f"0x{flow.shared:x}" if flow and flow.shared else "",
            retry=exchange.is_retry,
            user_agent=user_agent,
        )
    )


def _find_outcome(exchange: Exchange) -> Outcome:
    if exchange.is_ended or exchange.is_switched:
        return Outcome.ANSWERED
    return Outcome.ACCEPTED if exchange.is_handed_over else Outcome.FAILED


def _said_of_the_client(headers: Headers) -> tuple[str, str]:
    """Return the first Referer and the first User-Agent; empty where there is none."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if len(name) in _LENGTHS:
            found.setdefault(name.lower(), value)
    return (
        found.get(b"referer", b"").decode("utf-8", "surrogateescape"),
        found.get(b"user-agent", b"").decode("utf-8", "surrogateescape"),
    )
