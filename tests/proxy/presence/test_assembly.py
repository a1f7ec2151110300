"""Presence notices as a whole: made where they are wanted, from what observers are told to a real backend."""

from __future__ import annotations

import json

from handlers.counters import Counters
from handlers.observer import Observers
from handlers.protocol.names import Channel
from handlers.protocol.observed import Subscribed
from proxy.presence.assembly import make_presence
from tests.support.backend import ScriptedBackend
from tests.support.clock import ManualClock
from tests.support.settings import settings_from
from tests.support.turns import until


async def test_without_a_url_there_is_none() -> None:
    settings = settings_from([], routes=["* test"])
    assert make_presence(settings, Observers(), clock=ManualClock(), counters=Counters()) is None


async def test_what_observers_are_told_comes_to_the_backend() -> None:
    async with ScriptedBackend() as backend:
        settings = settings_from(["presence.url=/p", "presence.delay=0"], routes=[f"* {backend.address}"])
        observers, counters, clock = Observers(), Counters(), ManualClock()
        presence = make_presence(settings, observers, clock=clock, counters=counters)
        assert presence is not None
        presence.begin()
        observers.observe(Subscribed("ws", Channel("c"), 1))
        clock.advance(0.0)
        await until(lambda: len(backend.requests) == 1)
        presence.reload()
        await until(lambda: counters.presence_notices == 2)
        await presence.close()
        told = json.loads(backend.requests[0].body)
        assert [event["event"] for event in told["events"]] == ["started", "channel-subscribed"]
        assert told["from"].startswith("holdfast-")
