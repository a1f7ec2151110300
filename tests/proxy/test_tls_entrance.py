"""Where TLS comes in: who is let in, who is not, and what is left when it closes."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

import pytest

from handlers.counters import Counters
from handlers.protocol.address import Address
from proxy.certificates import CertificatePair
from proxy.listening import SocketOptions, listen
from proxy.tls_entrance import TlsEntrance, TlsSite, ignore_bad_names
from tests.support.at_once import connect_at_once
from tests.support.client import RawClient
from tests.support.clock import ManualClock
from tests.support.tls_client import TlsClient, install, trusting
from tests.support.turns import settle, until


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class CountedRoom:
    """Room for so many at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.inside = 0

    def enter(self) -> bool:
        if self.inside >= self.limit:
            return False
        self.inside += 1
        return True

    def has_entered(self) -> None:
        self.inside -= 1


class Entrance:
    """An entrance, with all it needs."""

    def __init__(self, folder: Path, room: CountedRoom | None = None, protocol: type[Echo] = Echo) -> None:
        self.certificate = install(folder, "a", "localhost")
        self.counters = Counters()
        self.clock = ManualClock()
        room = room or CountedRoom(1000)
        site = TlsSite(clock=self.clock, counters=self.counters, handshake_timeout=10, room=room, log_from=True)
        self.protocol = protocol
        self.protocols: list[Echo] = []
        [sock] = listen(Address(host="127.0.0.1", port=0), SocketOptions(backlog=100, unsent_limit=16_384))
        self.address = sock.getsockname()
        pair = CertificatePair(self.certificate, self.certificate.with_suffix(".key"))
        self.entrance = TlsEntrance(site, sock, certificate=pair, make=self.make)
        self.entrance.open()

    def make(self) -> Echo:
        self.protocols.append(self.protocol())
        return self.protocols[-1]

    async def connect(self, *, receive_buffer: int | None = None) -> TlsClient:
        return await TlsClient.connect_tls(self.address, trusting(self.certificate), receive_buffer=receive_buffer)

    async def close(self) -> None:
        self.entrance.close()
        await self.entrance.wait_closed()


@pytest.fixture
async def entrance(tmp_path: Path) -> AsyncGenerator[Entrance]:
    made = Entrance(tmp_path)
    yield made
    await made.close()


async def test_whoever_shakes_hands_is_served(entrance: Entrance) -> None:
    for _ in range(3):
        async with await entrance.connect() as client:
            await client.send(b"hello")
            assert await client.read_exactly(5) == b"hello"
    assert entrance.counters.tls_failures == 0


async def test_many_at_once_are_served_in_their_turns(entrance: Entrance) -> None:
    clients = await asyncio.gather(*(entrance.connect() for _ in range(60)))
    for client in clients:
        await client.send(b"x")
    for client in clients:
        assert await client.read_exactly(1) == b"x"
        client.close()


async def test_each_is_noted_before_its_handshake_and_forgotten_behind_it(tmp_path: Path) -> None:
    room = CountedRoom(2)
    made = Entrance(tmp_path, room)
    async with await RawClient.connect(made.address) as silent:
        await until(lambda: room.inside == 1)
        async with await made.connect():
            await until(lambda: room.inside == 1)
        made.clock.advance(10)
        assert await silent.until_cut() == b""
        await until(lambda: room.inside == 0)
    assert made.counters.tls_failures == 1
    await made.close()


async def test_the_place_of_a_handshake_is_free_for_its_protocol(tmp_path: Path) -> None:
    room = CountedRoom(9)
    inside: list[int] = []

    class Counting(Echo):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            inside.append(room.inside)
            super().connection_made(transport)
            made.clock.advance(10)  # the handshake is over, and its bound with it

    made = Entrance(tmp_path, room, protocol=Counting)
    async with await made.connect() as client:
        await client.send(b"x")
        assert await client.read_exactly(1) == b"x"
    assert inside == [0]
    await until(lambda: room.inside == 0)
    assert made.counters.tls_failures == 0
    await made.close()


async def test_where_there_is_no_room_nobody_gets_in(tmp_path: Path) -> None:
    made = Entrance(tmp_path, CountedRoom(0))
    async with await RawClient.connect(made.address) as client:
        assert await client.until_cut() == b""
    assert made.counters.tls_failures == 0
    await made.close()


async def test_closing_ends_handshakes_and_leaves_those_who_are_in_alone(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    room = CountedRoom(9)
    made = Entrance(tmp_path, room)
    async with await made.connect() as inside, await RawClient.connect(made.address) as silent:
        await until(lambda: room.inside == 1)
        await made.close()
        assert await silent.until_cut() == b""
        await inside.send(b"still here")
        assert await inside.read_exactly(10) == b"still here"
    await settle()
    assert asyncio.all_tasks() == before
    assert made.counters.tls_failures == 0
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(made.address)


async def test_stopping_lets_those_in_who_wait_and_handshakes_go_on(tmp_path: Path) -> None:
    room = CountedRoom(9)
    made = Entrance(tmp_path, room)
    shaking = asyncio.create_task(made.connect())
    await until(lambda: room.inside == 1)
    with connect_at_once(made.address) as silent:
        made.entrance.stop()
        client = await shaking
        await client.send(b"hello")
        assert await client.read_exactly(5) == b"hello"
        client.close()
        assert room.inside == 1
        with pytest.raises(ConnectionRefusedError):
            await RawClient.connect(made.address)
        await made.close()
        assert await RawClient(silent).until_cut() == b""
    assert (made.counters.connections_cut, made.counters.tls_failures) == (1, 0)


async def test_when_files_are_used_up_it_tries_again_in_a_second(
    entrance: Entrance, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = socket.socket()
    client.setblocking(False)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free(), hard))
    try:
        client.connect_ex(entrance.address)
        await until(lambda: "cannot accept a TLS connection: Too many open files; next try in 1 s" in caplog.text)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    entrance.clock.advance(1)
    client.close()
    await until(lambda: entrance.counters.tls_failures == 1)
    async with await entrance.connect() as later:
        await later.send(b"x")
        assert await later.read_exactly(1) == b"x"


def lowest_free() -> int:
    number = os.dup(0)
    os.close(number)
    return number


@pytest.mark.parametrize("times", [1, 2])
def test_a_bad_name_is_ignored_and_everything_else_told(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    for _ in range(times):
        ignore_bad_names()

    class Args:
        def __init__(self, value: BaseException, thing: object) -> None:
            self.exc_value, self.object = value, thing

    bad_name = Args(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"), b"\xff")
    others = [Args(ValueError("no"), b"x"), Args(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"), None)]
    for args in (bad_name, *others):
        sys.unraisablehook(args)  # type: ignore[arg-type]
    assert told == others
