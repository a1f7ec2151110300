"""Runs the load generator (native/ask.c) against one server after the other, and accounts for what each has used."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import msgspec

from tests.bench.account import cpu_seconds
from tests.bench.build import build
from tests.bench.rate_servers import Server


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What the generator reports, and the server's CPU time."""

    done: int
    failed: int
    seen: int
    """Messages that came to the one who watched, or holds that the publication reached."""
    seconds: float
    p50: float
    """Microseconds."""
    p99: float
    statuses: dict[str, int]
    """How many failed with which status; 0 is a connection that was closed, or an answer that did not come."""
    cpu: float = 0
    """Seconds of all the server's processes."""

    @property
    def rate(self) -> float:
        """How many were done in a second."""
        return self.done / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """How many were done for each second of the server's CPU time."""
        return self.done / self.cpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A further connection or a last publication: where it goes, and its request."""

    port: int
    request: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What the generator is to do; see native/ask.c."""

    mode: str
    port: int
    requests: Sequence[bytes]
    options: Mapping[str, object] = field(default_factory=dict)
    watch: Watch | None = None
    tell: Watch | None = None


def load(server: Server, asking: Asking) -> Load:
    """Run the generator against `server`. Raises CalledProcessError when it could not work; it has said why."""
    with tempfile.TemporaryDirectory() as folder:
        words = [str(build("ask")), asking.mode, *_words(asking, Path(folder))]
        before = cpu_seconds(server.pid)
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
        cpu = cpu_seconds(server.pid) - before
    return msgspec.structs.replace(msgspec.json.decode(done.stdout, type=Load), cpu=cpu)


def interleaved(
    servers: Sequence[Server], rounds: int, measure: Callable[[Server], Load]
) -> dict[str, tuple[Load, ...]]:
    """Load each server once in each round; return each one's loads by its name."""
    loads: dict[str, list[Load]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            loads[server.name].append(measure(server))
    return {name: tuple(each) for name, each in loads.items()}


def figures(
    loads: Mapping[str, Sequence[Load]], figure: Callable[[Load], float], is_sound: Callable[[Load], bool] | None = None
) -> dict[str, tuple[float, ...]]:
    """Return a row's readings. Holdfast gets zero where anything failed or is not sound; an idle peer gets none."""
    return {
        name: tuple(figure(one) if name != "holdfast" or _is_good(one, is_sound) else 0.0 for one in each)
        for name, each in loads.items()
        if name == "holdfast" or all(one.done for one in each)
    }


def failures(loads: Mapping[str, Sequence[Load]]) -> tuple[str, ...]:
    """Say of each server what failed, if anything did."""
    return tuple(
        f"{name}: {failed:,} of {failed + sum(load.done for load in each):,} failed"
        for name, each in loads.items()
        if (failed := sum(load.failed for load in each))
    )


def cpu_each(loads: Mapping[str, Sequence[Load]]) -> tuple[str, ...]:
    """Say what one of what was done has cost each server."""
    return tuple(
        f"{name}: {median(1e6 / one.per_cpu_second for one in each):.0f} us of CPU each"
        for name, each in loads.items()
        if all(one.cpu and one.done for one in each)
    )


def _is_good(one: Load, is_sound: Callable[[Load], bool] | None) -> bool:
    return one.done > 0 and one.failed == 0 and (is_sound is None or is_sound(one))


def _words(asking: Asking, folder: Path) -> list[str]:
    words = [f"--to={asking.port}", *(f"--{name}={value}" for name, value in asking.options.items())]
    for name, other in (("watch", asking.watch), ("tell", asking.tell)):
        if other:
            words += [f"--{name}-port={other.port}", f"--{name}={_file(folder, name, other.request)}"]
    return words + [str(_file(folder, str(index), request)) for index, request in enumerate(asking.requests)]


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path
