"""A publisher's connection: requests in, as many as have come, and their answers out, in that order.

Made by `publish_api.http` for each accepted socket. A publication costs no task: it is read here, published by
`publish_api.turn` at the end of the loop's turn, and all answers that are due are written at once. Only the hub's
requests, which wait for a token's check and for a commit, have a task each, one at a time on a connection.

What is no request is told so and ends the connection. So does whoever leaves too many answers unread, or a body unsent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, cast

from handlers.protocol.http1 import CONTINUE
from publish_api.body import INCOMPLETE, NOT_IN_TIME, Body
from publish_api.due import Due
from publish_api.errors import AuthError, RequestRefused
from publish_api.exchange import Exchange
from publish_api.plan import EXCEEDED, LONG, UNKNOWN, WITHOUT_BODY, Kind, Plan, refuse
from publish_api.protocol.request_head import HEAD_END, BadHead, PartialHead, check_behind
from publish_api.request import Request
from publish_api.site import PublishSite

log = logging.getLogger("holdfast.publish")

UNREAD_LIMIT: Final = 65_536
"""Bytes of answers a pipelining publisher may leave unread; behind them its connection ends."""

READ_AHEAD: Final = 65_536
"""Bytes that are kept of a publisher whose requests have to wait; with more it is not read from."""

TAKEN_LIMIT: Final = 1_048_576
"""Bytes of the requests that may wait for their answers; behind them the next have to wait to be begun."""

TAKEN_EACH: Final = 1024
"""What a request counts in that, beside its body."""


class PublishConnection(asyncio.Protocol):
    """One publisher's connection. All methods are called on the loop's thread."""

    __slots__ = (
        "_body",
        "_due",
        "_exchanges",
        "_has_ended",
        "_is_held",
        "_is_last",
        "_is_lingering",
        "_is_paused",
        "_is_stopping",
        "_kept",
        "_lingers",
        "_partial",
        "_request",
        "_site",
        "_taken",
        "_transport",
        "_unread",
    )

    def __init__(self, site: PublishSite) -> None:
        self._site = site
        self._transport: asyncio.Transport
        self._exchanges: deque[Exchange] = deque()  # those not yet answered, or behind one that is not
        self._partial: PartialHead | None = None
        self._body: Body | None = None  # of the last exchange
        self._request: Request | None = None  # the last exchange's, if it is the hub's
        self._kept = b""  # what has come behind a request that must be answered first
        self._is_held = False  # there is such a request
        self._taken = 0
        self._is_last = False  # no further request is begun
        self._unread = 0  # bytes of the last request's body that are still to come, and not wanted
        self._lingers = False  # it cannot be known how much is still to come
        self._is_lingering = False
        self._is_paused = False
        self._is_stopping = False
        self._has_ended = False  # the publisher has closed its half
        self._due = Due(site.clock, self._expire)

    # -- what the loop calls --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._site.connections.add(self)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Begin the requests that have come. Behind bytes that are no request nothing is read as one."""
        body = self._body
        if body is not None:
            data = body.feed(data)
            if body.missing:
                self._pause_if(body.size > READ_AHEAD and self._request is not None and not self._request.is_read)
                return
            self._finish_body(body)
        if self._is_last and body is not None:
            self._look_behind(data)
        elif self._is_last:
            self._discard(len(data))
        elif self._partial is not None:
            self._read_partial(self._partial, data)
        else:
            self._read(data, is_behind=body is not None)
        self.go_on()

    def eof_received(self) -> bool:
        """Answer a publisher that closes its sending half behind its request (as `nc -N` does) before closing."""
        if self._body is not None:
            if len(self._exchanges) == 1:
                self._transport.close()
            self._lose_body(INCOMPLETE)
        self._has_ended = bool(self._exchanges) and not self._transport.is_closing()
        # By TLS there is no closing of one half: what is asked for is done, and nobody is there for the answer.
        return self._has_ended and self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything but the requests that are being answered: what they publish stays published."""
        self._site.leave(self)
        self._due.close()
        self._is_last = True
        if self._body is not None:
            self._lose_body(INCOMPLETE)

    # -- what others call -----------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Write the answers that are due, and begin the requests that had to wait for them."""
        while self._exchanges and self._exchanges[0].answer is not None:
            self._write_answers()
            if self._exchanges:
                self._tell_to_send()
                return
            if self._is_last:
                self._end()
                return
            self._is_held = False
            self._await_request()
            if self._kept:
                self._read(b"")
            if len(self._kept) <= READ_AHEAD:
                self._resume()
            if self._has_ended and self._body is not None:
                self._lose_body(INCOMPLETE)
        if self._has_ended and not self._exchanges:
            self._transport.close()

    def stop(self) -> None:
        """Close once what has been begun is answered."""
        self._is_stopping = True
        if self._is_lingering:
            self._transport.abort()
        elif not self._exchanges:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    # -- reading requests -----------------------------------------------------------------------------------------

    def _read(self, data: bytes, *, is_behind: bool = False) -> None:
        """Begin the requests in what was kept and `data`, as far as they are here and may begin now.

        `is_behind`: the end of the last request's body has come with `data`, just before it.
        """
        if self._kept:
            data, self._kept = self._kept + data, b""
        start = 0
        while start < len(data):
            if self._is_held or self._taken > TAKEN_LIMIT:
                self._kept = data[start:]
                self._pause_if(len(self._kept) > READ_AHEAD)
                return
            end = data.find(HEAD_END, start) + len(HEAD_END)
            try:
                if end < len(HEAD_END):
                    self._partial = PartialHead(limit=self._site.settings.max_head)
                    self._partial.feed(data[start:])
                    return
                plan = self._site.planner.plan(data[start:end])
            except BadHead as error:
                if end >= len(HEAD_END) and not data[start:end].strip(b"\r\n"):
                    start = end
                    continue
                self._refuse_bytes(error, is_behind=is_behind)
                return
            start, is_behind = self._begin(plan, data, end), True
            if self._is_last:
                self._look_behind(data[start:])
                return

    def _read_partial(self, partial: PartialHead, data: bytes) -> None:
        try:
            whole = partial.feed(data)
        except BadHead as error:
            self._refuse_bytes(error, is_behind=False)
            return
        if whole is not None:
            self._partial = None
            self._read(whole)

    def _begin(self, plan: Plan, data: bytes, start: int) -> int:
        """Begin a request whose body is at `start` in `data`; return where the next one is."""
        stop = start + plan.length
        missing = stop - len(data)
        exchange = Exchange(self, plan)
        self._exchanges.append(exchange)
        self._taken += plan.length + TAKEN_EACH
        if plan.is_protected:
            try:
                self._site.authorization.check(plan.authorization, plan.scope)
            except AuthError as error:
                exchange.refuse(RequestRefused(error.status, error.text, ((b"WWW-Authenticate", error.challenge),)))
        if exchange.answer is not None or plan.kind in WITHOUT_BODY:
            self._answer_at_once(exchange, missing)
        elif plan.kind is Kind.HUB:
            self._ask_the_hub(exchange, data[start:stop], missing)
        else:
            exchange.owes_continue = plan.head.expects_continue
            if missing > 0:
                self._body = Body(plan.length, data[start:])
                self._await_body()
            else:
                self._site.publish(exchange, data[start:stop])
        self._is_last = not exchange.keeps_open
        return stop

    def _answer_at_once(self, exchange: Exchange, missing: int) -> None:
        """Answer a request whose body is not wanted. Where it is not here yet, nothing behind it is read."""
        plan = exchange.plan
        if plan.kind is Kind.METRICS:
            self._site.show_metrics(exchange)
        elif exchange.answer is None:
            self._site.obey(exchange)
        self._is_held = plan.kind in LONG  # the next only when it is known whether this one is read
        if missing > 0:
            exchange.keeps_open = False
            self._unread = missing
        self._lingers = plan.head.has_coding

    def _ask_the_hub(self, exchange: Exchange, body: bytes, missing: int) -> None:
        """Have the hub answer, which may want the body, and when it does may find that it is not here yet."""

        def ask() -> None:
            exchange.owes_continue = exchange.plan.head.expects_continue
            if self._body is not None:
                self._await_body()

        def answered() -> None:
            if self._body is not None:
                self._drop_body(self._body)
            self.go_on()

        self._is_held = True
        request = Request(exchange.plan.head, None if missing > 0 else body, ask)
        if missing > 0:
            self._request, self._body = request, Body(exchange.plan.length, body)
        self._site.ask_the_hub(exchange, request, answered)

    # -- bodies ---------------------------------------------------------------------------------------------------

    def _await_body(self) -> None:
        self._resume()
        self._tell_to_send()
        self._due.set(self._site.settings.request_timeout)

    def _tell_to_send(self) -> None:
        """Send 100 (Continue) to a publisher that waits for it, once all that was before is answered."""
        exchange = self._exchanges[0]
        if exchange.owes_continue and self._body is not None and len(self._exchanges) == 1:
            exchange.owes_continue = False
            self._write(CONTINUE)

    def _finish_body(self, body: Body) -> None:
        request, self._request, self._body = self._request, None, None
        if request is not None:
            request.receive(body.join())
        else:
            self._site.publish(self._exchanges[-1], body.join())

    def _lose_body(self, error: RequestRefused) -> None:
        """Answer the last request, whose body does not come, in its turn."""
        request, body = self._request, self._body
        if request is not None:
            request.refuse(error)  # its task answers
        elif body is not None:
            self._exchanges[-1].refuse(error)
            self._drop_body(body)
            self.go_on()

    def _drop_body(self, body: Body) -> None:
        """Want no more of the last request's body. Nothing behind it is read."""
        self._unread = body.missing
        self._request = self._body = None
        self._exchanges[-1].keeps_open = False
        self._is_last = True
        self._resume()

    # -- what is no request ---------------------------------------------------------------------------------------

    def _refuse_bytes(self, error: BadHead, *, is_behind: bool) -> None:
        """Answer bytes that are no request. If they came with the request before them, it is they that make it one."""
        text = EXCEEDED if is_behind else error.text
        refused = Exchange(self, UNKNOWN)
        refused.answer = refuse(RequestRefused(400, text), note=f" error={text!r} ({error.reason})")
        if is_behind:
            self._exchanges.pop().answer = refused.answer  # so that it is not published
        self._exchanges.append(refused)
        self._partial = None
        self._is_last = self._lingers = True

    def _look_behind(self, data: bytes) -> None:
        """Refuse the last request when the bytes behind it are no request: its length is not what it said."""
        plan = self._exchanges[-1].plan
        if plan.head.has_coding or plan.kind is Kind.HUB:  # whose request is under way
            return
        try:
            check_behind(plan.head, data)
        except BadHead as error:
            self._refuse_bytes(error, is_behind=True)

    # -- answers --------------------------------------------------------------------------------------------------

    def _write_answers(self) -> None:
        """Write the answers up to the first that is not known yet. There must be one."""
        exchanges, written = self._exchanges, []
        is_ending = self._is_stopping or (self._has_ended and not self._kept)
        if self._transport.get_write_buffer_size() >= UNREAD_LIMIT:
            is_ending = self._lingers = True
        while exchanges and exchanges[0].answer is not None:
            exchange = exchanges.popleft()
            if is_ending and not exchanges:
                exchange.keeps_open = False
                self._is_last = True
            written.append(exchange.encode())
            exchange.note(self._site.counters)
        self._write(written[0] if len(written) == 1 else b"".join(written))

    def _write(self, data: bytes) -> None:
        # One that is closing takes no more: the publisher has left, and takes nothing back by it.
        if not self._transport.is_closing():
            self._transport.write(data)

    def _end(self) -> None:
        """Close behind the last answer: not before the rest has come of what is not wanted.

        Closing on bytes that are not yet read would destroy the answer on its way.
        """
        seconds = self._site.settings.linger_timeout
        is_done = self._has_ended or not (self._lingers or self._unread > 0)
        self._is_lingering = True
        if is_done or not seconds or self._transport.is_closing():
            self._due.set(self._site.settings.request_timeout)  # for a publisher that does not read its answers
            self._transport.close()
            return
        self._due.set(seconds)
        self._resume()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _discard(self, size: int) -> None:
        self._unread -= size
        if self._is_lingering and not self._lingers and self._unread <= 0:
            self._transport.close()

    # -- time and flow --------------------------------------------------------------------------------------------

    def _await_request(self) -> None:
        self._taken = 0
        # Also the time in which a new connection's first request must have come.
        self._due.set(self._site.settings.keep_alive_timeout or self._site.settings.request_timeout)

    def _expire(self) -> None:
        if self._is_lingering:
            log.debug("a publisher went on sending, or left its answers unread; cut")
            self._transport.abort()
        elif self._body is not None and (self._request is None or self._request.is_read):
            self._lose_body(NOT_IN_TIME)
        elif not self._exchanges:
            self._transport.close()

    def _pause_if(self, is_enough: bool) -> None:
        if is_enough and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()
