"""What a WebSocket costs while it is held, and that nothing is left of it however it ends."""

from __future__ import annotations

import random
import tracemalloc
import weakref
from collections.abc import Awaitable, Callable

import pytest
from websockets.frames import Frame, Opcode

from handlers.open_ended import BEHIND_LIMIT
from handlers.protocol.items import Action
from handlers.protocol.ws_frames import CloseReason
from handlers.timers import NOWHERE, TimerWheel
from handlers.websocket import WebSocketSession
from tests.handlers.recording import RecordingLink, Spectator
from tests.handlers.room import OUTBOX, Room, message_item, subscriptions
from tests.support.turns import settle, until
from tests.support.websocket import WsClient

CONTROLS = b'c:{"type": "keep-alive", "content": "beat"}', b'c:{"type": "send-delayed", "content": "late"}'

Ending = Callable[[Room, WsClient, RecordingLink], Awaitable[None]]


class WatchedWebSocket(WebSocketSession):
    """A WebSocket that can tell when it is gone."""

    __slots__ = ("__weakref__",)


async def gone(room: Room, client: WsClient, link: RecordingLink) -> None:
    """The client hangs up."""
    client.reset()


async def gone_within_a_message(room: Room, client: WsClient, link: RecordingLink) -> None:
    """The client hangs up while publications wait for the end of a message."""
    link.relay(Frame(Opcode.TEXT, b"begun", fin=False))
    room.edge.deliver(message_item("room", b"news"))
    client.reset()


async def closed(room: Room, client: WsClient, link: RecordingLink) -> None:
    """The client closes, and its backend answers."""
    await client.put_close(1000)
    await until(lambda: link.frames)
    assert link.session is not None
    link.session.echo()
    assert (await client.closed()).code == 1000


async def published_close(room: Room, client: WsClient, link: RecordingLink) -> None:
    """Somebody publishes a close, and the client answers."""
    room.edge.deliver(message_item("room", action=Action.CLOSE))
    await client.closed()
    await client.put_close(1000)


async def unanswered(room: Room, client: WsClient, link: RecordingLink) -> None:
    """The backend closes, and the client does not answer."""
    assert link.session is not None
    link.session.close(CloseReason())
    room.clock.advance(room.websockets.settings.close_timeout + TimerWheel.RESOLUTION)


async def refused(room: Room, client: WsClient, link: RecordingLink) -> None:
    """The client is at fault, and closes without an answer."""
    await client.send(b"HTTP")
    await client.closed()
    client.close()


async def failed(room: Room, client: WsClient, link: RecordingLink) -> None:
    """The backend is at fault."""
    assert link.session is not None
    link.session.fail("no answer")
    await client.closed()
    await client.put_close(1000)


async def detached(room: Room, client: WsClient, link: RecordingLink) -> None:
    """The backend leaves, then the client."""
    link.relay(Frame(Opcode.TEXT, b'c:{"type": "detach"}'))
    client.reset()


async def cut(room: Room, client: WsClient, link: RecordingLink) -> None:
    """The client is far behind."""
    content = random.Random(1).randbytes((BEHIND_LIMIT + 1) * OUTBOX)  # which does not get smaller
    link.relay(Frame(Opcode.BINARY, content, fin=False), Frame(Opcode.CONT, content))
    await client.until_cut()


ENDINGS = [gone, gone_within_a_message, closed, published_close, unanswered, refused, failed, detached, cut]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("is_deflated", [False, True], ids=["plain", "deflated"])
@pytest.mark.parametrize("end", ENDINGS)
async def test_an_ended_websocket_is_not_kept_alive(room: Room, end: Ending, is_deflated: bool) -> None:
    """Neither by edge, wheel or transport, nor by its link and itself in a circle; nor is its link."""
    client, session, link = await room.websocket(
        "room", "other", implicit=("own",), grip=b"", is_deflated=is_deflated, is_slow=end is cut, kind=WatchedWebSocket
    )
    alive, alive_link, transport = weakref.ref(session), weakref.ref(link), session.transport
    link.relay(*(Frame(Opcode.TEXT, control) for control in CONTROLS))
    room.edge.deliver(message_item("room", b"news"))
    await client.frame()
    await end(room, client, link)
    await room.until_closed(transport)
    assert session not in room.edge.sessions
    assert session.tick == NOWHERE
    del session, link
    await settle()
    assert alive() is None
    assert alive_link() is None
    assert not room.edge._channels  # noqa: SLF001  # what is kept for nothing can't be seen outside
    assert room.counters.sessions_websocket == 0


@pytest.mark.usefixtures("no_collector")
async def test_a_websocket_given_up_before_it_was_attached_is_not_kept_alive(room: Room) -> None:
    _, session, link = await room.websocket("room", is_attached=False, kind=WatchedWebSocket)
    alive = weakref.ref(session)
    room.edge.deliver(message_item("room", b"news"))
    session.leave()
    link.session = None  # its door sees to that
    del session
    assert alive() is None


async def test_a_thousand_websockets_cost_little_memory(room: Room) -> None:
    """The session with its label and subscriptions, its place in the index, and its timer; not the transport."""
    _, first, link = await room.websocket("room")
    held = []
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for index in range(1_000):
        session = WebSocketSession(
            site=room.site,
            websockets=room.websockets,
            transport=first.transport,
            link=link,
            label=f"http://example.com/socket/{index}",
            implicit=(),
            prefix="",
            message_limit=None,
            deflate=None,
            grip=None,
        )
        room.edge.join(session)
        room.edge.subscribe(session, subscriptions((f"room {index % 10}",))[0])
        session.attach(b"", is_behind=False)
        held.append(session)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(held) < 2_500
    for session in held:
        session.leave()
    first.transport.set_protocol(Spectator())
