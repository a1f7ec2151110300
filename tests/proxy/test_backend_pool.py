"""Idle connections of our own: which is taken, how long they are kept, and how new ones are made."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator

import pytest

from proxy.backend import POOL_SECONDS, BackendAddress, ConnectFailed
from proxy.backend_pool import RESTED_SECONDS, OwnPool
from proxy.request_body import NO_BODY, RequestBody
from tests.proxy.asking import all_of, ask, connect, fetch
from tests.support.answers import answer, chunked, text
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.clock import ManualClock
from tests.support.turns import settle, until


@pytest.fixture
async def pool(clock: ManualClock) -> AsyncGenerator[OwnPool]:
    pool = OwnPool(clock)
    yield pool
    await pool.close()
    await settle()


def address_of(backend: ScriptedBackend) -> BackendAddress:
    return BackendAddress(host=backend.host, port=backend.port)


async def fetch_at_once(pool: OwnPool, backend: ScriptedBackend, count: int) -> None:
    """Have `count` requests under way together, so that there are as many connections; the first ends first."""
    gates = [asyncio.Event() for _ in range(count)]
    backend.answers("/", *(chunked(b"a", gate, b"b") for gate in gates))
    answers = [await ask(pool, backend) for _ in range(count)]
    for gate, found in zip(gates, answers, strict=True):
        gate.set()
        await all_of(found)


# -- idle ones ----------------------------------------------------------------------------------------------------


async def test_the_one_used_last_is_taken_last(pool: OwnPool, backend: ScriptedBackend) -> None:
    await fetch_at_once(pool, backend, 3)
    backend.answers("/", text(b"next"))
    for number in (1, 2, 3, 1):
        await fetch(pool, backend)
        assert backend.requests[-1].connection == number


@pytest.mark.parametrize("late", [b"", b"H"], ids=["its end", "a stray byte"])
async def test_one_on_which_something_waits_to_be_read_is_not_taken(pool: OwnPool, late: bytes) -> None:
    """Although the event loop has not looked at it since."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = BackendAddress(host="127.0.0.1", port=listener.getsockname()[1])
        connection = await pool.connect(address)
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            found = await connection.exchange(method=b"GET", head=b"GET / HTTP/1.1\r\n\r\n", body=NO_BODY)
            assert found.whole() == b""
            assert pool.take(address) is connection
            pool.keep(connection)
            if late:
                peer.sendall(late)
            else:
                peer.shutdown(socket.SHUT_WR)
            assert pool.take(address) is None
            await until(lambda: not connection.is_usable)


async def test_what_may_not_be_sent_twice_goes_on_one_that_has_rested(
    pool: OwnPool, backend: ScriptedBackend, clock: ManualClock
) -> None:
    """A backend that closes behind its answer may be about to."""
    address = address_of(backend)
    await fetch_at_once(pool, backend, 2)
    assert pool.take(address, rested=True) is None
    clock.advance(RESTED_SECONDS / 2)
    first = pool.take(address)
    assert first is not None
    pool.keep(first)
    clock.advance(RESTED_SECONDS / 2)
    second = pool.take(address, rested=True)
    assert second is not None
    assert second is not first
    assert pool.take(address, rested=True) is None
    assert pool.take(address) is first


async def test_what_is_not_used_for_a_while_is_closed_and_the_others_are_kept(
    pool: OwnPool, backend: ScriptedBackend, clock: ManualClock
) -> None:
    await fetch_at_once(pool, backend, 2)
    clock.advance(POOL_SECONDS - 1)
    backend.answers("/", text(b"next"))
    await fetch(pool, backend)
    clock.advance(1)
    await backend.disconnected(2)
    await fetch(pool, backend)
    assert backend.accepted == 2
    clock.advance(POOL_SECONDS - 0.1)
    assert pool.take(address_of(backend)) is not None
    clock.advance(1)
    assert clock.next_due() is None


async def test_an_idle_one_is_closed_when_its_time_is_up(
    pool: OwnPool, backend: ScriptedBackend, clock: ManualClock
) -> None:
    await fetch(pool, backend)
    clock.advance(POOL_SECONDS)
    await backend.disconnected(1)
    assert pool.take(address_of(backend)) is None
    assert clock.next_due() is None


async def test_equal_addresses_share_what_is_idle(pool: OwnPool, backend: ScriptedBackend) -> None:
    await fetch(pool, backend)
    other = BackendAddress(host=backend.host, port=backend.port, server_hostname="example.com")
    assert pool.take(other) is None
    assert pool.take(address_of(backend)) is not None


async def test_one_that_is_closing_is_not_taken(pool: OwnPool, backend: ScriptedBackend) -> None:
    connection = await connect(pool, backend)
    await connection.exchange(method=b"GET", head=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", body=RequestBody.of(b""))
    connection.close()
    assert pool.take(address_of(backend)) is None


async def test_closing_the_pool_closes_those_in_use_too(pool: OwnPool, backend: ScriptedBackend) -> None:
    await fetch_at_once(pool, backend, 2)
    backend.answers("/", answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", asyncio.Event()))
    found = await ask(pool, backend)
    await pool.close()
    for number in (1, 2):
        await backend.disconnected(number)
    found.close()


# -- new ones -----------------------------------------------------------------------------------------------------


async def test_of_several_addresses_the_first_that_connects_is_taken(pool: OwnPool) -> None:
    """`localhost` has two where there is IPv6, and this backend listens on one of them."""
    async with ScriptedBackend() as backend:
        connection = await pool.connect(BackendAddress(host="localhost", port=backend.port))
        await until(lambda: backend.accepted == 1)
        connection.close()


async def test_an_ipv6_address_is_connected_to(pool: OwnPool) -> None:
    async with ScriptedBackend(host="::1") as backend:
        connection = await pool.connect(BackendAddress(host="::1", port=backend.port))
        await until(lambda: backend.accepted == 1)
        connection.close()


async def test_one_that_is_given_up_while_it_connects_leaves_nothing(pool: OwnPool) -> None:
    """The handshake is never answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = BackendAddress(
            host="127.0.0.1", port=listener.getsockname()[1], tls=ssl.create_default_context(), server_hostname="a"
        )
        connecting = asyncio.create_task(pool.connect(address))
        listener.setblocking(False)
        peer, _ = await asyncio.get_running_loop().sock_accept(listener)
        with peer:
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            peer.setblocking(False)
            while await asyncio.get_running_loop().sock_recv(peer, 65_536):
                pass


async def test_a_refused_connection_says_so(pool: OwnPool) -> None:
    with pytest.raises(ConnectFailed, match=r"(?i)connect"):
        await pool.connect(BackendAddress(host="127.0.0.1", port=closed_port()))
