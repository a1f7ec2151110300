"""The kernel notices hosts of backends that vanish; what waits on an idle connection is seen before it is read."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.backend import BackendPool
from proxy.backend_aiohttp import AiohttpConnection
from proxy.backend_connection import OwnConnection
from proxy.backend_socket import PROBE_SECONDS, VANISHED_SECONDS, poll_of, probe
from tests.proxy.asking import connect
from tests.support.backend import ScriptedBackend


def transport_of(connection: object) -> asyncio.BaseTransport:
    if isinstance(connection, OwnConnection):
        transport: asyncio.BaseTransport | None = connection._transport  # noqa: SLF001
    else:
        assert isinstance(connection, AiohttpConnection)
        transport = connection._protocol.transport  # noqa: SLF001
    assert transport is not None
    return transport


async def test_each_client_has_the_kernel_ask_silent_backends(pool: BackendPool, backend: ScriptedBackend) -> None:
    connection = await connect(pool, backend)
    sock = transport_of(connection).get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == PROBE_SECONDS
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == VANISHED_SECONDS * 1000
    connection.close()


async def test_what_has_no_host_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        probe(transport)
        transport.abort()


@pytest.mark.parametrize("is_end", [True, False])
async def test_an_end_or_a_byte_is_seen_before_it_is_read(is_end: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, port)
        peer, _ = listener.accept()
        with peer:
            poll = poll_of(transport)
            assert not poll.poll(0)
            if is_end:
                peer.shutdown(socket.SHUT_WR)
            else:
                peer.sendall(b"x")
            assert poll.poll(0)
        transport.abort()
