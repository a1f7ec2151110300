"""`workers = 2`: what one delivery costs a worker, beside what it costs a process that is alone; 30,000 connections.

Each worker is accounted by itself, by the connections that the kernel has given it, and the dearer one counts. What the
parent spends, which grows with publications and not with deliveries, is in the notes.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from tests.bench import account
from tests.bench.interleave import Reading, interleave
from tests.bench.load import Load, faults, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.servers import holdfast
from tests.bench.servers.process import Server
from tests.bench.servers.way import Kind, Way

CLIENTS_EACH = 15_000
WARM_UP = 3


def two(options: Options) -> Row:
    """Measure two workers beside one."""
    clients, publications = options.scaled(CLIENTS_EACH, 2000), options.scaled(20, 50)
    runs = {
        "one worker": partial(cost, 1, clients, publications),
        "holdfast": partial(cost, 2, clients, publications),
    }
    readings = interleave(options.rounds, runs)
    parent = readings.figures(1)["holdfast"]
    return Row(
        key="workers",
        title=f"two workers, {2 * clients:,} SSE clients: a worker's CPU per delivery",
        unit="µs",
        readings=readings.figures(),
        goals=(Goal(factor=1.1, against="one worker"),),
        notes=(f"the parent: {min(parent):.0f} to {max(parent):.0f} µs a publication", *readings.notes()),
        faults=readings.faults(),
    )


def cost(workers: int, clients_each: int, publications: int) -> Reading:
    """Return the microseconds of CPU that one delivery costs the dearest worker, and one publication the parent."""
    with ExitStack() as stack:
        server = stack.enter_context(holdfast.start(f"proxy.workers={workers}"))
        generators = [stack.enter_context(load()) for _ in range(workers)]
        way = server.ways[Kind.STREAM]
        for generator in generators:
            generator.open(way, clients_each)
        wrong = publish(generators, way, WARM_UP, clients_each)
        held = connections(server)
        before = {pid: account.cpu_seconds_of(pid) for pid in (server.pid, *held)}
        wrong += publish(generators, way, publications, clients_each)
        spent = {pid: account.cpu_seconds_of(pid) - before[pid] for pid in before}
    each = [spent[pid] * 1e6 / (count * publications) for pid, count in held.items()]
    return Reading(figures=(max(each), spent[server.pid] * 1e6 / publications), faults=wrong)


def connections(server: Server) -> dict[int, int]:
    """Return how many clients each process of a server holds, of those that hold any."""
    sockets = {pid: account.open_sockets(pid) for pid in account.processes(server.pid)}
    return {pid: count for pid, count in sockets.items() if count > 200}


def publish(generators: list[Load], way: Way, count: int, clients_each: int) -> str:
    """Publish from the first generator, and have the others wait for theirs; return what was wrong."""
    first, *others = generators
    arrivals = [first.publish(way, count, waits_for_each=True)]
    arrivals += [generator.wait(count * clients_each) for generator in others]
    return faults(*arrivals)
