"""An operator's tools, as Debian's package pushpin has them, against Holdfast run from that package's own files."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.interop.program import LINE_LIMIT, Program, absent, free_ports, installed
from tests.support.app_process import ROOT
from tests.support.debian_pushpin import CONF, debian_conf, free_instance

TOOLS = Path("/usr/share/doc/pushpin/examples/tools")


class Swapped(NamedTuple):
    """A Holdfast in Pushpin's place."""

    url: str
    first_port: int
    """That of PULL; HTTP, SUB and commands are the next ones."""
    stats: str

    def publish(self, *arguments: str, spec: str = "") -> None:
        """Run pushpin-publish to its end."""
        command = [installed("pushpin-publish", "Debian's pushpin"), *arguments]
        with Program("pushpin-publish", [*command, "--spec", spec or f"http://127.0.0.1:{self.first_port + 1}"]) as run:
            assert run.await_end() == 0

    def command(self, *arguments: str) -> str:
        """Run the package's command.py and return what it prints."""
        with Program("command.py", [*tool("command.py"), f"tcp://127.0.0.1:{self.first_port + 3}", *arguments]) as run:
            assert run.line().startswith(f"calling {arguments[0]}")
            return run.line()


def tool(name: str) -> list[str]:
    path = TOOLS / name
    if not path.exists():
        absent(f"{path} is not installed (Debian's pushpin)")
    return [sys.executable, str(path)]


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swapped]:
    """Holdfast from Debian's own pushpin.conf and routes."""
    if not CONF.exists():
        absent(f"{CONF} is not installed (Debian's pushpin)")
    folder = tmp_path_factory.mktemp("pushpin")
    conf, number, (port,) = debian_conf(folder, source=CONF), free_instance(), free_ports(1)
    options = ("--pushpin-conf", str(conf), "--id", str(number), "--port", f"127.0.0.1:{port}")
    with Program("holdfast", [sys.executable, "-m", "proxy", *options], env={"PYTHONPATH": str(ROOT)}) as holdfast:
        holdfast.await_line("listening for clients on")
        stats = f"ipc://{folder}/run/p{number}-stats"
        yield Swapped(url=f"http://127.0.0.1:{port}", first_port=5560 + 10 * number, stats=stats)


@pytest.mark.parametrize("by", ["HTTP", "PUSH"])
def test_what_pushpin_publish_sends_arrives(swapped: Swapped, by: str) -> None:
    spec = f"tcp://127.0.0.1:{swapped.first_port}" if by == "PUSH" else ""
    with httpx.stream("GET", f"{swapped.url}/stream", params={"channel": by}) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "[stream opened]"
        swapped.publish(by, "grüße ✓", spec=spec)
        assert next(lines) == "grüße ✓"


def test_p08_the_command_socket_is_where_the_package_looks(swapped: Swapped) -> None:
    assert swapped.command("recover") == "success: None"
    uris = swapped.command("get-zmq-uris")
    assert f"tcp://127.0.0.1:{swapped.first_port}" in uris
    assert f"tcp://127.0.0.1:{swapped.first_port + 2}" in uris
    assert swapped.command("conncheck", '{"ids": ["nobody"]}') == "success: []"
    assert swapped.command("none") == "error: method-not-found None"


def test_p09_the_stats_are_what_monitorstats_reads(swapped: Swapped) -> None:
    """A subscriber hears nothing until its subscription has arrived, so it is published until it does."""
    with (
        Program("monitorstats.py", [*tool("monitorstats.py"), swapped.stats, "message"]) as monitor,
        httpx.stream("GET", f"{swapped.url}/stream", params={"channel": "watched"}) as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "[stream opened]"
        deadline = time.monotonic() + LINE_LIMIT
        while not monitor.output and time.monotonic() < deadline:
            swapped.publish("watched", "news")
        line = monitor.line()
    assert line.startswith("message {")
    assert "'channel': 'watched'" in line
    assert "'transport': 'http-stream'" in line
