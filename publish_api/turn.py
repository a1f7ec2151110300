"""What comes in at once is published at once.

Connections hand in their publications as they read them; once in a turn of the loop, when all that has arrived is read,
the sink gets them in one call, in the order of their arrival. So a burst costs each subscriber one write, and each
publisher one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from handlers.broker import PublishSink
from handlers.errors import Busy
from publish_api.exchange import Exchange

log = logging.getLogger("holdfast.publish")


class Turn:
    """The publications of one turn of the loop. `add` may be called at any time, on the loop it was made on."""

    def __init__(self, sink: PublishSink, *, joins: bool) -> None:
        """`joins`: items of several publishers may go to the sink in one call.

        They may where it delivers them before it returns. Where they are stored first, each publisher's are to succeed
        or to fail by themselves.
        """
        self._sink = sink
        self._joins = joins
        self._call_soon = asyncio.get_running_loop().call_soon
        self._exchanges: list[Exchange] = []

    def add(self, exchange: Exchange) -> None:
        """Publish the items of `exchange`, answer it, and tell its connection. One that is answered is passed over."""
        if not self._exchanges:
            self._call_soon(self._run)
        self._exchanges.append(exchange)

    def _run(self) -> None:
        exchanges = self._exchanges
        self._exchanges = []
        if len(exchanges) > 1:
            exchanges = [exchange for exchange in exchanges if exchange.answer is None]
        if len(exchanges) < 2 or not (self._joins and self._publish_together(exchanges)):
            for exchange in exchanges:
                self._publish(exchange)
        for connection in {exchange.connection: None for exchange in exchanges}:
            connection.go_on()

    def _publish_together(self, exchanges: Sequence[Exchange]) -> bool:
        """Publish for all of them in one call; return False where they are to be published one by one."""
        try:
            self._sink.publish([item for exchange in exchanges for item in exchange.items])
        except Busy as error:  # which it is for each of them
            for exchange in exchanges:
                exchange.fail(error)
            return True
        except Exception:  # one by one they get an answer each, and only whose fault it is fails
            log.debug("%d publications failed together; trying them one by one", len(exchanges), exc_info=True)
            return False
        for exchange in exchanges:
            exchange.answer = exchange.plan.answer
        return True

    def _publish(self, exchange: Exchange) -> None:
        if exchange.answer is not None:
            return
        try:
            waiting = self._sink.publish(exchange.items)
        except Exception as error:  # noqa: BLE001  # the publisher is told, and the log
            exchange.fail(error)
            return
        if waiting is None:
            exchange.answer = exchange.plan.answer
        else:
            waiting.add_done_callback(partial(_finish, exchange))


def _finish(exchange: Exchange, stored: asyncio.Future[None]) -> None:
    error = asyncio.CancelledError() if stored.cancelled() else stored.exception()
    if error is None:
        exchange.answer = exchange.plan.answer
    else:
        exchange.fail(error)
    exchange.connection.go_on()
