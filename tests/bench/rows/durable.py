"""Durable publishes to the Mercure hub per second: each with its token, answered once it is synced to disk."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Mapping

from tests.bench.asking import Asking, Load, cpu_each, failures, figures, interleaved, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.rate_servers import Server, holdfast, mercure_hub
from tests.bench.servers.holdfast import KEY, mercure_way
from tests.bench.servers.way import CONTENT_SIZE

ELSEWHERE = 1650.0
"""What the hub reached with one publisher when it was measured for the issue, on another machine of two cores."""


def durable(options: Options) -> Row:
    """One publisher on one connection."""
    return _row(options, "durable", "one connection", 1, 2)


def durable_64(options: Options) -> Row:
    """64 publishers."""
    return _row(options, "durable-64", "64 connections", 64, 10)


def _row(options: Options, key: str, how: str, connections: int, factor: float) -> Row:
    loads = _measured(options, connections)
    readings = figures(loads, lambda one: one.rate)
    notes = [
        *cpu_each(loads),
        *failures(loads),
        f"the disk syncs {synced_writes():,.0f} small writes a second, one by one",
    ]
    if "mercure" not in readings:
        readings["mercure"] = (ELSEWHERE,) * options.rounds
        notes.append(f"the {ELSEWHERE:,.0f} of mercure were measured on another machine, with one connection")
    return Row(
        key=key,
        title=f"durable publishes to the Mercure hub, {how}",
        unit="publishes per second",
        readings=readings,
        goals=(Goal(factor=factor, against="mercure", is_most=False),),
        notes=tuple(notes),
    )


def _measured(options: Options, connections: int) -> Mapping[str, tuple[Load, ...]]:
    def measure(server: Server) -> Load:
        request = mercure_way(server.port).publication.replace(b"{payload}", b"x" * CONTENT_SIZE)
        how = {"connections": connections, "seconds": options.scaled(4, 1)}
        return load(server, Asking(mode="requests", port=server.port, requests=(request,), options=how))

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = (f"mercure.publisher_key={KEY}", f"mercure.subscriber_key={KEY}", f"mercure.history={folder}/db")
        hubs = (holdfast("* test", settings=settings), mercure_hub(options.mercure_hub))
        servers = [server for hub in hubs if (server := stack.enter_context(hub))]
        return interleaved(servers, options.rounds, measure)


def synced_writes(seconds: float = 0.5) -> float:
    """Return how many writes a second the disk of the histories syncs: nobody's publishes are faster one at a time."""
    with tempfile.TemporaryFile(buffering=0) as file:
        begun, count = time.monotonic(), 0
        while time.monotonic() < begun + seconds:
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.monotonic() - begun)
