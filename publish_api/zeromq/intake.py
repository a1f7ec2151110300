"""Takes the items that come to a ZeroMQ socket to the sink: those of one turn of the loop together, in their order.

They may be several publishers', so that one that fails takes no other with it: where the sink stores what it gets, and
where they fail together, each goes by itself.

A publisher by ZeroMQ gets no answer. So what is no item is logged, counted and skipped; and while the sink has no room,
or is storing, the socket is not read, so that ZeroMQ holds the publisher.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from handlers.broker import PublishSink
from handlers.counters import Counters
from handlers.errors import Busy, ItemError
from handlers.protocol.items import Item
from handlers.timers import Clock, TimerHandle
from publish_api.zeromq.reader import Parts, SocketReader

log = logging.getLogger("holdfast.publish")


class Intake:
    """One socket's way to the sink. `begin` once, then `close` once.

    `parse` reads a message, and raises ItemError; `name` is what the log calls the socket. `joins`: the sink may be
    given the items of several messages in one call (`publish_api.turn`). Until all that was read is done, nothing is
    read.
    """

    def __init__(
        self,
        sink: PublishSink,
        *,
        name: str,
        parse: Callable[[Parts], Sequence[Item]],
        max_message: int,
        clock: Clock,
        counters: Counters,
        joins: bool = False,
    ) -> None:
        self._sink = sink
        self._joins = joins
        self._name = name
        self._parse = parse
        self._max_message = max_message
        self._clock = clock
        self._counters = counters
        self._reader: SocketReader | None = None
        self._held: Sequence[Item] = ()
        """Items that the sink has not taken yet."""
        self._retry_after = 0
        """Seconds after which it may take them."""
        self._retry: TimerHandle | None = None
        self._is_storing = False

    def begin(self, reader: SocketReader) -> None:
        """Read from now on. `reader` gives its messages to `take`."""
        self._reader = reader
        reader.begin()

    def take(self, messages: Sequence[Parts]) -> None:
        """Hand on what came."""
        items: list[Item] = []
        for parts in messages:
            try:
                items += self._read(parts)
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
            self._retry.cancel()
        # What is being stored is delivered all the same; what waits for room is not.
        self._lose("stopping", len(self._held))
        self._held = ()

    def _read(self, parts: Parts) -> Sequence[Item]:
        size = sum(map(len, parts))
        if size > self._max_message:
            raise ItemError(f"{size} bytes, over zeromq.max_message")
        return self._parse(parts)

    def _publish(self, items: Sequence[Item]) -> None:
        self._held, self._retry = (), None
        if not (self._joins and len(items) > 1 and self._publish_together(items)):
            self._publish_each(items)
        self._go_on()

    def _publish_together(self, items: Sequence[Item]) -> bool:
        """Publish them in one call; return False where they are to be published one by one."""
        try:
            self._sink.publish(items)
        except Busy as error:
            self._hold(items, error)
        except Exception:  # one by one only those are lost whose fault it is
            log.debug("IN %s: %d items failed together; trying them one by one", self._name, len(items), exc_info=True)
            return False
        return True

    def _publish_each(self, items: Sequence[Item]) -> None:
        begun: list[Item] = []
        storing: list[asyncio.Future[None]] = []
        failures: list[BaseException] = []
        for index, item in enumerate(items):
            try:
                waiting = self._sink.publish((item,))
            except Busy as error:
                self._hold(items[index:], error)  # all of them, or they would overtake it
                break
            except Exception as error:  # noqa: BLE001  # the root of what a message sets going: the next must be taken
                failures.append(error)
            else:
                if waiting is not None:
                    begun.append(item)
                    storing.append(waiting)
        self._lose_by(failures)
        if storing:
            self._is_storing = True
            asyncio.gather(*storing, return_exceptions=True).add_done_callback(partial(self._stored, begun))

    def _stored(self, items: Sequence[Item], stored: asyncio.Future[list[BaseException | None]]) -> None:
        """End the publications of `items`. Those there was no room for are begun anew, before what is held already."""
        self._is_storing = False
        outcomes = stored.result()
        busy = [error for error in outcomes if isinstance(error, Busy)]
        if busy and self._reader is not None:
            again = [item for item, error in zip(items, outcomes, strict=True) if isinstance(error, Busy)]
            self._hold([*again, *self._held], busy[-1])
            outcomes = [error for error in outcomes if not isinstance(error, Busy)]
        self._lose_by([error for error in outcomes if error is not None])
        self._go_on()

    def _hold(self, items: Sequence[Item], error: Busy) -> None:
        self._held, self._retry_after = items, error.retry_after

    def _go_on(self) -> None:
        """Read on, unless something is being stored or held. What is held is published later."""
        if self._reader is None:
            return
        if not (self._is_storing or self._held):
            self._reader.resume()
            return
        self._reader.pause()
        if not self._is_storing:
            self._retry = self._clock.call_later(self._retry_after, lambda: self._publish(self._held))

    def _lose_by(self, errors: Sequence[BaseException]) -> None:
        """Tell of an item lost for each of `errors`: in one line those that say the same."""
        for why, count in Counter(map(repr, errors)).items():
            self._lose(why, count)

    def _lose(self, why: str, count: int) -> None:
        if count:
            self._counters.zeromq_failed += count
            log.error("IN %s: %d items not delivered: %.500s", self._name, count, why)
