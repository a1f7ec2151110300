"""The command socket: who publishes asks here where to, or publishes right here (reference 7.3).

A ROUTER that takes REQ and DEALER sockets. Every well-formed request gets one reply; a message that is none gets none,
as it may not be from somebody who waits for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import zmq

from handlers.counters import Counters
from handlers.errors import Busy, ItemError
from handlers.protocol.item_tnet import parse_tnet_item
from handlers.protocol.items import Action, Item, WsMessageFormat
from handlers.protocol.names import Channel
from publish_api.protocol.command_message import Reply, Request, RequestError, encode_reply, parse_request
from publish_api.turn import PublishSink
from publish_api.zeromq.reader import Parts, SocketReader

log = logging.getLogger("holdfast.publish")

DONE = Reply()
BAD_REQUEST = Reply(condition="bad-request")
METHOD_NOT_FOUND = Reply(condition="method-not-found")


class Commands:
    """Obeys commands, one after the other. `begin` once, then `close` once.

    `uris` are endpoints by the names under which `get-zmq-uris` tells them. `recover` is called for the command of that
    name; None says that nobody can obey it.
    """

    def __init__(
        self,
        sink: PublishSink,
        *,
        uris: Mapping[str, str],
        max_message: int,
        counters: Counters,
        recover: Callable[[], None] | None = None,
    ) -> None:
        self._sink = sink
        self._uris = uris
        self._max_message = max_message
        self._counters = counters
        self._recover = recover
        self._reader: SocketReader | None = None
        self._waiting = 0

    def begin(self, reader: SocketReader) -> None:
        """Read from now on. `reader` gives its messages to `take`."""
        self._reader = reader
        reader.begin()

    def take(self, messages: Sequence[Parts]) -> None:
        """Obey what came."""
        for parts in messages:
            try:
                envelope, request = self._open(parts)
            except RequestError as error:
                self._counters.zeromq_refused += 1
                log.warning("command: received message with invalid format (%s), skipping", error)
                continue
            self._counters.zeromq_commands += 1
            outcome = self._obey(request)
            if isinstance(outcome, Reply):
                self._send(envelope, request, outcome)
            else:
                self._send_later(envelope, request, outcome)

    def close(self) -> None:
        """Read no more, and leave unanswered what is still being stored."""
        if self._reader is not None:
            self._reader.close()

    def _open(self, parts: Parts) -> tuple[Parts, Request]:
        """Return what a reply must begin with, and the request. Raises RequestError."""
        size = sum(map(len, parts))
        if size > self._max_message:
            raise RequestError(f"{size} bytes, over zeromq.max_message")
        # The addresses of whoever passed it on, an empty part, and then the request alone.
        if len(parts) < 3 or parts[-2] or b"" in parts[1:-2]:
            raise RequestError("parts != 1")
        return parts[:-1], parse_request(parts[-1])

    def _obey(self, request: Request) -> Reply | asyncio.Future[None]:
        match request.method:
            case "get-zmq-uris":
                return Reply(value=dict(self._uris))
            case "publish":
                return self._publish_items(request)
            case "refresh":
                return self._refresh(request)
            case "recover":
                if self._recover is None:
                    return not_supported("recover")
                self._recover()
                return DONE
            case "conncheck":
                return check_connections(request)
            case _:
                return METHOD_NOT_FOUND

    def _publish_items(self, request: Request) -> Reply | asyncio.Future[None]:
        try:
            items = read_items(request)
        except ItemError as error:
            return Reply(value=f"Invalid format: {error.text}", condition="bad-request")
        return self._publish(items)

    def _refresh(self, request: Request) -> Reply | asyncio.Future[None]:
        match request.args:
            case {"cid": bytes()}:
                return not_supported("refresh of one connection")
            case {"channel": bytes(channel), **rest} if "cid" not in rest:
                refresh = WsMessageFormat(action=Action.REFRESH)
                return self._publish((Item(channel=Channel(channel.decode("utf-8", "replace")), ws_message=refresh),))
            case _:
                return BAD_REQUEST

    def _publish(self, items: Sequence[Item]) -> Reply | asyncio.Future[None]:
        try:
            waiting = self._sink.publish(items)
        except Exception as error:  # noqa: BLE001  # the root of what a message sets going: it must have its reply
            return refusal(error)
        return DONE if waiting is None else waiting

    def _send(self, envelope: Parts, request: Request, reply: Reply) -> None:
        log.info("command: %.200s %s", request.method, reply.condition or "done")
        if self._reader is None or self._reader.socket.closed:
            return
        # Who has gone gets nothing: a ROUTER drops what is for nobody.
        self._reader.socket.send_multipart([*envelope, encode_reply(reply, request_id=request.id)], zmq.NOBLOCK)
        self._reader.look_soon()

    def _send_later(self, envelope: Parts, request: Request, waiting: asyncio.Future[None]) -> None:
        """Reply when it is known what to. Until then nothing more is read."""
        self._waiting += 1
        if self._reader is not None:
            self._reader.pause()
        waiting.add_done_callback(partial(self._stored, envelope, request))

    def _stored(self, envelope: Parts, request: Request, waiting: asyncio.Future[None]) -> None:
        error = waiting.exception()
        self._send(envelope, request, DONE if error is None else refusal(error))
        self._waiting -= 1
        if not self._waiting and self._reader is not None:
            self._reader.resume()


def refusal(error: BaseException) -> Reply:
    """Return the reply to a publication that failed."""
    if isinstance(error, Busy):
        return Reply(value=str(error), condition="busy")
    log.error("command: publish failed: %.500r", error)
    return Reply(value="Internal server error.", condition="failed")


def not_supported(what: str) -> Reply:
    """Return the reply to a command that nobody can obey yet."""
    return Reply(value=f"Not supported yet: {what}.", condition="not-supported")


def read_items(request: Request) -> tuple[Item, ...]:
    """Read what a `publish` command brings. Raises ItemError: one bad item refuses all."""
    if "items" not in request.args:
        raise ItemError("object does not contain 'items'")
    values = request.args["items"]
    if not isinstance(values, list):
        raise ItemError("object contains 'items' with wrong type")
    return tuple(parse_tnet_item(value) for value in values)


def check_connections(request: Request) -> Reply:
    """Answer `conncheck`: that of no ids, or of what are none, is all that can be told yet."""
    match request.args:
        case {"ids": []}:
            return Reply(value=[])
        case {"ids": [*ids]} if all(isinstance(each, bytes) for each in ids):
            return not_supported("conncheck")
        case _:
            return BAD_REQUEST
