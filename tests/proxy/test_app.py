"""The composition root: what starts, what refuses to, and that a stopped app leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.app import App
from proxy.errors import RoutesFileError, SettingsError
from tests.proxy.in_process import client_of, running
from tests.support.backend import ScriptedBackend
from tests.support.clock import ManualClock
from tests.support.publisher import publish, stream_item
from tests.support.settings import settings_from
from tests.support.turns import settle


async def test_it_listens_on_every_address_it_was_given() -> None:
    async with running("* test", settings=["proxy.listen=127.0.0.1:0,127.0.0.1:0"]) as app:
        assert len(set(app.proxy_addresses)) == 2
        for _ in app.proxy_addresses:
            async with await client_of(app) as client:
                assert (await client.fetch("/")).status == 200
        await publish(app, stream_item("room", "news"))
        assert app.counters.publications == 1


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        app = App(settings_from([f"proxy.listen={address}"], routes=["* test"]), clock=ManualClock())
        with pytest.raises(OSError, match="in use") as failure:
            await app.start()
        assert failure.value.filename == address
        await app.drain()


async def test_an_address_that_is_taken_leaves_the_others_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as chosen:
        taken = other.getsockname()[1]
        free = chosen.getsockname()[1]
        chosen.close()
        settings = [f"publish.listen=127.0.0.1:{free}", f"proxy.listen=127.0.0.1:0,127.0.0.1:{taken}"]
        app = App(settings_from(settings, routes=["* test"]), clock=ManualClock())
        with pytest.raises(OSError, match="in use"):
            await app.start()
        socket.create_server(("127.0.0.1", free)).close()
        await app.drain()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
async def test_publishers_find_every_interface_on_the_one_port_the_system_chose() -> None:
    async with running("* test", settings=["publish.listen=:0"]) as app:
        port = app.publish_address[1]
        for host in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()


async def test_without_its_routes_file_it_does_not_start(tmp_path: Path) -> None:
    app = App(settings_from([f"proxy.routes={tmp_path / 'none'}"], routes=[]), clock=ManualClock())
    with pytest.raises(RoutesFileError):
        await app.start()
    await app.drain()


async def test_a_token_that_cannot_be_read_is_named() -> None:
    settings = settings_from(["publish.token=file:/no/such/file"], routes=["* test"])
    with pytest.raises(SettingsError, match=r"^publish\.token: /no/such/file cannot be read"):
        App(settings, clock=ManualClock())


async def test_a_reload_takes_the_new_routes_and_leaves_clients_alone(tmp_path: Path) -> None:
    async with ScriptedBackend() as backend:
        routes = tmp_path / "routes"
        routes.write_text("* test\n")
        async with running(settings=[f"proxy.routes={routes}"]) as app, await client_of(app) as client:
            assert b"test handler" in (await client.fetch("/")).body
            routes.write_text(f"* {backend.address}\n")
            app.reload()
            assert (await client.fetch("/")).body == b"hello\n"


async def test_a_stopped_app_leaves_no_task_and_no_port_behind() -> None:
    before = asyncio.all_tasks()
    async with ScriptedBackend() as backend, running(f"* {backend.address}") as app:
        async with await client_of(app) as client:
            await client.fetch("/")
        address = app.proxy_addresses[0]
    await settle()
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_one_process_does_without_zeromq() -> None:
    code = "import sys, proxy.app; sys.exit('zmq' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
