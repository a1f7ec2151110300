"""Routes from a file, loaded again without anybody noticing but new requests (reference 1.9; rows R19 to R23)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import grip_response, grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.publisher import hint_item, publish, response_item, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

WATCHING = "proxy.reload_interval=1"


async def test_a_changed_file_is_in_force_within_seconds_and_holds_stay(
    tmp_path: Path, backend: ScriptedBackend
) -> None:
    """R19: also for the connection that is held on a route which is gone."""
    routes = tmp_path / "routes.conf"
    routes.write_text(f"old.test {backend.address}\n")
    async with (
        AppProcess(settings=[f"proxy.routes={routes}", WATCHING]) as app,
        await RawClient.connect(app.proxy_address) as held,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await open_stream(held, backend, "/held", grip_stream("held"), host="old.test")
        assert (await client.fetch("/", host="new.test")).status == 502
        routes.write_text(f"new.test {backend.address}\n")
        await app.advance(3)
        await app.log_line("routes file changed, reloading")
        await app.log_line("routes loaded with 1 entries")
        assert (await client.fetch("/", host="new.test")).status == 200
        assert (await client.fetch("/", host="old.test")).status == 502
        await publish(app, stream_item("held", "still"))
        assert await held.chunk() == b"still"


async def test_a_replaced_file_is_seen_too(tmp_path: Path, backend: ScriptedBackend) -> None:
    """R19: editors and deployments rename a new file over the old one."""
    routes = tmp_path / "routes.conf"
    routes.write_text(f"old.test {backend.address}\n")
    async with (
        AppProcess(settings=[f"proxy.routes={routes}", WATCHING]) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        (tmp_path / "new.conf").write_text(f"new.test {backend.address}\n")
        (tmp_path / "new.conf").replace(routes)
        await app.advance(3)
        assert (await client.fetch("/", host="new.test")).status == 200


async def test_sighup_loads_the_file_at_once(tmp_path: Path, backend: ScriptedBackend) -> None:
    """R19, and an unreadable file leaves the routes as they were."""
    routes = tmp_path / "routes.conf"
    routes.write_text(f"old.test {backend.address}\n")
    async with (
        AppProcess(settings=[f"proxy.routes={routes}", "proxy.reload_interval=0"]) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await app.log_line("routes loaded with 1 entries")
        routes.write_text(f"old.test {backend.address}\nnew.test {backend.address}\n")
        app.signal(signal.SIGHUP)
        await app.log_line("routes loaded with 2 entries")
        assert (await client.fetch("/", host="new.test")).status == 200
        routes.unlink()
        app.signal(signal.SIGHUP)
        await app.log_line("unable to open routes file: ")
        assert (await client.fetch("/", host="new.test")).status == 200


async def test_a_poll_whose_route_changed_is_retried_by_the_new_one(tmp_path: Path, backend: ScriptedBackend) -> None:
    """Reference 1.9: a retry looks its route up again."""
    routes = tmp_path / "routes.conf"
    routes.write_text(f"*,id=main {backend.address}\n")
    async with (
        ScriptedBackend() as second,
        AppProcess(settings=[f"proxy.routes={routes}", WATCHING]) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await open_poll(app, client, backend, "/poll", grip_response("poll", headers=[("Grip-Timeout", "600")]))
        routes.write_text(f"*,id=main {second.address}\n")
        await app.advance(3)
        await publish(app, hint_item("poll"))
        assert (await client.response()).body == b"hello\n"
        assert len(second.requests) == 1


async def test_a_bad_line_is_reported_and_the_others_load(tmp_path: Path, backend: ScriptedBackend) -> None:
    """R20, R22, R23: file, line and reason; comments, blank lines and duplicates."""
    routes = tmp_path / "routes.conf"
    lines = (
        "# a comment",
        f"good.test {backend.address}",
        "",
        "nowhere.test",
        "bad.test no-colon",
        "bad.test 127.0.0.1:99999",
        f"bad.test,proto=ftp {backend.address}",
        f'bad.test,header="A: b {backend.address}',
        "good.test 127.0.0.1:1 # the first of two equal conditions counts",
        f'last.test,header="X: #1, 2" {backend.address}# another comment',
    )
    routes.write_text("\n".join(lines) + "\n")
    async with (
        AppProcess(settings=[f"proxy.routes={routes}"]) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        for number, reason in (
            (4, ""),
            (5, "target bad format"),
            (6, "target invalid port"),
            (7, "proto must be set to 'http' or 'ws'"),
            (8, "unterminated quoted section"),
            (9, "skipping duplicate condition"),
        ):
            line = await app.log_line(rf"routes\.conf:{number}: ")
            assert reason in line
            assert "WARN" in line
        await app.log_line("routes loaded with 2 entries")
        assert (await client.fetch("/", host="good.test")).status == 200
        assert (await client.fetch("/", host="last.test")).status == 200
        assert backend.requests[-1].values(b"x") == (b"#1, 2",)
        assert (await client.fetch("/", host="bad.test")).status == 502


async def test_routes_of_the_command_line_replace_the_file(tmp_path: Path, backend: ScriptedBackend) -> None:
    """R21: the file is neither read nor watched; bad lines are reported by their number among the lines."""
    routes = tmp_path / "routes.conf"
    routes.write_text("nonsense\n")
    given = (f"line.test {backend.address}", "bad.test")
    async with (
        AppProcess(*given, settings=[f"proxy.routes={routes}", WATCHING]) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        assert (await client.fetch("/", host="line.test")).status == 200
        routes.write_text(f"* {backend.address}\n")
        await app.advance(5)
        assert (await client.fetch("/", host="other.test")).status == 502
        assert not app.log_lines(r"routes\.conf|routes file changed")
        assert app.log_lines("<route>:")


async def test_a_held_poll_is_answered_after_a_reload(tmp_path: Path, backend: ScriptedBackend) -> None:
    """R19: for long polls too."""
    routes = tmp_path / "routes.conf"
    routes.write_text(f"* {backend.address}\n")
    async with (
        AppProcess(settings=[f"proxy.routes={routes}", WATCHING]) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await open_poll(app, client, backend, "/poll", grip_response("stays"))
        routes.write_text("# nothing is left\n")
        await app.advance(3)
        await app.log_line("routes loaded with 0 entries")
        await publish(app, response_item("stays", "answered"))
        assert (await client.response()).body == b"answered"
        assert (await client.fetch("/")).status == 502
