"""One request over ZHTTP and its answer: whose turn it is, how much may be sent, and when to give up.

A machine: it is told what came and what time it is, and says in `outbox` what is to be sent and in the other attributes
what has come of the answer. Made by `proxy.zhttp.call`, which knows the sockets. Two kinds: streamed, in which both
sides send pieces against credits and tell each other that they live (`zhttp/`), and whole, in which each side sends one
message (`zhttpreq/`).
"""

from __future__ import annotations

import math

from handlers.protocol.http1 import has_body
from proxy.protocol.answer_head import AnswerHead, AnswerHeadError, check_answer_head
from proxy.protocol.zhttp import (
    CANCEL,
    CREDIT,
    DATA,
    ERROR,
    HANDOFF_PROCEED,
    HANDOFF_START,
    KEEP_ALIVE,
    RequestStart,
    ZhttpAnswer,
    ZhttpRequest,
    encode_request,
)

CREDITS = 200_000
"""Bytes of an answer's body that a worker may send ahead: Pushpin's number."""
OVERRUN_LIMIT = 10 * CREDITS
"""Bytes beyond which a worker that does not care about credits is cut off."""
SILENCE_SECONDS = 60.0
"""How long a worker may say nothing until it counts as gone (reference 3.16)."""
KEEP_ALIVE_SECONDS = 45.0
"""How often the worker is told that we still wait."""

SILENT = "silent"
"""The condition of an exchange whose worker has said nothing for too long; no worker sends this word."""


class Failure(Exception):
    """There will be no more of the answer. `condition` is the worker's word, or ours; `detail` is for the log."""

    def __init__(self, condition: str, detail: str = "") -> None:
        super().__init__(condition, detail)
        self.condition = condition
        self.detail = detail or condition

    def __str__(self) -> str:
        return self.detail


class ZhttpExchange:
    """The client's side of one exchange. `open` once, then any of the others until it `is_ended`."""

    __slots__ = (
        "_expires",
        "_is_head",
        "_is_paused",
        "_keep_alive",
        "_left",
        "_name",
        "_owed",
        "_received",
        "_sender",
        "_seq_in",
        "_seq_out",
        "_silence",
        "_stream",
        "credits",
        "failure",
        "head",
        "is_complete",
        "is_request_sent",
        "outbox",
        "peer",
        "pieces",
    )

    def __init__(self, *, sender: bytes, name: bytes, silence: float = SILENCE_SECONDS) -> None:
        """`name` is the exchange's own, at our address; `silence` is how many seconds the worker may say nothing."""
        self._sender = sender
        self._name = name
        self._silence = silence
        self._stream = True
        self._is_head = False
        self._seq_in = self._seq_out = 0
        self._expires = self._keep_alive = math.inf
        self._left: int | None = None  # bytes of the answer's body that may come, None for any number
        self._received = self._owed = 0  # bytes of the answer's body: not read yet, and read but not paid for
        self._is_paused = False
        self.credits = 0
        """Bytes of the request's body that the worker takes now."""
        self.is_request_sent = False
        self.head: AnswerHead | None = None
        self.pieces: list[bytes] = []
        """What has come of the answer's body; whoever reads it empties the list."""
        self.is_complete = False
        self.failure: Failure | None = None
        self.peer = b""
        """The worker's address, empty until it has said something."""
        self.outbox: list[bytes] = []
        """What is to be sent: the first message to any worker, the others to `peer`."""

    @property
    def is_ended(self) -> bool:
        """Whether nothing more can come."""
        return self.is_complete or self.failure is not None

    @property
    def owes(self) -> bool:
        """Whether something has come for which the worker may be given credits once it is read."""
        return self._received > 0

    @property
    def deadline(self) -> float:
        """When `tick` wants to be called."""
        return math.inf if self.is_ended else min(self._expires, self._keep_alive)

    def open(self, now: float, start: RequestStart, body: bytes, *, more: bool) -> None:
        """Begin the request; with `more` its body goes on, as far as `credits` allow, until it was ended."""
        self._stream = start.stream
        self._is_head = start.method == b"HEAD"
        self._expires = now + self._silence
        self.is_request_sent = not more
        self._send(DATA, start=start, body=body, more=more, room=CREDITS if start.stream else 0)

    def reached(self, now: float) -> None:
        """The first message has left: the worker's time begins."""
        self._expires = now + self._silence

    def give(self, body: bytes, *, more: bool) -> None:
        """Send a piece of the request's body, of no more than `credits` bytes."""
        self.credits -= len(body)
        self.is_request_sent = not more
        self._send(DATA, body=body, more=more)

    def grant(self) -> None:
        """Everything that has come was read: let as much come again."""
        self._owed += self._received
        self._received = 0
        self._pay()

    def cancel(self) -> None:
        """Give the exchange up; the worker is told if it is known."""
        if self._may_send:
            self._send(CANCEL)
        self._fail("cancelled")

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.is_ended:
            return
        if now >= self._expires:
            if self._may_send:
                self._send(CANCEL)
            self._fail(SILENT, f"no word from the worker within {self._silence:g} seconds")
        elif now >= self._keep_alive:
            self._keep_alive = now + KEEP_ALIVE_SECONDS
            if self._may_send:
                self._send(KEEP_ALIVE)

    def receive(self, now: float, message: ZhttpAnswer, seq: int | None) -> None:
        """Take a message of the worker's, which is the one numbered `seq` of this exchange."""
        if self.is_ended:
            return
        if message.type == ERROR:
            self._fail(message.condition or "error")
        elif message.type == CANCEL:
            self._fail(CANCEL, "the worker gave the request up")
        elif not self._stream:
            self._take_whole(message)
        elif seq != self._seq_in:
            self._refuse(f"message {seq} came in place of {self._seq_in}", peer=message.sender)
        else:
            self._seq_in += 1
            self._take(now, message)

    def _take_whole(self, message: ZhttpAnswer) -> None:
        if message.type != DATA or message.more:
            self._fail("malformed", "the worker's answer is not whole")
            return
        self._take_data(message)

    def _take(self, now: float, message: ZhttpAnswer) -> None:
        self._expires = now + self._silence
        if message.sender:
            if not self.peer:
                self._keep_alive = now + KEEP_ALIVE_SECONDS
            self.peer = message.sender
        elif not self.peer:
            self._fail("malformed", "the worker does not say who it is")
            return
        self._is_paused = False
        self._pay()
        if message.type in {DATA, CREDIT}:
            self.credits += message.credits
        if message.type == DATA:
            self._take_data(message)
        elif message.type == HANDOFF_START:
            self._send(HANDOFF_PROCEED)
            self._is_paused = True  # until whoever takes over has said who that is

    def _take_data(self, message: ZhttpAnswer) -> None:
        if self.head is None:
            if message.status is None:
                self._refuse("the answer has no status")
                return
            try:
                head = check_answer_head(status=message.status, reason=message.reason, headers=message.headers)
            except AnswerHeadError as error:
                self._refuse(f"the answer is malformed: {error}")
                return
            self.head = self._with_length(head, message)
            self._left = self.head.length if has_body(method=b"", status=head.status) and not self._is_head else None
        body = message.body
        excess = 0 if self._left is None else len(body) - self._left
        if excess > 0:
            body = body[: self._left]
        if body:
            self.pieces.append(body)
            self._received += len(body)
            self._left = None if self._left is None else self._left - len(body)
        if excess > 0:
            self._refuse("the answer is longer than it said")
        elif not message.more:
            self.is_complete = True
        elif self._received > OVERRUN_LIMIT:
            self._refuse("the worker sends more than it has credits for")

    def _with_length(self, head: AnswerHead, message: ZhttpAnswer) -> AnswerHead:
        """Say how long the body is, as far as that is known: here it does not decide where the answer ends."""
        length = head.length
        if not message.more and not self._is_head and has_body(method=b"", status=head.status):
            length = len(message.body)
        return AnswerHead(
            status=head.status,
            reason=head.reason,
            headers=head.headers,
            length=length,
            chunked=length is None,
            dropped=head.dropped,
        )

    def _pay(self) -> None:
        if self._owed and self._may_send:
            owed, self._owed = self._owed, 0
            self._send(CREDIT, room=owed)

    @property
    def _may_send(self) -> bool:
        return self._stream and bool(self.peer) and not self._is_paused and not self.is_ended

    def _refuse(self, detail: str, *, peer: bytes = b"") -> None:
        self.peer = self.peer or peer
        if self._may_send:
            self._send(CANCEL)
        self._fail("malformed", detail)

    def _fail(self, condition: str, detail: str = "") -> None:
        if not self.is_ended:
            self.failure = Failure(condition, detail)

    def _send(
        self, kind: str, *, start: RequestStart | None = None, body: bytes = b"", more: bool = False, room: int = 0
    ) -> None:
        seq = self._seq_out if self._stream else None
        self._seq_out += 1
        message = ZhttpRequest(
            sender=self._sender,
            id=self._name,
            seq=seq,
            type=kind,
            credits=room,
            more=more,
            body=body,
            start=start,
        )
        self.outbox.append(encode_request(message))
