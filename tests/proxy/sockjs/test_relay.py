"""A connection that is deciphered in one process and served in another, which are one here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from proxy.sockjs.relay import Relay, RelayedTransport, RelayEnd
from tests.handlers.room import Room
from tests.support.client import RawClient
from tests.support.turns import settle, until

PEER = ("203.0.113.7", 4711)


class Server(asyncio.Protocol):
    """Whoever serves the client: notes what it is told."""

    def __init__(self) -> None:
        self.heard = b""
        self.told: list[str] = []
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def eof_received(self) -> None:
        self.told.append("eof")

    def pause_writing(self) -> None:
        self.told.append("behind")

    def resume_writing(self) -> None:
        self.told.append("caught up")

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


@asynccontextmanager
async def relayed(*, is_slow: bool = False) -> AsyncGenerator[tuple[RawClient, Relay, RelayedTransport, Server]]:
    loop = asyncio.get_running_loop()
    async with Room() as room:
        client, transport = await room.connect(is_slow=is_slow)
        near, far = socket.socketpair()
        for sock in (near, far):
            sock.setblocking(False)
        server = Server()
        _, served = await loop.connect_accepted_socket(
            lambda: RelayedTransport(peername=PEER, begin=lambda relayed: relayed.set_protocol(server)), far
        )
        _, end = await loop.create_unix_connection(RelayEnd, sock=near)
        relay = Relay(site=room.site, transport=transport, label="/x", way=end)
        relay.attach(b"", is_behind=False)
        try:
            yield client, relay, served, server
        finally:
            served.abort()
            end.transport.abort()
            await settle()


async def test_bytes_go_both_ways() -> None:
    async with relayed() as (client, _, served, server):
        await client.send(b"x" * 200_000)
        await until(lambda: len(server.heard) == 200_000)
        served.write(b"y" * 200_000)
        assert await client.read_exactly(200_000) == b"y" * 200_000


async def test_who_serves_knows_the_client() -> None:
    async with relayed() as (_, _, served, server):
        assert served.get_extra_info("peername") == PEER
        assert served.get_extra_info("sslcontext") is not None
        assert served.get_extra_info("ssl_object") is not None
        assert served.get_protocol() is server
        assert served.is_reading()
        assert not served.can_write_eof()


@pytest.mark.parametrize("leaves", ["close", "reset"])
async def test_a_client_that_leaves_has_left(leaves: str) -> None:
    async with relayed() as (client, _, served, server):
        getattr(client, leaves)()
        await until(lambda: server.is_lost)
        assert served.is_closing()


@pytest.mark.parametrize("ends", ["close", "abort"])
async def test_the_end_of_it_is_the_clients(ends: str) -> None:
    async with relayed() as (client, relay, served, _):
        served.write(b"last")
        if ends == "close":
            served.close()
        else:
            await client.read_until(b"last")
            served.abort()
        await client.until_closed()
        await until(relay.transport.is_closing)


async def test_neither_side_is_read_faster_than_the_other_takes_it() -> None:
    async with relayed(is_slow=True) as (client, relay, served, server):
        served.set_write_buffer_limits(high=1_000)
        written = 0
        while "behind" not in server.told:
            served.write(b"x" * 10_000)
            written += 10_000
            await settle()
        assert relay.is_behind
        assert served.get_write_buffer_size() > 0
        await client.skip(written)
        await until(lambda: server.told[-1] == "caught up")
        served.pause_reading()
        await client.stuff(b"z" * 10_000, at_most=5_000_000)
        assert server.heard == b""
        served.resume_reading()
        await until(lambda: server.heard)


async def test_the_process_leaves_its_end_to_whoever_serves() -> None:
    async with relayed() as (client, relay, served, _):
        relay.drain()
        relay.on_deadline(0)
        served.write(b"still")
        assert await client.read_until(b"still") == b"still"
