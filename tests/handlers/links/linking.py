"""Two ends of a link in the test's own process, and what the tests of links put at either end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from handlers.links.link import Link, open_parents_end, open_workers_end
from handlers.links.tally import Tally
from handlers.links.worker_link import Desk, WorkerLink
from handlers.protocol.link import Down, Up, encode_up, parse_down
from tests.support.clock import ManualClock
from tests.support.turns import until


@contextmanager
def ends() -> Iterator[tuple[Link, Link]]:
    """Open a link; yield the parent's end and the worker's."""
    with tempfile.TemporaryDirectory(prefix="link-") as folder:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        path = Path(folder) / "link"
        parent, worker = open_parents_end(context, path), open_workers_end(context, path)
        try:
            yield parent, worker
        finally:
            parent.close()
            worker.close()
            context.term()


class Said:
    """A worker of which only the link is real: `say` sends, `heard` has what came."""

    def __init__(self, link: Link) -> None:
        self.heard: list[Down] = []
        self._link = link
        link.begin(lambda data: self.heard.append(parse_down(data)), lambda: None)

    def say(self, message: Up) -> None:
        self._link.send(encode_up(message))

    async def hears(self, count: int) -> list[Down]:
        """Wait until so many messages have come, and return all of them."""
        await until(lambda: len(self.heard) >= count)
        return self.heard


class Site:
    """A parent's `WorkerLink`, with notes of what it has called."""

    def __init__(
        self, link: Link, *, desk: Desk | None = None, timeout: float = 0.0, tally: Tally | None = None
    ) -> None:
        self.clock = ManualClock()
        self.changes = 0
        self.stuck = 0
        self.worker = WorkerLink(
            link,
            number=1,
            clock=self.clock,
            desk=desk,
            on_change=self._note_change,
            on_stuck=self._note_stuck,
            timeout=timeout,
            tally=tally,
        )

    def _note_change(self, worker: WorkerLink) -> None:
        self.changes += 1

    def _note_stuck(self, worker: WorkerLink) -> None:
        self.stuck += 1
