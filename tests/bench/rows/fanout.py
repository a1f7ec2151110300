"""Fan-out of single messages: what the server spends on one delivery, one publication at a time.

A publication goes out when the one before has arrived everywhere, so nothing is gathered. The publisher is one
keep-alive connection; what accepting and answering publications costs is in the figure, of the floor too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tests.bench.contenders import contenders
from tests.bench.interleave import Reading, interleave
from tests.bench.load import faults, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.servers.process import Starter
from tests.bench.servers.way import Kind

WARM_UP = 20
"""Publications before counting begins: buffers have grown, and code paths are warm."""

TITLES: Mapping[Kind, str] = {
    Kind.STREAM: "SSE clients",
    Kind.WEBSOCKET: "WebSockets",
    Kind.MERCURE: "Mercure subscribers with a token",
}


def streams_1000(options: Options) -> Row:
    """Measure 1,000 SSE clients."""
    return row("fanout-1000", Kind.STREAM, 1000, 1.3, options)


def streams_10000(options: Options) -> Row:
    """Measure 10,000 SSE clients."""
    return row("fanout-10000", Kind.STREAM, 10_000, 1.3, options)


def websockets(options: Options) -> Row:
    """Measure 1,000 WebSockets."""
    return row("fanout-websockets", Kind.WEBSOCKET, 1000, 1.5, options)


def subscribers(options: Options) -> Row:
    """Measure 1,000 Mercure subscribers with a token, to whom private updates go."""
    return row("fanout-mercure", Kind.MERCURE, 1000, 1.5, options)


def row(key: str, kind: Kind, clients: int, factor: float, options: Options) -> Row:
    """Measure so many clients of a kind against the floor and all peers."""
    publications = options.scaled(300_000, 100_000) // clients
    runs = {who: partial(cost, start, kind, clients, publications) for who, start in contenders(kind, options).items()}
    readings = interleave(options.rounds, runs)
    return Row(
        key=key,
        title=f"fan-out of single messages, {clients:,} {TITLES[kind]}: CPU per delivery",
        unit="µs",
        readings=readings.figures(),
        goals=(Goal(factor=factor, against="floor"), *(Goal(factor=1, against=peer) for peer in readings.peers())),
        notes=readings.notes(),
        faults=readings.faults(),
    )


def cost(start: Starter, kind: Kind, clients: int, publications: int) -> Reading:
    """Return the microseconds of CPU that one delivery costs a server."""
    with start() as server, load() as generator:
        way = server.ways[kind]
        generator.open(way, clients)
        first = generator.publish(way, WARM_UP, waits_for_each=True)
        before = server.cpu_seconds()
        arrived = generator.publish(way, publications, waits_for_each=True)
        spent = server.cpu_seconds() - before
    return Reading(figures=(spent * 1e6 / max(arrived.deliveries, 1),), faults=faults(first, arrived))
