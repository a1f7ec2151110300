"""The child of `AppProcess`: Holdfast in a process of its own, told what to do over its standard input.

`python -m tests.support.app_runner JSON`, JSON being `{"settings": ["proxy.debug=true"], "routes": [LINE],
"clock": "manual" | "real", "seed": INT | null}`. It prints one line of JSON when it listens, then one for each
command it reads; its log goes to standard error. SIGTERM and SIGHUP do what they do to the console script. It exits
by itself when its standard input ends, so that a test that dies leaves nothing behind.

With `proxy.workers` it is the parent, and `team` passes on to the workers what has to reach them.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING, Any

import uvloop

from proxy.app import App
from proxy.log import configure
from tests.support.clock import ManualClock
from tests.support.inspection import abort_during_fanout, by_name, live_objects, resident_bytes, sockets_on
from tests.support.settings import settings_from
from tests.support.turns import settle

if TYPE_CHECKING:
    from proxy.workers.parent import Parent
    from tests.support.team import Team

COMMAND_LIMIT = 1 << 20


class AppRunner:
    """Owns the app and answers commands one after the other."""

    def __init__(self, app: App | Parent, clock: ManualClock | None, team: Team | None) -> None:
        self._app = app
        self._clock = clock
        self._team = team
        self._stop = asyncio.Event()
        self._answering = asyncio.Lock()

    async def run(self) -> None:
        """Start the app, answer commands until told to stop, drain."""
        await self._app.start()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._app.reload)
        _say({"proxy": self._app.proxy_addresses, "publish": self._app.publish_address, "pid": os.getpid()})
        commands = asyncio.create_task(self._answer_commands())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((commands, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not commands.done():
            # Commands are still answered while it drains: the test turns the clock through it.
            await self._app.drain()
            async with self._answering:
                commands.cancel()
        stopping.cancel()

    async def _answer_commands(self) -> None:
        reader = asyncio.StreamReader(limit=COMMAND_LIMIT)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            async with self._answering:
                ((name, value),) = json.loads(line).items()
                _say(await self._answer(name, value))

    async def _answer(self, name: str, value: Any) -> object:
        match name:
            case "advance":
                await self._advance(value)
                return self._times()
            case "times":
                return self._times()
            case "memory":
                return resident_bytes() + sum(await self._ask_team("memory"))
            case "sockets":
                return sockets_on({address[1] for address in self._app.proxy_addresses})
            case "counters":
                return await self._counters()
            case "gc":
                return _sums(live_objects(value), *await self._ask_team("gc", value))
            case "abort_during_fanout":
                await self._abort_during_fanout(value)
                return None
            case _:
                raise ValueError(f"no such command: {name}")

    async def _ask_team(self, name: str, value: object = None) -> list[Any]:
        return await self._team.ask(name, value) if self._team is not None else []

    async def _counters(self) -> dict[str, int]:
        if self._team is not None:
            await self._team.settle()
        ended = self._team.ended() if self._team is not None else {}
        return _sums(by_name(self._app.counters), ended, *await self._ask_team("counters"))

    async def _abort_during_fanout(self, ports: tuple[int, int]) -> None:
        if isinstance(self._app, App):
            abort_during_fanout(self._app.edge, ports)
        else:
            await self._ask_team("abort_during_fanout", ports)

    def _times(self) -> dict[str, float]:
        assert self._clock is not None, "the app runs on the real clock"
        return {"now": self._clock.now(), "wall": self._clock.wall()}

    async def _advance(self, seconds: float) -> None:
        """Turn the clock from timer to timer, so that what a timer starts runs at the time it was started."""
        assert self._clock is not None, "the app runs on the real clock"
        await self._settle()
        until = self._clock.now() + seconds
        while (due := await self._next_due()) <= until:
            await self._advance_to(due)
        await self._advance_to(until)

    async def _advance_to(self, when: float) -> None:
        assert self._clock is not None, "asked by the caller"
        self._clock.advance_to(when)
        await self._ask_team("advance_to", when)
        await self._settle()

    async def _next_due(self) -> float:
        assert self._clock is not None, "asked by the caller"
        own = self._clock.next_due()
        dues = [own, *await self._ask_team("next_due")]
        return min((due for due in dues if due is not None), default=math.inf)

    async def _settle(self) -> None:
        await settle()
        if self._team is not None:
            await self._team.settle()


def _sums(*counts: dict[str, int]) -> dict[str, int]:
    total: Counter[str] = Counter(dict.fromkeys(counts[0], 0))
    for each in counts:
        total.update(each)
    return dict(total)


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def main() -> None:
    """Run one app as the argument says, on uvloop unless HOLDFAST_TEST_LOOP=asyncio."""
    wanted = json.loads(sys.argv[1])

    settings = settings_from(wanted["settings"], routes=wanted["routes"])
    configure(settings.log, sys.stderr)
    seed = wanted["seed"]

    async def run() -> None:
        clock = ManualClock() if wanted["clock"] == "manual" else None
        if settings.proxy.workers == 1:
            random = (lambda: 0.0) if seed is None else Random(seed).random
            await AppRunner(App(settings, clock=clock, random=random), clock, None).run()
            return
        from proxy.workers.parent import Parent  # noqa: PLC0415  # as the console script does
        from tests.support.team import Team  # noqa: PLC0415

        async with AsyncExitStack() as stack:
            team = await stack.enter_async_context(Team(clock, seed))
            parent = Parent(settings, clock=clock, command=team.command)
            team.parent = parent
            await AppRunner(parent, clock, team).run()

    is_asyncio = os.environ.get("HOLDFAST_TEST_LOOP", "uvloop") == "asyncio"
    with asyncio.Runner(loop_factory=None if is_asyncio else uvloop.new_event_loop) as runner:
        runner.run(run())


if __name__ == "__main__":
    main()
