"""Takes the items that come to a ZeroMQ socket to the sink: those of one turn of the loop together, in their order.

A publisher by ZeroMQ gets no answer. So what is no item is logged, counted and skipped; and while the sink has no room,
or is storing, the socket is not read, so that ZeroMQ holds the publisher.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from handlers.counters import Counters
from handlers.errors import Busy, ItemError
from handlers.protocol.items import Item
from handlers.timers import Clock, TimerHandle
from publish_api.turn import PublishSink
from publish_api.zeromq.reader import Parts, SocketReader

log = logging.getLogger("holdfast.publish")


class Intake:
    """One socket's way to the sink. `begin` once, then `close` once.

    `parse` reads a message, and raises ItemError; `name` is what the log calls the socket. There is never more than one
    publication under way: until it is done nothing is read.
    """

    def __init__(
        self,
        sink: PublishSink,
        *,
        name: str,
        parse: Callable[[Parts], Item],
        max_message: int,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._sink = sink
        self._name = name
        self._parse = parse
        self._max_message = max_message
        self._clock = clock
        self._counters = counters
        self._reader: SocketReader | None = None
        self._held: Sequence[Item] = ()
        """Items that the sink has not taken yet."""
        self._retry: TimerHandle | None = None

    def begin(self, reader: SocketReader) -> None:
        """Read from now on. `reader` gives its messages to `take`."""
        self._reader = reader
        reader.begin()

    def take(self, messages: Sequence[Parts]) -> None:
        """Hand on what came."""
        items: list[Item] = []
        for parts in messages:
            try:
                items.append(self._read(parts))
            except ItemError as error:
                self._counters.zeromq_refused += 1
                log.warning("IN %s: received message with invalid format: %.500s, skipping", self._name, error.text)
        if items:
            self._counters.zeromq_items += len(items)
            self._publish(items)

    def close(self) -> None:
        """Read no more. Items that are still held are lost, which is logged and counted."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._retry is not None:
            # What is being stored is delivered all the same; what waits for room is not.
            self._retry.cancel()
            self._lose("stopping")

    def _read(self, parts: Parts) -> Item:
        size = sum(map(len, parts))
        if size > self._max_message:
            raise ItemError(f"{size} bytes, over zeromq.max_message")
        return self._parse(parts)

    def _publish(self, items: Sequence[Item]) -> None:
        self._held, self._retry = items, None
        try:
            waiting = self._sink.publish(items)
        except Exception as error:  # noqa: BLE001  # the root of what a message sets going: the next one must be read
            self._end(error)
        else:
            if waiting is None:
                self._end(None)
            else:
                if self._reader is not None:
                    self._reader.pause()
                waiting.add_done_callback(self._stored)

    def _stored(self, waiting: asyncio.Future[None]) -> None:
        self._end(waiting.exception())

    def _end(self, error: BaseException | None) -> None:
        """End the publication of the items that are held, or begin it anew later; read on, or not."""
        if isinstance(error, Busy) and self._reader is not None:
            self._reader.pause()
            self._retry = self._clock.call_later(error.retry_after, lambda: self._publish(self._held))
            return
        if error is not None:
            self._lose(repr(error))
        self._held = ()
        if self._reader is not None:
            self._reader.resume()

    def _lose(self, why: str) -> None:
        self._counters.zeromq_failed += len(self._held)
        log.error("IN %s: %d items not delivered: %.500s", self._name, len(self._held), why)
