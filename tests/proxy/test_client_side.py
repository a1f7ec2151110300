"""The clients' side by itself: what it is made of is tested in its parts, here that it starts, reloads and ends."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from handlers.counters import Counters
from handlers.protocol.address import Address
from proxy.client_side import ClientSide, load_key
from proxy.errors import RoutesFileError, SettingsError
from proxy.listening import SocketOptions, listen
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.clock import ManualClock
from tests.support.settings import settings_from


def side_of(*settings: str, routes: tuple[str, ...] = ("* test",)) -> ClientSide:
    return ClientSide(
        settings_from(["proxy.drain_timeout=0", *settings], routes=routes),
        clock=ManualClock(),
        counters=Counters(),
        random=lambda: 0.0,
    )


def listening() -> tuple[socket.socket, ...]:
    return listen(Address(host="127.0.0.1", port=0), SocketOptions(backlog=10))


async def test_it_serves_whoever_connects_until_it_is_drained() -> None:
    side, sockets = side_of(), listening()
    address = sockets[0].getsockname()
    side.load()
    await side.listen(sockets)
    async with await RawClient.connect(address) as client:
        assert (await client.fetch("/")).status == 200
        await side.drain()
        assert await client.until_closed() == b""
    await side.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


async def test_its_routes_are_loaded_again_when_it_is_told_to(tmp_path: Path, backend: ScriptedBackend) -> None:
    routes = tmp_path / "routes.conf"
    routes.write_text("* test\n")
    side, sockets = side_of(f"proxy.routes={routes}", "proxy.reload_interval=0", routes=()), listening()
    side.load()
    await side.listen(sockets)
    async with await RawClient.connect(sockets[0].getsockname()) as client:
        routes.write_text(f"* {backend.address}\n")
        side.reload()
        assert (await client.fetch("/")).body == b"hello\n"
    await side.drain()
    await side.close()


async def test_without_its_routes_file_it_does_not_load(tmp_path: Path) -> None:
    side = side_of(f"proxy.routes={tmp_path / 'none'}", routes=())
    with pytest.raises(RoutesFileError):
        side.load()
    await side.close()


@pytest.mark.parametrize("key", ["base64:***", "file:/no/such/file"])
async def test_a_key_that_cannot_be_used_is_named(key: str) -> None:
    for name in ("sig_key", "upstream_key"):
        with pytest.raises(SettingsError, match=f"proxy.{name}"):
            side_of(f"proxy.{name}={key}")
    with pytest.raises(SettingsError, match=r"proxy\.x: "):
        load_key(key, "x")


def test_no_key_is_no_key() -> None:
    assert load_key("", "sig_key") is None
