"""What is told of a held connection when it comes, and when it is gone."""

from __future__ import annotations

from handlers.protocol.carried_name import uncarry
from handlers.protocol.names import Channel
from handlers.protocol.observed import Connected, Disconnected, Interest
from tests.handlers.noting import NotingObserver
from tests.handlers.room import Room

CONNECTIONS = Interest(connections=True)


async def test_each_kind_is_told_of_once_when_it_comes_and_when_it_goes(room: Room) -> None:
    noting = NotingObserver()
    room.edge.watch(noting, CONNECTIONS, worker=3)
    _, stream = await room.stream("a", "b")
    _, poll = await room.poll("a")
    _, socket, _ = await room.websocket("c")
    told = noting.take()
    assert told == [
        Connected(f"3-{stream.stamp:x}", "stream", "127.0.0.1"),
        Connected(f"3-{poll.stamp:x}", "response", "127.0.0.1"),
        Connected(f"3-{socket.stamp:x}", "ws", "127.0.0.1"),
    ]
    for session in (stream, poll, socket):
        session.leave()
        session.leave()
    assert noting.take() == [
        Disconnected(f"3-{stream.stamp:x}", "stream", (Channel("a"), Channel("b"))),
        Disconnected(f"3-{poll.stamp:x}", "response", (Channel("a"),)),
        Disconnected(f"3-{socket.stamp:x}", "ws", (Channel("c"),)),
    ]


async def test_a_websocket_whose_backend_knows_an_id_has_that(room: Room) -> None:
    noting = NotingObserver()
    room.edge.watch(noting, CONNECTIONS)
    _, socket, _ = await room.websocket("c")
    socket.connection_id, socket.route = b"of-its-backend", "r"
    noting.take()
    socket.leave()
    assert noting.take() == [Disconnected("of-its-backend", "ws", (Channel("c"),), route="r")]


async def test_channels_whose_names_are_no_text_stay_apart(room: Room) -> None:
    noting = NotingObserver()
    room.edge.watch(noting, CONNECTIONS)
    _, stream = await room.stream("a\udcff", "a\udcfe")
    noting.take()
    stream.leave()
    (told,) = noting.take()
    assert isinstance(told, Disconnected)
    assert [uncarry(each) for each in told.channels] == ["a\udcff", "a\udcfe"]
    assert "".join(told.channels).encode()
