"""Holdfast as its own process, for end-to-end tests: on a test clock, or as the console script.

`AppProcess` runs `app_runner`, which can turn the clock and look inside. `ConsoleProcess` runs `python -m proxy`
as an operator does. Both keep every log line, and neither is ever waited for by sleeping.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.patience import bounded

LINE_LIMIT = 1 << 20

QUIET = ("hold.update_on_first_subscription=false",)
"""Set unless a test says otherwise: every long poll would be sent to its backend a second time."""

WORKERS = int(os.environ.get("HOLDFAST_TEST_WORKERS", "1"))
"""How many workers each Holdfast of this run of the tests has, unless its test says otherwise."""

ROOT = Path(__file__).parents[2]


class ChildProcess:
    """A child with pipes: its standard error is read into `log` from the first moment on."""

    def __init__(self, arguments: Iterable[str], *, environment: Mapping[str, str]) -> None:
        self._arguments = (sys.executable, *arguments)
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._seen = 0
        self.log: list[str] = []
        """Every line of standard error so far, without line ends."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            cwd="/",
            limit=LINE_LIMIT,
        )
        assert self._process.stderr is not None
        self._reading = asyncio.create_task(self._read_log(self._process.stderr))
        try:
            await self.ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        assert not self.tracebacks(), "the app logged a traceback:\n" + "\n".join(self.log[-60:])

    async def ready(self) -> None:
        """Wait until the child is of use."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Kill the child if it is still there, and read its log to the end."""
        if self.process.returncode is None:
            self.process.kill()
        async with bounded():
            await self.process.wait()
            if self._reading is not None:
                await self._reading
            await self._let_go()

    async def _let_go(self) -> None:
        """Close the pipes: processes that the child has started have them too, and end behind it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        await self.process.stdout.read()
        self.process.stdin.close()
        with suppress(ConnectionError):
            await self.process.stdin.wait_closed()

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The child itself."""
        assert self._process is not None, "use it as an async context manager"
        return self._process

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def exit_status(self) -> int:
        """Wait until the child has ended by itself, and return its status."""
        async with bounded():
            status = await self.process.wait()
            if self._reading is not None:
                await self._reading
        return status

    async def log_line(self, matching: str) -> str:
        """Wait for the next line in which the regular expression is found, and return that line.

        Each call looks on from where the last one found something, so the same text twice is two lines.
        """
        pattern = re.compile(matching)

        def found() -> str | None:
            for position in range(self._seen, len(self.log)):
                if pattern.search(self.log[position]):
                    self._seen = position + 1
                    return self.log[position]
            return None

        try:
            return await self._until(found)
        except TimeoutError:
            raise AssertionError(f"no log line matches {matching!r}:\n" + "\n".join(self.log[-60:])) from None

    def log_lines(self, matching: str) -> list[str]:
        """Return the lines so far in which the regular expression is found."""
        return [line for line in self.log if re.search(matching, line)]

    def tracebacks(self) -> list[str]:
        """Return the lines that begin a traceback: there must never be one."""
        return [line for line in self.log if "Traceback (most recent" in line or "Task exception was never" in line]

    async def _until(self, found: Callable[[], str | None]) -> str:
        async with bounded(), self._changed:
            while (line := found()) is None:
                if self._reading is not None and self._reading.done():
                    raise AssertionError("the app has ended:\n" + "\n".join(self.log[-60:]))
                await self._changed.wait()
            return line

    async def _read_log(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            async with self._changed:
                self.log.append(line.decode(errors="backslashreplace").rstrip("\n"))
                self._changed.notify_all()
            # Captured by pytest, which shows it beside the test that failed.
            print(self.log[-1], file=sys.stderr)
        async with self._changed:
            self._changed.notify_all()


class AppProcess(ChildProcess):
    """Holdfast with these routes and settings on free ports of 127.0.0.1, by default on a clock the test turns.

    With HOLDFAST_TEST_WORKERS=2 it has that many workers, unless `settings` say how many. What is asked is then
    answered for all its processes together.

    `settings` are `section.key=value`, written as after `--set`. `clock="real"` leaves time alone. Without a `seed`
    every random number is 0, so that jittered times are the earliest possible.
    """

    def __init__(
        self,
        *routes: str,
        settings: Iterable[str] = (),
        clock: str = "manual",
        seed: int | None = None,
    ) -> None:
        wanted = {
            "settings": [*QUIET, f"proxy.workers={WORKERS}", *settings],
            "routes": list(routes),
            "clock": clock,
            "seed": seed,
        }
        arguments = ("-m", "tests.support.app_runner", json.dumps(wanted))
        super().__init__(arguments, environment={**os.environ, "PYTHONPATH": str(ROOT)})
        self._asking = asyncio.Lock()
        self.proxy_address = ("", 0)
        self.proxy_addresses: list[tuple[str, int]] = []
        """First those of `proxy.listen`, then those of `proxy.tls_listen`."""
        self.publish_address = ("", 0)

    async def ready(self) -> None:
        """Read the line that says where it listens."""
        where = await self._answer()
        self.proxy_addresses = [tuple(address[:2]) for address in where["proxy"]]
        self.proxy_address = self.proxy_addresses[0] if self.proxy_addresses else ("", 0)
        self.publish_address = tuple(where["publish"][:2])

    async def advance(self, seconds: float) -> None:
        """Turn the clock; returns when everything that fell due has run and the loop has gone idle."""
        await self.ask("advance", seconds)

    async def settle(self) -> None:
        """Wait until what was published so far has come to every worker, and the loops have gone idle."""
        await self.advance(0)

    async def times(self) -> tuple[float, float]:
        """Return the clock's monotonic and wall time."""
        times = await self.ask("times")
        return times["now"], times["wall"]

    async def memory(self) -> int:
        """Return the resident bytes of the process."""
        resident: int = await self.ask("memory")
        return resident

    async def connections(self) -> int:
        """Return how many client connections the kernel has."""
        count: int = (await self.ask("sockets"))["connections"]
        return count

    async def queued_bytes(self) -> int:
        """Return how many bytes the kernel queues for sending to clients."""
        queued: int = (await self.ask("sockets"))["queued_bytes"]
        return queued

    async def counters(self) -> dict[str, int]:
        """Return the app's counters by name."""
        counters: dict[str, int] = await self.ask("counters")
        return counters

    async def live_objects(self, *type_names: str) -> dict[str, int]:
        """Return how many objects of each of these types are alive."""
        counts: dict[str, int] = await self.ask("gc", list(type_names))
        return counts

    async def abort_during_fanout(self, *, behind: int, victim: int) -> None:
        """Cut the held client of port `victim` within the next fan-out, just before that of `behind` is written to."""
        await self.ask("abort_during_fanout", [behind, victim])

    async def until(self, holds: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Ask for the counters until `holds` says yes of them, and return those."""
        counters: dict[str, int] = {}
        try:
            async with bounded():
                while not holds(counters := await self.counters()):
                    pass
        except TimeoutError:
            raise AssertionError(f"the counters never came to what was waited for: {counters}") from None
        return counters

    async def ask(self, command: str, value: object = None) -> Any:
        """Send one command to the runner and return its answer."""
        async with self._asking:
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps({command: value}).encode() + b"\n")
            return await self._answer()

    async def _answer(self) -> Any:
        assert self.process.stdout is not None
        async with bounded():
            line = await self.process.stdout.readline()
            if not line:
                await self.process.wait()
                await asyncio.gather(*(task for task in (self._reading,) if task))
                raise AssertionError("the app has ended:\n" + "\n".join(self.log[-60:]))
        return json.loads(line)


class ConsoleProcess(ChildProcess):
    """The console script as an operator runs it: `python -m proxy ARGUMENTS`, on the real clock.

    Ready when its log says where it listens; `check` and the like are run with `console`. Of the settings of this
    machine it sees none: no HOLDFAST_* variables but those given, and no holdfast.toml in its working directory.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(("-m", "proxy", *arguments), environment=_console_environment(environment))
        self.proxy_address = ("", 0)
        self.publish_address = ("", 0)

    async def ready(self) -> None:
        """Wait for the line that says where it listens."""
        line = await self.log_line(r"listening for clients on .*, for publishers on ")
        clients, _, publishers = line.partition(", for publishers on ")
        self.proxy_address = _address(clients)
        self.publish_address = _address(publishers)


async def console(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run the console script to its end and return its status, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=_console_environment(environment), cwd="/",
    )  # fmt: skip
    async with bounded():
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def _console_environment(given: Mapping[str, str] | None) -> dict[str, str]:
    """Return this process's environment less what would be settings, and with what is `given`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    wanted = {"HOLDFAST_PROXY_WORKERS": str(WORKERS)}
    return {**inherited, "PYTHONPATH": str(ROOT), **wanted, **(given or {})}


def _address(text: str) -> tuple[str, int]:
    """Return the last `host:port` of a piece of log line."""
    host, _, port = text.rpartition(" ")[2].rpartition(":")
    return host.strip("[]"), int(port)
