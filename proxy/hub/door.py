"""The hub's place at the clients' door: which requests are the hub's, and who in it answers them (reference 1.1).

The front asks `takes` before it looks for a route, and `serve` answers whatever comes: every refusal with the
documented status and text, every answer with the hub's headers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from msgspec.structs import replace

from handlers.counters import Counters
from handlers.errors import HubRefusal, StorageError
from handlers.hub.publication import Publication, make_publication
from handlers.hub.refusing import Refuser
from handlers.hub.settings import HubSettings
from handlers.protocol.answers import Answer
from handlers.protocol.mercure.headers import SECURITY_HEADERS
from handlers.protocol.mercure.identity import encode_metadata, is_public, metadata_path
from handlers.protocol.mercure.presenting import without_tokens
from handlers.protocol.mercure.subscription_path import NOT_FOUND
from proxy.exchange import Exchange
from proxy.flow import log_request
from proxy.hub.debugger import Debugger
from proxy.hub.listing import Listing
from proxy.hub.request import HubRequest
from proxy.hub.subscribing import Subscribing
from proxy.incoming import Incoming
from proxy.protocol.cors import preflight_headers

log = logging.getLogger("holdfast.hub")

OLD_PATH: Final = b"/hub"
"""Where the hub was in 2019."""
PLAYGROUND: Final = b"/playground/"
BROKEN: Final = "Internal Server Error"
SUBSCRIBE: Final = frozenset((b"GET", b"HEAD", b"QUERY"))


class Publishing(Protocol):
    """Whoever takes publications (`publish_api.mercure`, through the composition root)."""

    @property
    def is_open(self) -> bool:
        """Whether anybody could publish."""
        ...

    async def publish(self, publication: Publication) -> Answer:
        """Publish, and return the answer. Raises HubRefusal."""
        ...


class HubDoor:
    """Answers the hub's requests. `serve` may run any number of times at once, once per connection at a time."""

    def __init__(
        self,
        *,
        settings: HubSettings,
        subscribing: Subscribing,
        publishing: Publishing,
        listing: Listing,
        debugger: Debugger,
        counters: Counters,
    ) -> None:
        self._settings = settings
        self._subscribing = subscribing
        self._publishing = publishing
        self._listing = listing
        self._debugger = debugger
        self._counters = counters
        self._refuser = Refuser(settings, counters)
        self._path = settings.path.encode()
        self._metadata_path = metadata_path(settings).encode()

    def takes(self, path: bytes) -> bool:
        """Say whether a request for `path` (origin-form, with its query) is the hub's."""
        path = path.partition(b"?")[0]
        if path == self._path or path.startswith(self._path + b"/") or path == self._metadata_path:
            return True
        if self._settings.playground and (path == b"/" or path.startswith(PLAYGROUND)):
            return True
        return self._settings.speaks_2019 and path == OLD_PATH

    async def serve(self, exchange: Exchange, incoming: Incoming) -> None:
        """Answer one request, or hold its connection.

        Raises CancelledError or ConnectionError when the client goes meanwhile.
        """
        incoming = replace(incoming, uri=without_tokens(incoming.uri))  # it stands in log lines
        request = HubRequest(exchange, incoming, self._settings)
        try:
            await self._answer(request)
        except HubRefusal as error:
            self._refuse(request, error)
        except (ConnectionError, asyncio.CancelledError):
            self._counters.requests_abandoned += 1
            raise
        except StorageError as error:
            log.error("%s: cut, the history was not read: %s", incoming.uri, error)
            exchange.abort()
        except Exception:
            log.exception("%s: internal error", incoming.uri)
            self._refuse(request, HubRefusal(500, BROKEN))
        finally:
            log_request(exchange, incoming, None)

    async def _answer(self, request: HubRequest) -> None:
        if not is_public(self._settings, request.scheme, request.authority):
            raise HubRefusal(421, "Misdirected Request", reason=f"{request.authority:.200} is not in public_urls")
        if request.method == b"OPTIONS" and self._settings.cors_origins and self._answer_preflight(request):
            return
        path = request.path
        if path in (self._path, OLD_PATH):
            await self._answer_hub(request)
        elif path == self._metadata_path:
            self._answer_metadata(request)
        elif (path + b"/").startswith(self._path + b"/subscriptions/") and self._settings.subscriptions:
            check_method(request, b"GET")
            await self._listing.answer(request, path.removeprefix(self._path))
        elif path.startswith(self._path + b"/debug/") and self._settings.debugger:
            check_method(request, b"GET", b"HEAD")
            self._debugger.debug(request, path.removeprefix(self._path + b"/debug/"))
        elif self._settings.playground and not path.startswith(self._path):
            self._answer_playground(request)
        else:
            raise HubRefusal(404, NOT_FOUND)

    async def _answer_hub(self, request: HubRequest) -> None:
        if request.method in SUBSCRIBE and self._subscribing.is_open:
            await self._subscribing.subscribe(request)
        elif request.method == b"POST" and self._publishing.is_open:
            request.answer(await self._publish(request))
        else:
            raise method_not_allowed()

    async def _publish(self, request: HubRequest) -> Answer:
        """Publish, and go on when the publisher leaves: it takes back nothing that it has sent (row P23)."""
        request.exchange.outlive_client()
        try:
            return await self._publishing.publish(publication_of(request))
        finally:
            request.exchange.heed_client()

    def _answer_metadata(self, request: HubRequest) -> None:
        check_method(request, b"GET", b"HEAD")
        has_keys = self._publishing.is_open or self._subscribing.has_keys
        if not has_keys or not self._settings.speaks_current:
            raise HubRefusal(404, NOT_FOUND)
        body = encode_metadata(self._settings, request.resource, subscriptions_active=self._settings.subscriptions)
        headers = ((b"Content-Type", b"application/json"),)
        request.answer(Answer(status=200, reason=b"OK", headers=headers, body=body))

    def _answer_preflight(self, request: HubRequest) -> bool:
        """Answer a CORS preflight; say whether it was one."""
        method = request.header(b"access-control-request-method")
        if method is None:
            return False
        asked = request.header(b"access-control-request-headers")
        headers = preflight_headers(self._settings.cors_origins, request.origin, method, asked)
        request.exchange.answer(
            Answer(status=204, reason=b"No Content", headers=(*SECURITY_HEADERS, *headers), body=b"")
        )
        return True

    def _answer_playground(self, request: HubRequest) -> None:
        check_method(request, b"GET", b"HEAD")
        if request.path == b"/":
            headers = ((b"Location", self._path + b"/debug/"),)
            request.answer(Answer(status=302, reason=b"Found", headers=headers, body=b""))
        else:
            self._debugger.echo(request)

    def _refuse(self, request: HubRequest, error: HubRefusal) -> None:
        exchange = request.exchange
        if exchange.is_handed_over:
            return
        if exchange.is_begun:
            log.warning("%s: cut: %s", request.incoming.uri, error)
            exchange.abort()
            return
        label = f"{request.method.decode('latin-1')} {request.incoming.uri}"
        answer = self._refuser.answer(error, label=label, metadata_url=request.metadata_url)
        if error.status == 421:
            exchange.answer(answer)
        else:
            request.answer(answer)


def publication_of(request: HubRequest) -> Publication:
    """Return a POST as the publishers' side takes it."""
    return make_publication(
        request.exchange.head.headers,
        request.query,
        resource=request.resource,
        read=request.read_body,
        is_old_path=request.path == OLD_PATH,
    )


def check_method(request: HubRequest, *allowed: bytes) -> None:
    """Raise HubRefusal unless the request's method is one of `allowed`."""
    if request.method not in allowed:
        raise method_not_allowed()


def method_not_allowed() -> HubRefusal:
    """Return the refusal of a method: without a text, as the reference's."""
    return HubRefusal(405, "")
