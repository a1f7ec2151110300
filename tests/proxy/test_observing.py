"""What the settings want to be told, and the edge that comes of it."""

from __future__ import annotations

import pytest

from handlers.counters import Counters
from handlers.edge import Edge
from handlers.observed_edge import ObservedEdge
from handlers.observer import Observers, Watch
from handlers.protocol.observed import Interest
from handlers.timers import TimerWheel
from proxy.observing import interest_in, make_edge
from tests.support.clock import ManualClock
from tests.support.settings import settings_from

EVERYTHING = Interest(channels=True, connections=True, deliveries=True)


@pytest.mark.parametrize(
    ("settings", "interest"),
    [
        ([], Interest()),
        (["zeromq.pull=ipc:///x", "zeromq.sub=ipc:///y"], Interest()),
        (["zeromq.sub=ipc:///y", "zeromq.subscribe=channels"], Interest(channels=True)),
        (["zeromq.subscribe=channels"], Interest()),
        (["zeromq.stats=ipc:///z"], EVERYTHING),
        (["presence.url=/p"], Interest(channels=True, connections=True)),
        (["presence.url=/p", "presence.events=channels"], Interest(channels=True)),
        (["presence.url=http://x/p", "presence.events=connections"], Interest(connections=True)),
        (["presence.url=/p", "presence.events=connections", "zeromq.stats=ipc:///z"], EVERYTHING),
    ],
)
def test_only_what_somebody_asks_for_is_of_interest(settings: list[str], interest: Interest) -> None:
    assert interest_in(settings_from(settings, routes=["* test"])) == interest


@pytest.mark.parametrize(
    ("interest", "kind"),
    [(None, Edge), (Interest(channels=True, connections=True), Edge), (Interest(deliveries=True), ObservedEdge)],
)
def test_the_edge_tells_of_deliveries_where_they_are(interest: Interest | None, kind: type[Edge]) -> None:
    clock = ManualClock()
    watch = None if interest is None else Watch(observer=Observers(), interest=interest)
    settings = settings_from([], routes=["* test"])
    edge = make_edge(settings, clock=clock, wheel=TimerWheel(clock), counters=Counters(), watch=watch, worker=1)
    assert type(edge) is kind
