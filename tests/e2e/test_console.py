"""The console script as an operator runs it: it starts, holds, publishes and stops, and says why it does not start."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.holding import open_stream
from tests.support.answers import grip_stream
from tests.support.app_process import ConsoleProcess, console
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.client import RawClient
from tests.support.publisher import publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

FREE = ("--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0")


async def test_a_published_line_reaches_a_stream(backend: ScriptedBackend) -> None:
    """From start to SIGTERM, with the publish command and with a POST, on the real clock."""
    route = f"*,id=main {backend.address}"
    async with (
        ConsoleProcess(*FREE, "--route", route, "--set", "proxy.drain_timeout=1") as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await open_stream(client, backend, "/live", grip_stream("live", body=b"open\n"))
        assert await client.chunk() == b"open\n"
        url = f"http://127.0.0.1:{app.publish_address[1]}"
        status, output, errors = await console("publish", "--spec", url, "live", "hello")
        assert (status, output, errors) == (0, "Published\n", "")
        assert await client.chunk() == b"hello\n"
        await publish(app, stream_item("live", "and again"))
        assert await client.chunk() == b"and again"
        app.signal(signal.SIGTERM)
        assert await client.chunk() == b""
        assert await client.until_closed() == b""
        assert await app.exit_status() == 0
        assert app.log_lines(rf"GET http://example\.com/live -> {backend.address} route=main accept")
        assert app.log_lines(r"publish channel=live (receivers=1|workers=2)$")


async def test_it_runs_on_a_settings_file(tmp_path: Path, backend: ScriptedBackend) -> None:
    """holdfast.toml, a routes file beside it, the environment over both."""
    (tmp_path / "mine.conf").write_text(f"* {backend.address}\n")
    proxy = '[proxy]\nlisten = ["127.0.0.1:0"]\nroutes = "mine.conf"\ncdn_loop = "file"\n'
    (tmp_path / "holdfast.toml").write_text(proxy + '[publish]\nlisten = "127.0.0.1:0"\n')
    config = ("--config", str(tmp_path / "holdfast.toml"))
    async with (
        ConsoleProcess("run", *config, environment={"HOLDFAST_PROXY_CDN_LOOP": "environment"}) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        assert (await client.fetch("/")).status == 200
        assert (await backend.request()).values(b"cdn-loop") == (b"environment",)


async def test_a_port_that_is_taken_is_one_line_and_status_1(backend: ScriptedBackend) -> None:
    """No traceback, and the address is named."""
    for taken in (("--listen", backend.address, "--publish", "127.0.0.1:0"), ("--publish", backend.address)):
        listen = () if "--listen" in taken else ("--listen", "127.0.0.1:0")
        status, output, errors = await console(*taken, *listen, "--route", "* 127.0.0.1:1", "--log-level", "error")
        assert (status, output) == (1, "")
        assert errors.count("\n") == 1
        assert backend.address in errors


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--routes", "/nonexistent/routes.conf"), id="unreadable routes"),
        pytest.param(("--route", "* 127.0.0.1:1", "--set", "proxy.sig_key=file:/nonexistent/key"), id="unreadable key"),
        pytest.param(("--route", "* 127.0.0.1:1", "--set", "proxy.no_such=1"), id="unknown setting"),
        pytest.param(("--route", "* 127.0.0.1:1", "--listen", "nonsense:port"), id="bad address"),
        pytest.param(("--config", "/nonexistent/holdfast.toml"), id="no settings file"),
        pytest.param(("--route", "* test", "--logfile", "/nonexistent/log"), id="no folder of the log file"),
    ],
)
async def test_what_keeps_it_from_starting_is_one_line_and_status_1(arguments: tuple[str, ...]) -> None:
    """No traceback, whatever the operator wrote."""
    status, output, errors = await console("run", *arguments, "--publish", "127.0.0.1:0", "--log-level", "error")
    assert (status, output) == (1, "")
    assert errors.startswith("holdfast: ")
    assert errors.count("\n") == 1


async def test_publishing_to_nobody_is_status_1() -> None:
    """The publish command says why it failed."""
    status, _, errors = await console("publish", "--spec", f"http://127.0.0.1:{closed_port()}", "c", "x")
    assert status == 1
    assert errors.count("\n") == 1
