"""The command socket: who publishes asks here where to, or publishes right here (reference 7.3).

A ROUTER that takes REQ and DEALER sockets. Every well-formed request gets one reply; a message that is none gets none,
as it may not be from somebody who waits for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import zmq

from handlers.broker import PublishSink
from handlers.counters import Counters
from handlers.errors import Busy, ItemError
from handlers.protocol.fields import decode_field
from handlers.protocol.item_tnet import parse_tnet_item_channels
from handlers.protocol.items import Action, Item, WsMessageFormat
from handlers.protocol.names import Channel
from handlers.protocol.survey import FindConnections, Findings, RefreshConnection
from publish_api.control import Surveyor
from publish_api.protocol.command_message import Reply, Request, RequestError, encode_reply, parse_request
from publish_api.zeromq.reader import Parts, SocketReader

log = logging.getLogger("holdfast.publish")

DONE = Reply()
BAD_REQUEST = Reply(condition="bad-request")
METHOD_NOT_FOUND = Reply(condition="method-not-found")
NOT_ANSWERED = Reply(condition="proxy-request-failed")
"""A worker does not say what it holds. The condition is what the reference has where it gets no answer either."""

OPEN_BYTES = 4_000_000
"""What questions for connections may weigh that are unanswered. A worker that hangs leaves them so for seconds."""

QUESTION_BYTES = 4_000
"""What a question weighs but for the ids in it, so that there are 1,000 small ones."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that is under way, and how to make a reply of what is found."""

    findings: asyncio.Future[Findings]
    shape: Callable[[Findings], Reply]
    weight: int


Outcome = Reply | Asked | asyncio.Future[None]
"""A reply, or when it will be known: of a publication that it is stored."""


class Commands:
    """Obeys commands, one after the other. `begin` once, then `close` once.

    Whoever asks for connections has the reply when it is there, and nobody else waits for that.
    `uris` are endpoints by the names under which `get-zmq-uris` tells them. `recover` is called for the command of that
    name, `surveyor` asked by `conncheck` and `refresh`; None says that nobody can obey them.
    """

    def __init__(
        self,
        sink: PublishSink,
        *,
        uris: Mapping[str, str],
        max_message: int,
        counters: Counters,
        recover: Callable[[], None] | None = None,
        surveyor: Surveyor | None = None,
    ) -> None:
        self._sink = sink
        self._uris = uris
        self._max_message = max_message
        self._counters = counters
        self._recover = recover
        self._surveyor = surveyor
        self._reader: SocketReader | None = None
        self._unstored = 0
        self._unanswered = 0  # bytes

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
            match self._obey(request):
                case Reply() as reply:
                    self._send(envelope, request, reply)
                case Asked() as asked:
                    self._send_once_answered(envelope, request, asked)
                case stored:
                    self._send_once_stored(envelope, request, stored)

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

    def _obey(self, request: Request) -> Outcome:
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
                return self._check_connections(request)
            case _:
                return METHOD_NOT_FOUND

    def _publish_items(self, request: Request) -> Outcome:
        try:
            items = read_items(request)
        except ItemError as error:
            return Reply(value=f"Invalid format: {error.text}", condition="bad-request")
        return self._publish(items)

    def _refresh(self, request: Request) -> Outcome:
        match request.args:
            case {"cid": bytes(cid)}:
                return self._ask(RefreshConnection(cid.decode("utf-8", "replace")), refreshed)
            case {"channel": bytes(channel), **rest} if "cid" not in rest:
                refresh = WsMessageFormat(action=Action.REFRESH)
                return self._publish((Item(channel=Channel(decode_field(channel)), ws_message=refresh),))
            case _:
                return BAD_REQUEST

    def _check_connections(self, request: Request) -> Outcome:
        match request.args:
            case {"ids": [*ids]} if all(isinstance(each, bytes) for each in ids):
                asked = tuple(each.decode("utf-8", "replace") for each in ids if isinstance(each, bytes))
                return self._ask(FindConnections(asked), partial(checked, asked)) if asked else Reply(value=[])
            case _:
                return BAD_REQUEST

    def _ask(self, question: FindConnections | RefreshConnection, shape: Callable[[Findings], Reply]) -> Outcome:
        """Ask whoever holds connections; `shape` makes a reply of what they find."""
        if self._surveyor is None:
            return not_supported("asking for connections")
        weight = weigh(question)
        if self._unanswered and self._unanswered + weight > OPEN_BYTES:
            self._counters.questions_refused += 1
            return Reply(value="Too many questions for connections are unanswered.", condition="busy")
        findings = self._surveyor.ask(question)
        if findings.done():
            return shape(findings.result())
        return Asked(findings, shape, weight)

    def _publish(self, items: Sequence[Item]) -> Outcome:
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

    def _send_once_answered(self, envelope: Parts, request: Request, asked: Asked) -> None:
        """Reply when it is known what to. What comes meanwhile is obeyed: it may be publications."""
        self._unanswered += asked.weight
        asked.findings.add_done_callback(lambda _: self._answered(envelope, request, asked))

    def _answered(self, envelope: Parts, request: Request, asked: Asked) -> None:
        self._unanswered -= asked.weight
        self._send(envelope, request, asked.shape(asked.findings.result()))

    def _send_once_stored(self, envelope: Parts, request: Request, stored: asyncio.Future[None]) -> None:
        """Reply when the publication is stored. Until then nothing more is read."""
        self._unstored += 1
        if self._reader is not None:
            self._reader.pause()
        stored.add_done_callback(partial(self._stored, envelope, request))

    def _stored(self, envelope: Parts, request: Request, stored: asyncio.Future[None]) -> None:
        error = stored.exception()
        self._send(envelope, request, DONE if error is None else refusal(error))
        self._unstored -= 1
        if not self._unstored and self._reader is not None:
            self._reader.resume()


def weigh(question: FindConnections | RefreshConnection) -> int:
    """Return how many bytes a question keeps while it is unanswered, about."""
    ids = question.ids if isinstance(question, FindConnections) else (question.id,)
    return QUESTION_BYTES + sum(map(len, ids))


def refusal(error: BaseException) -> Reply:
    """Return the reply to a publication that failed."""
    if isinstance(error, Busy):
        return Reply(value=str(error), condition="busy")
    log.error("command: publish failed: %.500r", error)
    return Reply(value="Internal server error.", condition="failed")


def not_supported(what: str) -> Reply:
    """Return the reply to a command that nobody here can obey."""
    return Reply(value=f"Not supported: {what}.", condition="not-supported")


def read_items(request: Request) -> tuple[Item, ...]:
    """Read what a `publish` command brings. Raises ItemError: one bad item refuses all."""
    if "items" not in request.args:
        raise ItemError("object does not contain 'items'")
    values = request.args["items"]
    if not isinstance(values, list):
        raise ItemError("object contains 'items' with wrong type")
    return tuple(item for value in values for item in parse_tnet_item_channels(value))


def checked(asked: Sequence[str], found: Findings) -> Reply:
    """Reply to `conncheck`: which of the ids are those of connections that are there, in the order asked."""
    if found.missing:
        return NOT_ANSWERED
    there = {name for row in found.connections for name in (row.id, row.hold_id.text)}
    return Reply(value=[each for each in asked if each in there])


def refreshed(found: Findings) -> Reply:
    """Reply to `refresh` with a `cid`."""
    if found.connections:
        return DONE
    return NOT_ANSWERED if found.missing else Reply(condition="item-not-found")
