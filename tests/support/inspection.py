"""What `app_runner` can tell about the process it runs in: memory, sockets, live objects, counters.

The only file of the end-to-end tests that looks inside; everything else sees sockets and log lines.
"""

from __future__ import annotations

import dataclasses
import gc
import os
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from handlers.counters import Counters
from handlers.edge import Edge
from handlers.stream import StreamSession

ESTABLISHED = "01"


def resident_bytes() -> int:
    """Return the resident set of this process, after a collection."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def sockets_on(ports: Collection[int]) -> dict[str, int]:
    """Return how many connections the kernel has on `ports` and how many bytes it queues for sending on them."""
    count = queued = 0
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, queues, *_ = line.split()
            if int(local.rpartition(":")[2], 16) in ports and state == ESTABLISHED:
                count += 1
                queued += int(queues.partition(":")[0], 16)
    return {"connections": count, "queued_bytes": queued}


def by_name(counters: Counters) -> dict[str, int]:
    """Return counters by name."""
    return dataclasses.asdict(counters)


def live_objects(type_names: Iterable[str]) -> dict[str, int]:
    """Return how many objects of each of these types are alive, after a collection."""
    gc.collect()
    found = Counter(type(thing).__name__ for thing in gc.get_objects())
    return {name: found[name] for name in type_names}


def abort_during_fanout(edge: Edge, ports: tuple[int, int]) -> None:
    """Arrange that the next frame written to the stream of the first client port aborts that of the second.

    The second is then met by the very fan-out that is under way, with a transport that is gone. Of several processes it
    is the one with the second that does it; should the first be elsewhere, another stream of its own stands in.
    """
    streams = {
        session.transport.get_extra_info("peername")[1]: session
        for session in edge.sessions
        if isinstance(session, StreamSession)
    }
    if ports[1] not in streams:
        return
    victim = streams.pop(ports[1])
    before = streams.get(ports[0]) or next(iter(streams.values()))
    write = before.write

    def abort_and_write(frame: bytes) -> None:
        before.write = write
        victim.transport.abort()
        write(frame)

    before.write = abort_and_write
