"""Starts Holdfast and the backend of an example together, and ends them together. Each example's run.py calls `main`.

The backend gets a free port, so that whatever runs on 8000 is not in its way. All but the addresses is left to
holdfast.toml and `HOLDFAST_*` variables, as with `holdfast run`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

DRAIN = 2  # seconds in which open pages are let go: nobody likes to wait after Ctrl-C
END_LIMIT = DRAIN + 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What one example has of its own."""

    description: str
    """For --help."""
    backend: Callable[[str, str], Sequence[str]]
    """Makes the backend's command from the port to listen on, 0 for a free one, and the address to publish to. It finds
    the latter in its environment too, as GRIP_URL."""
    listening: str = r"listening on (\S+)"
    """Found in the line in which the backend says that it listens; its group is the address."""
    condition: str = "*"
    """The route's condition, with its options."""
    target: str = "{address}"
    """The route's target, made from that address."""
    settings: Sequence[str] = ()
    """Of Holdfast's, as `section.key=value`."""
    what_next: str
    """What to tell the user, `{url}` being where Holdfast listens."""


def main(example: Example) -> int:
    """Run until interrupted, and return the exit status."""
    parser = argparse.ArgumentParser(description=example.description)
    parser.add_argument("--listen", metavar="[HOST:]PORT", default=":7999", help="for clients (%(default)s)")
    parser.add_argument("--publish", metavar="HOST:PORT", default="127.0.0.1:5561", help="for publishers (%(default)s)")
    parser.add_argument("--backend", metavar="PORT", default="0", help="for the backend (a free one)")
    options = parser.parse_args()
    return asyncio.run(run(example, listen=options.listen, publish=options.publish, backend_port=options.backend))


async def run(example: Example, *, listen: str, publish: str, backend_port: str) -> int:
    """Run both until told to stop, which is status 0, or until one ends by itself, whose status is returned."""
    told_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    # What it publishes stays here, whatever proxy the rest of this machine uses.
    environment = {"GRIP_URL": f"http://{publish}", "no_proxy": "*"}
    async with started(*example.backend(backend_port, publish), stdout=PIPE, **environment) as backend:
        address = await address_of(backend, example.listening)
        if address is None:
            return await backend.wait()  # it has said why
        command = (sys.executable, "-m", "proxy", "run", "--listen", listen, "--publish", publish)
        options = ["--route", f"{example.condition} {example.target.format(address=address)}"]
        for setting in (f"proxy.drain_timeout={DRAIN}", *example.settings):
            options += ["--set", setting]
        with ready_socket() as ready:
            notify = "@" + ready.getsockname()[1:].decode()
            async with started(*command, *options, NOTIFY_SOCKET=notify) as holdfast:
                announcing = asyncio.create_task(announce(ready, example.what_next, listen))
                status = await first(until(told_to_stop), relayed(backend), holdfast.wait())
                announcing.cancel()
                return status


@asynccontextmanager
async def started(
    program: str, *arguments: str, stdout: int | None = None, **environment: str
) -> AsyncGenerator[Process]:
    """Run a program while the block lasts. With a pipe for `stdout`, its standard error goes there too."""
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=DEVNULL,
        stdout=stdout,
        stderr=None if stdout is None else STDOUT,
        env={**os.environ, "NOTIFY_SOCKET": "", **environment},
        process_group=0,  # the terminal's Ctrl-C is for us, who end the two in their order
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(END_LIMIT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def address_of(backend: Process, listening: str) -> str | None:
    """Return the address that the backend says it listens on; None when it ends instead."""
    assert backend.stdout is not None
    while line := await backend.stdout.readline():
        if said := re.search(listening, line.decode(errors="replace")):
            return said[1]
        relay(line)
    return None


async def relayed(backend: Process) -> int:
    """Relay what the backend has to say until its end, and return its exit status."""
    assert backend.stdout is not None
    while piece := await backend.stdout.read(4096):
        relay(piece)
    return await backend.wait()


def relay(output: bytes) -> None:
    """Write it to standard error, as it came."""
    sys.stderr.buffer.write(output)
    sys.stderr.buffer.flush()


async def announce(ready: socket.socket, what_next: str, listen: str) -> None:
    """Say what to do next, once Holdfast has told that it listens, as it would tell systemd."""
    await asyncio.get_running_loop().sock_recv(ready, 4096)
    host, _, port = listen.rpartition(":")
    sys.stdout.write(what_next.format(url=f"http://{host or 'localhost'}:{port}"))
    sys.stdout.flush()


async def until(told_to_stop: asyncio.Event) -> int:
    """Wait for it and return the exit status it means."""
    await told_to_stop.wait()
    return 0


async def first(*ends: Coroutine[None, None, int]) -> int:
    """Return the status of the end that comes first."""
    tasks = [asyncio.create_task(end) for end in ends]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    return done.pop().result()


def ready_socket() -> socket.socket:
    """Return a socket that Holdfast can tell that it is ready, with a name of the system's choosing (unix(7))."""
    ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ready.bind("")
    ready.setblocking(False)
    return ready
