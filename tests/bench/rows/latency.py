"""From publishing to arriving, at 1,000 SSE clients and 20 publications a second.

A publication carries the time at which it was made, by the clock that the clients have too: both are in the load
generator, whose reading is in the figures, the floor's as well.
"""

from __future__ import annotations

from functools import cache, partial

from tests.bench.contenders import contenders
from tests.bench.interleave import Reading, Readings, interleave
from tests.bench.load import faults, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.servers.process import Starter
from tests.bench.servers.way import Kind

CLIENTS = 1000
RATE = 20.0


def median(options: Options) -> Row:
    """Measure the median."""
    return row("latency-p50", "median", 0, options)


def late(options: Options) -> Row:
    """Measure what one delivery in a hundred exceeds."""
    return row("latency-p99", "99th percentile", 1, options, Goal(factor=1.3, against="floor"))


def row(key: str, name: str, index: int, options: Options, *goals: Goal) -> Row:
    """Return the row of one of the figures."""
    readings = measure(options)
    return Row(
        key=key,
        title=f"publication to client, {CLIENTS:,} SSE clients and {RATE:g} publications a second: {name}",
        unit="µs",
        readings=readings.figures(index),
        goals=(*goals, *(Goal(factor=1, against=peer) for peer in readings.peers())),
        notes=readings.notes(),
        faults=readings.faults(),
    )


@cache
def measure(options: Options) -> Readings:
    """Return both figures of all contenders. Measured once: both rows are of the same runs."""
    found = contenders(Kind.STREAM, options).items()
    seconds = options.scaled(10, 2)
    return interleave(options.rounds, {who: partial(latencies, start, seconds) for who, start in found})


def latencies(start: Starter, seconds: int) -> Reading:
    """Return the median and the 99th percentile over so many seconds."""
    with start() as server, load() as generator:
        way = server.ways[Kind.STREAM]
        generator.open(way, CLIENTS)
        first = generator.publish(way, int(RATE), rate=RATE)
        arrived = generator.publish(way, int(RATE) * seconds, rate=RATE)
    return Reading(figures=(arrived.p50, arrived.p99), faults=faults(first, arrived))
