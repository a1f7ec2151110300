"""With `websocket.compression` on, clients that offer permessage-deflate get compressed messages, others plain ones."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError
from websockets.extensions.permessage_deflate import PerMessageDeflate

from tests.interop.grip_site import Site
from tests.interop.websocket_clients import Open, by_nodes_own, by_websocket_client, by_ws

LONG = "grüße ✓ " * 10_000


class Counting(ClientConnection):
    """A client that counts the bytes that come."""

    received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        super().data_received(data)


async def test_a_client_gets_answers_and_publications_compressed(compressing_site: Site, channel: str) -> None:
    url = compressing_site.socket_url(f"/socket/{channel}")
    async with (
        connect(url, proxy=None, create_connection=Counting) as socket,
        connect(url, proxy=None, compression=None) as plain,
    ):
        assert isinstance(socket, Counting)
        assert [type(extension) for extension in socket.protocol.extensions] == [PerMessageDeflate]
        assert plain.protocol.extensions == []
        assert [await socket.recv(), await plain.recv()] == ["opened", "opened"]
        await socket.send(LONG)
        assert await socket.recv() == LONG
        compressing_site.publish(f"message/{channel}", LONG)
        compressing_site.publish(f"message/{channel}", "")
        compressing_site.publish(f"binary/{channel}", b"\x00\xff".hex())
        for client in (socket, plain):
            assert [await client.recv(), await client.recv(), await client.recv()] == [LONG, "", b"\x00\xff"]
        assert socket.received < len(LONG) // 10


async def test_fragments_and_a_close_come_and_go_compressed(compressing_site: Site, channel: str) -> None:
    async with connect(compressing_site.socket_url(f"/socket/{channel}"), proxy=None) as socket:
        assert await socket.recv() == "opened"
        await socket.send([LONG, "", "and more"])
        assert await socket.recv() == f"{LONG}and more"
        await socket.close(4001)
        assert socket.close_code == 4001


async def test_a_message_beyond_the_limit_after_inflating_ends_the_connection(
    compressing_site: Site, channel: str
) -> None:
    async with connect(compressing_site.socket_url(f"/socket/{channel}"), proxy=None) as socket:
        assert await socket.recv() == "opened"
        await socket.send("x" * 10_000_000)
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("client", [by_websocket_client, by_ws, by_nodes_own])
def test_other_clients_get_answers_and_publications(compressing_site: Site, channel: str, client: Open) -> None:
    with client(compressing_site.socket_url(f"/socket/{channel}")) as socket:
        assert socket.receive() == "opened"
        for message in (LONG, "short", b"\x00\xff"):
            socket.send(message)
            assert socket.receive() == message
        compressing_site.publish(f"message/{channel}", LONG)
        assert socket.receive() == LONG
        assert socket.close(4001) == (4001, "")
