"""WebSocket clients talk with a backend that knows only HTTP, and get what is published through Holdfast."""

from __future__ import annotations

import pytest

from tests.interop.grip_site import Site
from tests.interop.websocket_clients import (
    Open,
    by_nodes_own,
    by_reconnecting_websocket,
    by_websocket_client,
    by_websockets,
    by_ws,
    by_wscat,
)

LIBRARIES = [by_websockets, by_websocket_client, by_ws, by_nodes_own, by_reconnecting_websocket]
STAYING_AWAY = [by_websockets, by_websocket_client, by_ws, by_nodes_own, by_wscat]

BYTES = b"\x00\xff\xfe\r\n\x80"


@pytest.mark.parametrize("client", [*LIBRARIES, by_wscat])
def test_a_client_gets_answers_and_what_is_published(flask_site: Site, channel: str, client: Open) -> None:
    with client(flask_site.socket_url(f"/socket/{channel}")) as socket:
        assert socket.receive() == "opened"
        socket.send("grüße ✓")
        assert socket.receive() == "grüße ✓"
        flask_site.publish(f"message/{channel}", "published ✓")
        assert socket.receive() == "published ✓"


@pytest.mark.parametrize("client", LIBRARIES)
def test_a_client_gets_bytes_and_long_messages_whole(flask_site: Site, channel: str, client: Open) -> None:
    with client(flask_site.socket_url(f"/socket/{channel}")) as socket:
        assert socket.receive() == "opened"
        for message in (BYTES, "", "x" * 150_000):
            socket.send(message)
            assert socket.receive() == message
        flask_site.publish(f"binary/{channel}", BYTES.hex())
        assert socket.receive() == BYTES


@pytest.mark.parametrize("client", [*LIBRARIES, by_wscat])
def test_a_clients_close_is_answered_with_its_code(flask_site: Site, channel: str, client: Open) -> None:
    with client(flask_site.socket_url(f"/socket/{channel}")) as socket:
        assert socket.receive() == "opened"
        assert socket.close(4001) == (4001, "")


@pytest.mark.parametrize("client", STAYING_AWAY)
def test_a_client_sees_the_backends_close_and_a_published_one(flask_site: Site, channel: str, client: Open) -> None:
    with client(flask_site.socket_url(f"/socket/{channel}")) as socket:
        assert socket.receive() == "opened"
        socket.send("close")
        assert socket.closed() == (1000, "")
    with client(flask_site.socket_url(f"/socket/{channel}")) as socket:
        assert socket.receive() == "opened"
        flask_site.publish(f"leave/{channel}", "4002")
        assert socket.closed() == (4002, "published")


def test_reconnecting_websocket_comes_back_after_a_close(flask_site: Site, channel: str) -> None:
    with by_reconnecting_websocket(flask_site.socket_url(f"/socket/{channel}")) as socket:
        assert socket.receive() == "opened"
        flask_site.publish(f"leave/{channel}", "4002")
        assert socket.closed() == (4002, "published")
        socket.opened()
        assert socket.receive() == "opened"
        flask_site.publish(f"message/{channel}", "welcome back")
        assert socket.receive() == "welcome back"
