"""Drives the load generator (native/hold.c): clients that are held, publications to them, and what arrived."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.bench.build import build
from tests.bench.servers.process import ServerError
from tests.bench.servers.way import Way

AT_ONCE = 100
"""Clients that are connected at a time and not held yet: few enough for servers that lose holds opened all at once."""

PATIENCE = 3.0
"""Seconds without any message after which those that are missing count as lost."""


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command, over all clients of a group."""

    held: int
    """Clients that are held now."""
    deliveries: int
    lost: int
    """Messages that should have come and have not."""
    gaps: int
    """Messages that a later one of the same publisher has overtaken, or that never came."""
    disordered: int
    """Messages that came after a later one, or twice."""
    garbled: int
    """Bytes that stood where they should not: in a message, between messages, or in the framing."""
    closed: int
    """Connections that were closed."""
    deviating: int
    """Clients that got the messages of all publishers together in another order than the first client."""
    p50: float
    """Microseconds from publishing to arriving."""
    p99: float
    seconds: float = 0.0
    answered: int = 0
    """Publications that were answered with a status of 2xx."""
    refused: int = 0
    attempts: int = 0
    """Connections it took to have all clients held."""

    def faults(self) -> str:
        """Return in words what was not as it should be; empty if nothing."""
        counts = {
            "lost": max(self.lost, 0),
            "too many": max(-self.lost, 0),
            "gaps": self.gaps,
            "disordered": self.disordered,
            "bytes garbled": self.garbled,
            "connections closed": self.closed,
            "clients with another order": self.deviating,
            "publications refused": self.refused,
        }
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def faults(*arrivals: Arrived) -> str:
    """Return what was wrong in several steps, from the warm-up on, one after the other; empty if nothing."""
    return "; ".join(arrived.faults() for arrived in arrivals if arrived.faults())


class Load:
    """One load generator process. Its commands block until they are done; one at a time."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def open(self, way: Way, count: int, *, at_once: int = AT_ONCE, first: int = 0) -> Arrived:
        """Have `count` clients held, a group of their own; raises ServerError when some can't be after three tries.

        `first` is the number of the first of them.
        """
        arrived = self._command(
            "open",
            port=way.client_port,
            count=count,
            at_once=at_once,
            first=first,
            request=self._file("request", way.request),
            message=self._file("message", way.message),
            size=way.payload_size,
        )
        if arrived.held < count:
            raise ServerError(f"held {arrived.held} of {count} clients in {arrived.attempts} attempts")
        return arrived

    def publish(
        self,
        way: Way,
        count: int,
        *,
        lanes: int = 1,
        depth: int = 1,
        rate: float = 0,
        waits_for_each: bool = False,
        group: int = 0,
        first: int = 0,
        receivers: int = 0,
    ) -> Arrived:
        """Publish `count` times to the clients of `group`, on `lanes` connections with up to `depth` under way on each.

        `rate` a second, or as fast as answers come; with `waits_for_each` the next only when the one before has come.
        `receivers` is how many clients each one reaches, if not all; what others miss then counts as gaps.
        """
        return self._command(
            "publish",
            port=way.publish_port,
            lanes=lanes,
            depth=min(depth, way.depth),
            count=count,
            first=first,
            rate=rate,
            each=int(waits_for_each),
            receivers=receivers,
            patience=PATIENCE,
            group=group,
            request=self._file("publication", way.publication),
            size=way.payload_size,
        )

    def wait(self, count: int, *, group: int = 0) -> Arrived:
        """Wait for `count` messages, over all clients of `group`, of what another generator has published."""
        return self._command("wait", count=count, group=group, patience=PATIENCE)

    def _file(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        return path

    def _command(self, name: str, **words: object) -> Arrived:
        """Give a command and return its report."""
        pipe, answers = self._process.stdin, self._process.stdout
        assert pipe is not None
        assert answers is not None
        pipe.write(" ".join((name, *(f"{key}={value}" for key, value in words.items()))) + "\n")
        pipe.flush()
        line = answers.readline()
        if not line:
            raise ServerError("the load generator has ended; it has said why on stderr")
        return msgspec.json.decode(line, type=Arrived)


@contextmanager
def load() -> Iterator[Load]:
    """Run a load generator. Its connections end with it."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        process = subprocess.Popen([build("hold")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield Load(process, Path(folder))
        finally:
            process.communicate()
