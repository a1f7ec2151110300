"""`make run`: Holdfast in front of the demo backend, started together and ended together.

The backend gets a free port, so that whatever runs on 8000 is not in its way. All but the addresses is left to
holdfast.toml and `HOLDFAST_*` variables, as with `holdfast run`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

BACKEND = str(Path(__file__).with_name("backend.py"))
DRAIN = 2  # seconds in which open pages are let go: nobody likes to wait after Ctrl-C
END_LIMIT = DRAIN + 5

WHAT_NEXT = """
  Open {url}/, or in a second terminal:

      curl -N {url}/events
      curl -d '{{"text": "Hello"}}' {url}/messages

  Ctrl-C ends it.

"""


def main() -> int:
    """Run until interrupted, and return the exit status."""
    parser = argparse.ArgumentParser(description="Holdfast in front of the demo backend.")
    parser.add_argument("--listen", metavar="[HOST:]PORT", default=":7999", help="for clients (%(default)s)")
    parser.add_argument("--publish", metavar="HOST:PORT", default="127.0.0.1:5561", help="for publishers (%(default)s)")
    parser.add_argument("--backend", metavar="PORT", default="0", help="for the backend (a free one)")
    options = parser.parse_args()
    return asyncio.run(run(listen=options.listen, publish=options.publish, backend_port=options.backend))


async def run(*, listen: str, publish: str, backend_port: str) -> int:
    """Run both until told to stop, which is status 0, or until one ends by itself, whose status is returned."""
    told_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    async with started(BACKEND, backend_port, "--publish", f"http://{publish}", stdout=PIPE) as backend:
        assert backend.stdout is not None
        line = await backend.stdout.readline()
        if not line:
            return await backend.wait()  # it has said why
        target = line.decode().split()[-1]
        command = ("-m", "proxy", "run", "--listen", listen, "--publish", publish, "--route", f"* {target}")
        with ready_socket() as ready:
            notify = "@" + ready.getsockname()[1:].decode()
            async with started(*command, "--set", f"proxy.drain_timeout={DRAIN}", notify_socket=notify) as holdfast:
                announcing = asyncio.create_task(announce(ready, listen))
                status = await first(until(told_to_stop), backend.wait(), holdfast.wait())
                announcing.cancel()
                return status


@asynccontextmanager
async def started(*arguments: str, stdout: int | None = None, notify_socket: str = "") -> AsyncGenerator[Process]:
    """Run Python with these arguments while the block lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=DEVNULL,
        stdout=stdout,
        env={**os.environ, "NOTIFY_SOCKET": notify_socket},
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


async def announce(ready: socket.socket, listen: str) -> None:
    """Say what to do next, once Holdfast has told that it listens, as it would tell systemd."""
    await asyncio.get_running_loop().sock_recv(ready, 4096)
    host, _, port = listen.rpartition(":")
    sys.stdout.write(WHAT_NEXT.format(url=f"http://{host or 'localhost'}:{port}"))
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


if __name__ == "__main__":
    sys.exit(main())
