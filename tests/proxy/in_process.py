"""Holdfast inside the test's own process: real sockets, a clock the test turns, and everything open to be looked at."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from proxy.app import App
from tests.support.answers import Answer
from tests.support.app_process import QUIET
from tests.support.client import RawClient
from tests.support.clock import ManualClock
from tests.support.settings import settings_from
from tests.support.turns import settle


@asynccontextmanager
async def running(*routes: str, settings: Iterable[str] = ()) -> AsyncGenerator[App]:
    """Run an app with these routes on free ports; whatever is left at the end is cut."""
    chosen = settings_from((*QUIET, "proxy.drain_timeout=0", "proxy.reload_interval=0", *settings), routes=routes)
    app = App(chosen, clock=ManualClock(), random=lambda: 0.0)
    await app.start()
    try:
        yield app
    finally:
        app.clients.cut_all()
        draining = asyncio.create_task(app.drain())
        while not draining.done():
            await advance(app, 1)  # a backend that does not answer is not waited for
        await draining


def clock_of(app: App) -> ManualClock:
    """Return the clock of an app that `running` made."""
    assert isinstance(app.clock, ManualClock)
    return app.clock


async def client_of(app: App) -> RawClient:
    """Connect a client."""
    return await RawClient.connect(app.proxy_addresses[0])


async def advance(app: App, seconds: float) -> None:
    """Turn the app's clock, and let what fell due run."""
    await settle()
    clock_of(app).advance(seconds)
    await settle()


def gated(gate: asyncio.Event, script: Answer) -> Answer:
    """Return `script`, held back until `gate` is set."""
    return Answer(steps=(gate, *script.steps), early=script.early, body_gate=script.body_gate)


def census(*names: str, collects: bool = True) -> Counter[str]:
    """Count the live objects of the types with these names, by default after a collection."""
    if collects:
        gc.collect()
    found = Counter(type(thing).__name__ for thing in gc.get_objects())
    return Counter({name: found[name] for name in names if found[name]})
