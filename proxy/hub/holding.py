"""Holds subscribers: writes the head, replays what was missed, and hands the connection over, in one of three ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.errors import HistoryTrimmed, HubRefusal, StorageError
from handlers.hub.hub import Hub, place_of
from handlers.hub.poll import HubPoll, poll_answer
from handlers.hub.settings import HubSettings
from handlers.hub.socket import TIME_IS_UP, HubSocket
from handlers.hub.stream import HubStream
from handlers.hub.subscriber import Subscriber
from handlers.hub.topic_index import HubSession
from handlers.protocol.http1 import Headers, header_values
from handlers.protocol.instruct import KeepAlive, KeepAliveMode
from handlers.protocol.mercure.event import HEARTBEAT, encode_event, encode_message
from handlers.protocol.mercure.headers import STREAM_HEADERS, cursor_headers
from handlers.protocol.mercure.identity import origin_of
from handlers.protocol.mercure.origin import ANY
from handlers.protocol.mercure.update import Update
from handlers.protocol.ws_deflate import Deflate, deflate_frame, negotiate
from handlers.protocol.ws_frames import CloseCode, CloseReason, Opcode, encode_close, encode_frame
from handlers.session import Site
from handlers.settings import WebSocketSettings
from proxy.exchange import Exchange
from proxy.hub.history import History, Reading, Start
from proxy.hub.request import HubRequest
from proxy.protocol.cors import is_allowed
from proxy.protocol.ws_handshake import INVALID, HandshakeError, check_handshake, encode_acceptance

Encode = Callable[[Update], bytes]

KEEP_OPEN = (b"Connection", b"keep-alive")
NO_STORE: Headers = ((b"Cache-Control", b"no-store"),)
NOT_READ = "Internal Server Error"
READ_SECONDS = 10.0
"""How long a poll may read what was missed, even if it does not want to wait: one that waits for nothing wants that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A subscriber that is let in: who it is, where it begins, and until when (monotonic seconds) it may stay.

    `has_cookie`: what let it in is a cookie, which a browser sends whichever page asks.
    """

    request: HubRequest
    subscriber: Subscriber
    start: Start
    ends_at: float
    has_cookie: bool


class HubHolding:
    """Turns requests of subscribers into sessions. `site` is that of the audience's sessions."""

    def __init__(
        self,
        *,
        hub: Hub,
        history: History,
        site: Site,
        settings: HubSettings,
        websockets: WebSocketSettings,
        counters: Counters,
    ) -> None:
        self._hub = hub
        self._history = history
        self._site = site
        self._settings = settings
        self._websockets = websockets
        self._counters = counters

    async def hold_stream(self, place: Place) -> None:
        """Answer with an event stream, which is held once the subscriber has what it missed."""
        exchange = place.request.exchange
        headers = (*STREAM_HEADERS, *self._cursor_headers(place), *place.request.own_headers)
        form = exchange.form
        reusable = form.reusable and form.version == b"1.1"
        if reusable:
            headers = (*headers, KEEP_OPEN)
        exchange.begin(status=200, reason=b"OK", headers=headers, length=None)
        if exchange.head.method == b"HEAD":
            exchange.end()
            return
        exchange.send(HEARTBEAT)
        session = HubStream(
            site=self._site,
            transport=exchange.transport,
            subscriber=place.subscriber,
            ends_at=place.ends_at,
            reusable=reusable,
            label=place.request.incoming.uri,
            chunked=form.version == b"1.1",
            keep_alive=self._keep_alive(HEARTBEAT),
        )
        if not await self._bring_up_to_date(place, session, encode_event):
            exchange.end()

    async def hold_socket(self, place: Place) -> None:
        """Accept a WebSocket, which is held once the subscriber has what it missed."""
        request, exchange = place.request, place.request.exchange
        self._check_page(place)
        try:
            key = check_handshake(exchange.head)
        except HandshakeError as error:
            self._counters.requests_refused += 1
            exchange.answer_text(error.status, INVALID, headers=(*error.headers, *request.own_headers))
            return
        offers = header_values(exchange.head.headers, b"sec-websocket-extensions")
        deflate = negotiate(offers) if self._websockets.compression else None
        session = HubSocket(
            site=self._site,
            limits=self._websockets,
            transport=exchange.transport,
            subscriber=place.subscriber,
            ends_at=place.ends_at,
            label=request.incoming.uri,
            deflate=deflate,
            keep_alive=self._keep_alive(encode_frame(Opcode.PING, b"")),
        )
        extension = None if deflate is None else deflate.response
        exchange.switch(encode_acceptance(key, self._cursor_headers(place), extension=extension))
        exchange.flush_head()
        encode = text_encoder(deflate)
        if not await self._bring_up_to_date(place, session, encode):
            exchange.send(encode_close(CloseReason(code=CloseCode.NORMAL_CLOSURE, reason=TIME_IS_UP)))
            self._site.door.close(exchange.transport)

    async def hold_poll(self, place: Place, seconds: float) -> None:
        """Answer with what the subscriber missed; if that is nothing, with the next update or when the time is up."""
        exchange = place.request.exchange
        headers = (*NO_STORE, *self._cursor_headers(place), *place.request.own_headers)
        if place.start.after is not None:
            reading = self._history.reading(place.subscriber, place.start.after)
            missed, is_up_to_date = await self._missed(reading, seconds)
            if not is_up_to_date:
                exchange.answer(poll_answer(missed, place_of(reading.position), headers))
                return
        session = HubPoll(
            site=self._site,
            transport=exchange.transport,
            subscriber=place.subscriber,
            label=place.request.incoming.uri,
            form=exchange.form,
            headers=headers,
            timeout=min(seconds, place.ends_at - self._site.clock.now()),
            place=lambda: self._hub.place,
        )
        try:
            self._join(session)
            exchange.hand_over(session)
        except BaseException:
            session.leave()
            raise

    async def _missed(self, reading: Reading, seconds: float) -> tuple[tuple[Update, ...], bool]:
        """Return the first updates that the subscriber missed, and whether it is up to date at this moment instead.

        Neither, when the time was up first: then the client goes on from where the reading has come to.
        """
        try:
            async with self._until(self._site.clock.now() + max(seconds, READ_SECONDS)):
                while reading.left > 0:
                    found = await reading.page(self._hub.last_seq)
                    if found:
                        return found, False
        except TimeoutError:
            return (), False
        except HistoryTrimmed as error:
            raise HubRefusal(503, "Service Unavailable", reason=str(error)) from error
        except StorageError as error:
            raise HubRefusal(500, NOT_READ, reason=f"history not read: {error}") from error
        return (), True

    async def _bring_up_to_date(self, place: Place, session: HubStream | HubSocket, encode: Encode) -> bool:
        """Write what the subscriber missed, make `session` receive, and hand over; False if the time is up before.

        Raises ConnectionError when the client goes, and StorageError; the session is off the audience then.
        """
        exchange = place.request.exchange
        try:
            async with self._until(place.ends_at):
                if place.start.after is not None:
                    reading = self._history.reading(place.subscriber, place.start.after)
                    async for page in reading.until_close():
                        await write_page(exchange, page, encode)
                    self._join(session)
                    async for page in reading.rest(self._hub.last_seq):
                        await write_page(exchange, page, encode)
                else:
                    self._join(session)
            exchange.hand_over(session)
        except TimeoutError:
            self._counters.mercure_expired += 1
            session.leave()
            return False
        except BaseException:
            session.leave()
            raise
        return True

    def _join(self, session: HubSession) -> None:
        self._hub.audience.join(session)

    def _until(self, when: float) -> Deadline:
        seconds = when - self._site.clock.now()
        return Deadline(self._site.clock, 0 if seconds == math.inf else max(seconds, 0.001))

    def _keep_alive(self, data: bytes) -> KeepAlive | None:
        heartbeat = self._settings.heartbeat
        return KeepAlive(mode=KeepAliveMode.IDLE, timeout=heartbeat, data=data) if heartbeat else None

    def _cursor_headers(self, place: Place) -> Headers:
        return cursor_headers(place.start.told, self._settings)

    def _check_page(self, place: Place) -> None:
        """Refuse a WebSocket of a page that may not read the hub's streams: no browser asks us for WebSockets.

        Where any page may, it may with what it knows itself, not with the cookie of whoever looks at it.
        """
        request, settings = place.request, self._settings
        if request.origin is None or request.origin.decode("latin-1").lower() in own_origins(request):
            return
        allowed = tuple(origin for origin in settings.cors_origins if not (place.has_cookie and origin == ANY))
        if not is_allowed(allowed, request.origin):
            origin = request.origin.decode("latin-1")
            raise HubRefusal(403, "Forbidden", reason=f"WebSocket of a page of {origin:.200}, not in cors_origins")


def own_origins(request: HubRequest) -> frozenset[str]:
    """Return the origins of the hub itself: as this client names it, and as its operator does."""
    urls = (request.settings.resource_identifier, *request.settings.public_urls)
    named = (urlsplit(url) for url in urls if "://" in url)
    pairs = ((request.scheme, request.authority), *((url.scheme, url.netloc) for url in named))
    return frozenset(origin_of(scheme, authority) for scheme, authority in pairs)


async def write_page(exchange: Exchange, page: tuple[Update, ...], encode: Encode) -> None:
    """Write a page of updates, and wait while the client is behind."""
    if page:
        await exchange.write(b"".join(map(encode, page)))


def text_encoder(deflate: Deflate | None) -> Encode:
    """Return what makes a WebSocket message of an update."""
    encode = encode_frame if deflate is None else deflate_frame
    return lambda update: encode(Opcode.TEXT, encode_message(update))
