"""One request on its way through the proxy: the value that routing, forwarding, holding and the log share."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.protocol.http1 import header_values
from proxy.exchange import Exchange
from proxy.log import AccessRecord, Outcome, log_access, logs_access
from proxy.outgoing import Incoming
from proxy.protocol.route import Route, Target
from proxy.router import LoadedRoute


@dataclass(slots=True, kw_only=True)
class Flow:
    """The client's side of a request, what it asks for, the route it took, and the target that answered."""

    exchange: Exchange
    incoming: Incoming
    loaded: LoadedRoute
    shows_reasons: bool
    """Whether this client is told what went wrong behind the proxy (`debug`)."""
    target: Target | None = None
    """None until one has answered."""

    @property
    def route(self) -> Route:
        """The route of the request."""
        return self.loaded.route

    @property
    def uri(self) -> str:
        """The request's URI, for log lines."""
        return self.incoming.uri


def log_request(exchange: Exchange, incoming: Incoming, *, route_id: str = "", target: str = "") -> None:
    """Write the one line that the log has for a request."""
    if not logs_access():
        return
    log_access(
        AccessRecord(
            method=exchange.head.method.decode("latin-1"),
            uri=incoming.uri,
            outcome=_find_outcome(exchange),
            target=target,
            client=incoming.client,
            referer=_first_text(exchange, b"referer"),
            route_id=route_id,
            code=exchange.status,
            size=exchange.size,
            retry=exchange.is_retry,
            user_agent=_first_text(exchange, b"user-agent"),
        )
    )


def _find_outcome(exchange: Exchange) -> Outcome:
    if exchange.is_handed_over:
        return Outcome.ACCEPTED
    return Outcome.ANSWERED if exchange.is_ended else Outcome.FAILED


def _first_text(exchange: Exchange, name: bytes) -> str:
    values = header_values(exchange.head.headers, name)
    return values[0].decode("utf-8", "surrogateescape") if values else ""
