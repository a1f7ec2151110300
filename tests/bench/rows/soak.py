"""15,000 connections held for ten minutes with traffic: flat memory, nothing lost.

The figure is the most memory that was seen at the end of a minute, over that at the end of the first, when all buffers
have grown and all code has run.
"""

from __future__ import annotations

from tests.bench.interleave import show
from tests.bench.load import load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.servers import holdfast
from tests.bench.servers.way import Kind

CLIENTS = 15_000
RATE = 2.0
"""Publications a second, each to all clients."""

PARTS = 10
"""Looks at the memory."""


def soak(options: Options) -> Row:
    """Hold, publish, and look; once, whatever the rounds."""
    clients, seconds = options.scaled(CLIENTS, 5000), options.scaled(60, 3)
    memory, deliveries, faults = [], 0, []
    with holdfast.start() as server, load() as generator:
        way = server.ways[Kind.STREAM]
        generator.open(way, clients)
        for part in range(1, PARTS + 1):
            show(f"part {part} of {PARTS}, {seconds} seconds each")
            arrived = generator.publish(way, int(RATE * seconds), rate=RATE)
            memory.append(server.memory())
            deliveries += arrived.deliveries
            if arrived.faults():
                faults.append(f"part {part}: {arrived.faults()}")
    show("")
    minutes = seconds * PARTS / 60
    megabytes = " ".join(f"{size / 1e6:.1f}" for size in memory)
    return Row(
        key="soak",
        title=f"{clients:,} streams held for {minutes:g} minutes with traffic: most memory over that at the begin",
        unit="times",
        readings={"holdfast": (max(memory[1:]) / memory[0],)},
        goals=(Goal(factor=1.02),),
        notes=(f"{deliveries:,} deliveries, each checked; memory in MB: {megabytes}",),
        faults=tuple(faults),
    )
