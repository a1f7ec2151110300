"""What the tests of supervision put in a worker's place: small programs that say what a worker says, and then end."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import zmq

from handlers.counters import Counters
from handlers.links.fan import Fan
from handlers.protocol.link import Welcome
from handlers.protocol.names import EventId
from proxy.workers.supervisor import Crew, Supervisor
from tests.support.clock import ManualClock
from tests.support.settings import settings_from
from tests.support.turns import settle

PROGRAM = """
import sys, time, zmq
from handlers.protocol.link import *
from proxy.workers.start import read_start
start = read_start(sys.stdin.buffer)
socket = zmq.Context().socket(zmq.PAIR)
socket.connect(f"ipc://{start.link}")
handled = 0
def say(message):
    socket.send(encode_up(message))
def hear():
    global handled
    message = parse_down(socket.recv())
    handled += 1
    return message
"""
SERVE = """
say(Hello()); hear(); say(Ack(handled)); say(Counts({"requests": start.number})); say(Ready())
"""
STICK = """
sys.stdin.buffer.read()
"""
OBEY = """
while True:
    message = hear()
    say(Ack(handled))
    if isinstance(message, Reload):
        say(Reloaded())
    if isinstance(message, Drain):
        say(Bye())
    if isinstance(message, Farewell):
        sys.exit(0)
"""


def program(code: str) -> tuple[str, ...]:
    """Return what runs `code` in a worker's place."""
    return (sys.executable, "-P", "-c", PROGRAM + code)


class Manned:
    """A supervisor and what it works with."""

    def __init__(self, crew: Crew, clock: ManualClock) -> None:
        self.clock = clock
        self.crew = crew
        self.supervisor = Supervisor(crew)


@asynccontextmanager
async def manned(code: str, *settings: str, workers: int = 2) -> AsyncIterator[Manned]:
    """Make a supervisor whose workers run `code`; it is not started."""
    clock, counters = ManualClock(), Counters()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with tempfile.TemporaryDirectory(prefix="crew-") as folder:
        crew = Crew(
            settings=settings_from([f"proxy.workers={workers}", *settings], routes=["* test"]),
            clock=clock,
            counters=counters,
            fan=Fan(clock=clock, counters=counters, backlog=1_000_000),
            desk=None,
            welcome=lambda: Welcome(0, EventId("earliest")),
            context=context,
            folder=Path(folder),
            addresses=(),
            command=program(code),
        )
        made = Manned(crew, clock)
        try:
            yield made
        finally:
            draining = asyncio.create_task(made.supervisor.drain())
            while not draining.done():
                clock.advance(60)  # those that do not end are killed
                await settle()
            await draining
            context.term()
