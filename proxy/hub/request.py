"""A request to the hub: the exchange, and what every part of the hub asks about it."""

from __future__ import annotations

from handlers.errors import HubRefusal
from handlers.hub.auth import Shown, shown_by
from handlers.hub.settings import HubSettings
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers, first_header
from handlers.protocol.mercure.headers import SECURITY_HEADERS
from handlers.protocol.mercure.identity import metadata_url, resource_of
from proxy.errors import RequestBodyError
from proxy.exchange import Exchange
from proxy.incoming import Incoming
from proxy.protocol.cors import answer_headers


class HubRequest:
    """One request. `path` is without the query; `resource` is the hub's identifier as this client knows it."""

    def __init__(self, exchange: Exchange, incoming: Incoming, settings: HubSettings) -> None:
        self.exchange = exchange
        self.incoming = incoming
        self.settings = settings
        self.path, _, self.query = incoming.path.partition(b"?")
        self.method = exchange.head.method
        self.scheme = "https" if incoming.is_tls else "http"
        self.authority = incoming.authority.decode("latin-1")
        self.resource = resource_of(settings, scheme=self.scheme, authority=self.authority)
        self.metadata_url = metadata_url(settings, scheme=self.scheme, authority=self.authority)
        self.origin = self.header(b"origin")

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the first line called `name` (lower case)."""
        return first_header(self.exchange.head.headers, name)

    def shown(self, query_tokens: tuple[str, ...] = ()) -> Shown:
        """Return what the request shows of who sent it; `query_tokens` are all that its parameters hold."""
        return shown_by(self.exchange.head.headers, method=self.method.decode("latin-1"), query_tokens=query_tokens)

    @property
    def own_headers(self) -> Headers:
        """The headers of every answer of the hub: security and, where origins are configured, CORS."""
        return (*SECURITY_HEADERS, *answer_headers(self.settings.cors_origins, self.origin))

    def answer(self, answer: Answer) -> None:
        """Answer, with the hub's own headers added."""
        headers = (*answer.headers, *self.own_headers)
        answer = Answer(status=answer.status, reason=answer.reason, headers=headers, body=answer.body)
        self.exchange.answer(answer)

    async def read_body(self, limit: int | None = None) -> bytes:
        """Return the whole body. `limit` is `body_limit` where none is given.

        Raises HubRefusal: 413 beyond the limit, 408 and 400 for a body that does not come.
        """
        body = self.exchange.body
        limit = self.settings.body_limit if limit is None else limit
        if body.length is not None and body.length > limit:
            raise self._too_large(limit)
        if self.exchange.head.expects_continue:
            self.exchange.send_continue()
        data = bytearray()
        try:
            async for piece in body.chunks():
                data += piece
                if len(data) > limit:
                    raise self._too_large(limit)
        except RequestBodyError as error:
            self.exchange.close_after()
            raise HubRefusal(error.status, error.text) from error
        return bytes(data)

    def _too_large(self, limit: int) -> HubRefusal:
        self.exchange.close_after()  # the rest of the body is not read (reference 1.7, row 4)
        return HubRefusal(413, "Request Entity Too Large", reason=f"body over {limit} bytes")
