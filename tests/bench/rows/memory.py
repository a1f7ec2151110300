"""Memory that one held connection costs the server: Pss of all its processes, over 10,000 of them.

Read before the first one connects, and when all are held and have had a few messages. What the kernel keeps for
sockets is in nobody's account.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.bench.contenders import contenders
from tests.bench.interleave import Reading, interleave
from tests.bench.load import Load, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.rows.index import LANES, PATTERNS, USERS
from tests.bench.servers import holdfast
from tests.bench.servers.process import Server, Starter
from tests.bench.servers.way import Kind

PUBLICATIONS = 3

Fill = Callable[[Server, Load, int], str]
"""Has so many clients held by a server, and returns what was wrong."""


def streams(options: Options) -> Row:
    """Measure held streams."""
    return row(
        "memory-stream", "held stream", 3, options, contenders(Kind.STREAM, options), partial(fill_with, Kind.STREAM)
    )


def websockets(options: Options) -> Row:
    """Measure held WebSockets."""
    found = contenders(Kind.WEBSOCKET, options)
    return row("memory-websocket", "held WebSocket", 5, options, found, partial(fill_with, Kind.WEBSOCKET))


def subscribers(options: Options) -> Row:
    """Measure Mercure subscribers with a token."""
    return row(
        "memory-mercure",
        "Mercure subscriber",
        4,
        options,
        contenders(Kind.MERCURE, options),
        partial(fill_with, Kind.MERCURE),
    )


def patterns(options: Options) -> Row:
    """Measure Mercure subscribers each of whom has a pattern of its own."""

    title = "Mercure subscriber with a pattern of its own"
    starter = partial(holdfast.start, "mercure.history=")
    return row("memory-pattern", title, 12, options, {"holdfast": starter}, fill_with_patterns)


def row(key: str, title: str, goal: float, options: Options, found: dict[str, Starter], fill: Fill) -> Row:
    """Measure what one of 10,000 clients costs."""
    clients = options.scaled(10_000, 2000)
    found.pop("floor", None)
    runs = {who: partial(memory_each, start, fill, clients) for who, start in found.items()}
    readings = interleave(options.rounds, runs)
    return Row(
        key=key,
        title=f"memory per {title}, over {clients:,}",
        unit="KB",
        readings=readings.figures(),
        goals=(Goal(factor=goal),),
        notes=readings.notes(),
        faults=readings.faults(),
    )


def memory_each(start: Starter, fill: Fill, clients: int) -> Reading:
    """Return the kilobytes of memory that one client costs a server."""
    with start() as server, load() as generator:
        before = server.memory()
        faults = fill(server, generator, clients)
        spent = server.memory() - before
    return Reading(figures=(spent / clients / 1024,), faults=faults)


def fill_with(kind: Kind, server: Server, generator: Load, clients: int) -> str:
    """Have so many clients held, and publish to all; return what was wrong."""
    way = server.ways[kind]
    generator.open(way, clients)
    return generator.publish(way, PUBLICATIONS).faults()


def fill_with_patterns(server: Server, generator: Load, clients: int) -> str:
    """Have so many subscribers, each with a pattern of its own, and publish to each of them; return what was wrong."""
    port = server.ways[Kind.MERCURE].client_port
    way = holdfast.mercure_way(port, matcher=PATTERNS, topic=f"{USERS}/{{n}}/news")
    generator.open(way, clients)
    arrived = generator.publish(way, clients, lanes=LANES, receivers=1)
    return f"{arrived.lost} lost" if arrived.lost else ""
