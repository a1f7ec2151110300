"""How a TLS connection closes: at once when nothing waits, and whole for whoever goes on reading."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.proxy.test_tls_entrance import Echo, Entrance
from tests.support.tls_client import TlsClient
from tests.support.turns import settle, until

SIZE = 2_000_000
"""Bytes of which most wait in the process: the entrance's sockets take little."""

PIECE = 50_000


@pytest.fixture
async def entrance(tmp_path: Path) -> AsyncGenerator[Entrance]:
    made = Entrance(tmp_path)
    yield made
    await made.close()


async def connect(entrance: Entrance) -> tuple[TlsClient, Echo]:
    """Connect a client that takes little; return it, and the connection's other end."""
    client = await entrance.connect(receive_buffer=4_096)
    await client.send(b"x")
    assert await client.read_exactly(1) == b"x"
    return client, entrance.protocols[-1]


async def pass_time(entrance: Entrance, seconds: float) -> None:
    for _ in range(int(seconds * 2)):
        entrance.clock.advance(0.5)
        await settle()


async def test_with_nothing_to_write_it_is_gone_in_a_second_whether_or_not_the_peer_answers(entrance: Entrance) -> None:
    client, inside = await connect(entrance)
    async with client:
        inside.transport.close()
        assert inside.transport.is_closing()
        await settle()
        assert not inside.is_lost
        await pass_time(entrance, 1.5)
        await until(lambda: inside.is_lost)
        assert await client.until_closed() == b""
    assert entrance.counters.tls_closings_cut == 0


async def test_a_peer_that_answers_is_not_waited_for(entrance: Entrance) -> None:
    client, inside = await connect(entrance)
    inside.transport.close()
    assert await client.until_closed() == b""
    await client.close_politely()
    await until(lambda: inside.is_lost)
    await pass_time(entrance, 2)
    assert entrance.clock.next_due() is None


@pytest.mark.parametrize("size", [50_000, 100_000, 150_000, SIZE])
async def test_a_slow_peer_gets_everything_however_long_it_takes(entrance: Entrance, size: int) -> None:
    """Little of what waits is below the mark at which the loop tells of it."""
    client, inside = await connect(entrance)
    async with client:
        inside.transport.write(bytes(size))
        inside.transport.close()
        for _ in range(size // PIECE):
            await pass_time(entrance, 30)
            assert await client.read_exactly(PIECE) == bytes(PIECE)
        assert await client.until_closed() == b""
        await pass_time(entrance, 1.5)
        await until(lambda: inside.is_lost)
    assert entrance.counters.tls_closings_cut == 0


async def test_one_that_takes_nothing_is_cut_in_a_minute_counted_and_told(
    entrance: Entrance, caplog: pytest.LogCaptureFixture
) -> None:
    client, inside = await connect(entrance)
    async with client:
        inside.transport.write(bytes(SIZE))
        inside.transport.close()
        await pass_time(entrance, 59)
        assert not inside.is_lost
        await pass_time(entrance, 3)
        await until(lambda: inside.is_lost)
        with pytest.raises((ssl.SSLError, AssertionError, ConnectionResetError)):
            await client.read_exactly(SIZE)
    assert entrance.counters.tls_closings_cut == 1
    assert caplog.messages == ["a closed TLS connection was cut: its peer took nothing for 60 seconds"]


async def test_cut_while_it_closes_it_is_forgotten(entrance: Entrance) -> None:
    client, inside = await connect(entrance)
    async with client:
        inside.transport.write(bytes(SIZE))
        inside.transport.close()
        inside.transport.close()
        inside.transport.abort()
        await until(lambda: inside.is_lost)
        inside.transport.close()
        await pass_time(entrance, 1)
    assert entrance.clock.next_due() is None
    assert entrance.counters.tls_closings_cut == 0


async def test_all_else_is_the_loops_own(entrance: Entrance) -> None:
    client, inside = await connect(entrance)
    async with client:
        transport = inside.transport
        assert not transport.can_write_eof()
        assert transport.get_protocol() is inside
        assert transport.get_extra_info("sslcontext") is not None
        assert transport.get_extra_info("nothing", 5) == 5
        transport.set_write_buffer_limits(high=10)
        transport.pause_reading()
        assert not transport.is_reading()
        transport.resume_reading()
        assert transport.is_reading()
        for _ in range(2):  # the first goes below
            transport.write(bytes(SIZE))
        assert transport.get_write_buffer_size() >= SIZE
        other = Echo()
        transport.set_protocol(other)
        assert transport.get_protocol() is other
        transport.abort()
        await until(lambda: other.is_lost)
