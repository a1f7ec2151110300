"""What the operating system says a server has used: CPU time and memory of all its processes together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def processes(root: int) -> list[int]:
    """Return the ids of process `root` and of all that descend from it and live."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """Return the user and system time, in seconds, that `root` and its descendants have used since they began."""
    return sum(map(cpu_seconds_of, processes(root)))


def cpu_seconds_of(pid: int) -> float:
    """Return the user and system time of one process, its ended threads included.

    Read from the process's CPU clock, whose number follows from its id (see clock_getcpuclockid(3)): it counts
    nanoseconds, where /proc/PID/stat counts hundredths of a second.
    """
    return time.clock_gettime((~pid << 3) | 2)


def memory(root: int) -> int:
    """Return the bytes of memory (Pss: shared pages count once) that `root` and its descendants have."""
    return sum(map(memory_of, processes(root)))


def memory_of(pid: int) -> int:
    """Return the bytes of memory (Pss) of one process; what the kernel keeps for its sockets is not among them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, size = line.partition(":")
        if name == "Pss":
            return int(size.split()[0]) * 1024
    raise ValueError(f"no Pss in the account of process {pid}")


def open_sockets(pid: int) -> int:
    """Return how many sockets one process has open."""
    return sum(1 for link in descriptors(pid) if link.startswith("socket:"))


def descriptors(pid: int) -> Iterator[str]:
    """Yield what each open descriptor of a process is."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(entry.readlink())


def parents() -> Iterator[tuple[int, int]]:
    """Yield each process's id and its parent's."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            yield int(entry.name), int(stat.rpartition(")")[2].split()[1])
