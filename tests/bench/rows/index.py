"""What a publication to one subscriber costs while 10,000 others sit elsewhere; every publication is on a new topic.

The one has a pattern that takes all those topics. Its literal beginning is that of the 10,000, but for the last step:
`https://bench.example/users/99999999/:x` beside `https://bench.example/users/00000000/:x` and so on. There is no
history, and publications come on several connections, so that neither writing nor waking up hides what it costs to find
the one.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from tests.bench.interleave import Reading, interleave
from tests.bench.load import faults, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.servers import holdfast
from tests.bench.servers.way import Kind

USERS = "https://bench.example/users"
PATTERNS = f"match_urlpattern={quote(f'{USERS}/{{n}}/:x', safe='{}')}"
TOPICS = f"match={quote(f'{USERS}/{{n}}/feed', safe='{}')}"
MINE = f"match_urlpattern={quote(f'{USERS}/99999999/:x', safe='')}"
NEW_TOPIC = f"{USERS}/99999999/{{n}}"

WARM_UP = 200
LANES = 8
"""Connections publications come on, one under way on each."""


def exact(options: Options) -> Row:
    """Measure with 10,000 subscribers of exact topics."""
    return row("index-exact", "of exact topics", TOPICS, 1.2, options)


def patterns(options: Options) -> Row:
    """Measure with 10,000 subscribers of patterns."""
    return row("index-pattern", "of distinct patterns", PATTERNS, 2, options)


def row(key: str, whose: str, matcher: str, factor: float, options: Options) -> Row:
    """Measure with 10,000 others that have these matchers, and with nobody."""
    others, publications = options.scaled(10_000, 2000), options.scaled(5000, 1000)
    runs = {
        "alone": partial(cost, matcher, 0, publications),
        "holdfast": partial(cost, matcher, others, publications),
    }
    readings = interleave(options.rounds, runs)
    return Row(
        key=key,
        title=f"publishing to one subscriber beside {others:,} {whose}, a new topic each time: CPU per publication",
        unit="µs",
        readings=readings.figures(),
        goals=(Goal(factor=factor, against="alone"),),
        notes=readings.notes(),
        faults=readings.faults(),
    )


def cost(matcher: str, others: int, publications: int) -> Reading:
    """Return the microseconds of CPU that a publication costs beside so many others."""
    with holdfast.start("mercure.history=") as server, load() as generator:
        port = server.ways[Kind.MERCURE].client_port
        mine = holdfast.mercure_way(port, matcher=MINE, topic=NEW_TOPIC)
        generator.open(mine, 1)
        if others:
            generator.open(holdfast.mercure_way(port, matcher=matcher), others)
        first = generator.publish(mine, WARM_UP, lanes=LANES)
        before = server.cpu_seconds()
        arrived = generator.publish(mine, publications, lanes=LANES, first=WARM_UP)
        spent = server.cpu_seconds() - before
    return Reading(figures=(spent * 1e6 / publications,), faults=faults(first, arrived))
