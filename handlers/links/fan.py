"""Hands what is published to every worker, and says when they are too far behind to be given more.

It is the broker's outlet, the bridge's and the hub's relay. There is no routing by interest: each worker gets all of it
and looks for its own sessions, so that a session has nothing to register here and misses nothing from the moment it
sits on its worker's edge.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from handlers.counters import Counters
from handlers.errors import Busy
from handlers.links.share import share_out
from handlers.links.worker_link import WorkerLink
from handlers.protocol.items import Item
from handlers.protocol.link import Committed, Down, Items, Recover, encode_down, stored_rows
from handlers.protocol.mercure.update import StoredUpdate
from handlers.protocol.rate import Seldom
from handlers.timers import Clock

log = logging.getLogger("holdfast.worker")

RETRY_AFTER = 1
"""Seconds after which a publisher may try again: a worker that lives has then taken a good part of its backlog."""

ANSWER_SECONDS = 5.0
"""For how long a worker may owe something and still count as one that answers."""


class Fan:
    """All workers that can be sent to. `join` one when it has said that it listens, `leave` when it has ended."""

    counted = "workers"
    """What the numbers that come back count."""

    def __init__(self, *, clock: Clock, counters: Counters, backlog: int) -> None:
        """`backlog`: bytes that a worker may be behind with before publications are refused."""
        self.workers: list[WorkerLink] = []
        self._clock = clock
        self._counters = counters
        self._backlog = backlog
        self._refusals = Seldom()

    def join(self, worker: WorkerLink, first: Down) -> None:
        """Send everything to `worker` from now on, beginning with `first`."""
        worker.send(first)
        self.workers.append(worker)

    def leave(self, worker: WorkerLink) -> None:
        """Send nothing more to `worker`; harmless when it is not there."""
        if worker in self.workers:
            self.workers.remove(worker)

    def tell(self, message: Down) -> int:
        """Send a message to every worker; return how many there are. It is encoded once."""
        data = encode_down(message)
        for worker in self.workers:
            worker.send_encoded(data)
        return len(self.workers)

    def deliver_all(self, items: Sequence[Item]) -> list[int]:
        """Have `items` delivered by every worker, in their order; return for each how many workers have it."""
        if not items:
            return []
        reached = [self.tell(Items(tuple(piece))) for piece in share_out(items)]
        return reached[:1] * len(items)

    def deliver_once(self, items: Sequence[Item]) -> int:
        """Have each session given the first of `items` that reaches it; return how many workers have them."""
        return self.tell(Items(tuple(items), once=True))

    def recover(self) -> None:
        """Have every worker's held connections ask their backends again (`Edge.recover`)."""
        self.tell(Recover())

    def relay(self, batch: Sequence[StoredUpdate]) -> int:
        """Have updates that are stored delivered by every worker; return how many have them."""
        return self.tell(Committed(stored_rows(batch)))

    @property
    def has_room(self) -> bool:
        """Whether no worker is too far behind to be given more."""
        return all(_behind(worker) <= self._backlog for worker in self.workers)

    def is_answered(self) -> bool:
        """Say whether some worker that serves answers. One that hangs is found out by asking again and again."""
        oldest = self._clock.now() - ANSWER_SECONDS
        owing = [worker.owes_since() for worker in self.workers if worker.is_ready]
        return any(since > oldest for since in owing)

    def check_room(self, publications: int) -> None:
        """Raise Busy when a worker is too far behind for `publications` more, which are then counted as refused."""
        if self.has_room:
            return
        behind = max(self.workers, key=_behind)
        self._counters.publications_over_backlog += publications
        if self._refusals.take(self._clock.now()):
            text = "worker %d is %d bytes behind: publications are refused (said every 10 seconds)"
            log.warning(text, behind.number, _behind(behind))
        raise Busy(RETRY_AFTER)


def _behind(worker: WorkerLink) -> int:
    return worker.outstanding.bytes
