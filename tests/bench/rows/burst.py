"""Fan-out under a burst: more publications at once than turns of a loop, so that gathering them pays.

What each client got is checked byte by byte, for order and for completeness: that of each publisher, and whether all
clients saw the publications of all publishers in the same order.
"""

from __future__ import annotations

from functools import partial

from tests.bench.contenders import contenders
from tests.bench.interleave import Reading, interleave
from tests.bench.load import faults, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.servers.process import Starter
from tests.bench.servers.way import Kind

CLIENTS = 1000
PUBLICATIONS = 200
LANES = 4
"""Connections they come on, each sending all of its share before it reads an answer."""

BURSTS = 3
"""Bursts that are counted, one after the other; another goes before them."""


def burst(options: Options) -> Row:
    """Measure 200 publications pipelined on 4 connections to 1,000 SSE clients."""
    runs = {who: partial(cost, start) for who, start in contenders(Kind.STREAM, options).items()}
    readings = interleave(options.rounds, runs)
    return Row(
        key="burst",
        title=f"burst of {PUBLICATIONS} publications on {LANES} connections, {CLIENTS:,} SSE clients: CPU per delivery",
        unit="µs",
        readings=readings.figures(),
        goals=(Goal(factor=0.4, against="floor"),),
        notes=readings.notes(),
        faults=readings.faults(),
    )


def cost(start: Starter) -> Reading:
    """Return the microseconds of CPU that one delivery in a burst costs a server."""
    with start() as server, load() as generator:
        way = server.ways[Kind.STREAM]
        generator.open(way, CLIENTS)
        first = generator.publish(way, PUBLICATIONS, lanes=LANES, depth=PUBLICATIONS // LANES)
        before = server.cpu_seconds()
        bursts = [generator.publish(way, PUBLICATIONS, lanes=LANES, depth=PUBLICATIONS // LANES) for _ in range(BURSTS)]
        spent = server.cpu_seconds() - before
    deliveries = sum(arrived.deliveries for arrived in bursts)
    return Reading(figures=(spent * 1e6 / max(deliveries, 1),), faults=faults(first, *bursts))
