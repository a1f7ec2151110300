"""Control messages on a real WebSocket: what each does, and what becomes of one that asks too much."""

from __future__ import annotations

import json
import logging

import pytest
from websockets.frames import Close, Frame, Opcode

from handlers.framed import BURST_SECONDS
from handlers.protocol.items import MessageKind
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Subscription
from handlers.protocol.ws_frames import CloseReason
from handlers.settings import HoldSettings, WebSocketSettings
from handlers.websocket_control import META_LIMIT, TOLD_LIMIT
from tests.handlers.recording import RecordingLink
from tests.handlers.room import CONTROL_LIMIT, Room, message_item

LOG = "holdfast.websocket"


def control(kind: str, **fields: object) -> Frame:
    """A control message; underscores in names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return Frame(Opcode.TEXT, b"c:" + json.dumps({"type": kind, **named}).encode())


def subscribe(link: RecordingLink, *channels: str, filters: tuple[str, ...] = ()) -> None:
    """Have the backend subscribe to `channels`."""
    link.relay(*(control("subscribe", channel=channel, filters=filters) for channel in channels))


# -- channels -------------------------------------------------------------------------------------------------------


async def test_subscribe_and_unsubscribe_put_the_client_on_a_channel_and_take_it_off(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """W18, W19. The route's prefix stands before the backend's names."""
    client, session, link = await room.websocket(grip=b"m:", prefix="app-")
    with caplog.at_level(logging.INFO, LOG):
        subscribe(link, "news")
    assert room.edge.deliver(message_item("news", b"another's")) == 0
    assert room.edge.deliver(message_item("app-news", b"ours")) == 1
    assert session.is_subscribed("news")
    link.relay(control("unsubscribe", channel="news"), control("unsubscribe", channel="nothing"))
    assert room.edge.deliver(message_item("app-news", b"too late")) == 0
    assert await client.heard() == "ours"
    assert session.subscriptions == ()
    assert caplog.messages == [f"subscribe {session.label} channel=app-news"]


async def test_subscribing_again_replaces_the_filters(room: Room) -> None:
    client, session, link = await room.websocket(grip=b"m:", meta={"user": "ann"})
    subscribe(link, "news", filters=("skip-self",))
    room.edge.deliver(message_item("news", b"own", meta={"sender": "ann"}))
    subscribe(link, "news", filters=("var-subst",))
    room.edge.deliver(message_item("news", b"for %(user)s", meta={"sender": "ann"}))
    subscribe(link, "news")
    room.edge.deliver(message_item("news", b"100%"))
    assert [await client.heard(), await client.heard()] == ["for ann", "100%"]
    assert session.subscriptions == (Subscription(channel=Channel("news")),)


async def test_channels_of_the_route_can_be_joined_again_but_not_left(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    client, session, link = await room.websocket(grip=b"m:", implicit=("app-own",), prefix="app-")
    with caplog.at_level(logging.INFO, LOG):
        link.relay(control("unsubscribe", channel="own"))
    subscribe(link, "own")
    assert room.edge.deliver(message_item("app-own", b"news")) == 1
    assert await client.heard() == "news"
    assert session.subscriptions == (Subscription(channel=Channel("app-own")),)
    assert caplog.messages == [f"{session.label}: not unsubscribed, the route's own: app-own"]


async def test_a_channel_over_the_limit_is_ignored_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """W34. The route's own channels do not count, nor does a channel that is subscribed to again."""
    async with Room(HoldSettings(subscription_limit=3)) as room:
        client, session, link = await room.websocket(grip=b"m:", implicit=("own", "other"))
        subscribe(link, "a", "b", "c", "own")
        subscribe(link, "d", "d", "a", "other")
        assert room.counters.channels_over_limit == 2
        over = f"{session.label}: not subscribed, over subscription_limit=3: d"
        assert caplog.messages == [over, over]
        assert {each.channel for each in session.subscriptions} == {"own", "other", "a", "b", "c"}
        link.relay(control("unsubscribe", channel="b"))
        subscribe(link, "d")
        for channel in ("a", "c", "d", "own", "other"):
            assert room.edge.deliver(message_item(channel, channel.encode())) == 1
            assert await client.heard() == channel


async def test_a_channel_over_the_limit_ends_the_connection_where_that_is_asked_for() -> None:
    async with Room(HoldSettings(subscription_limit=1), WebSocketSettings(over_subscription="close")) as room:
        client, session, link = await room.websocket(grip=b"m:", implicit=("own",))
        subscribe(link, "a", "a", "own")
        assert session in room.edge.sessions
        subscribe(link, "b", "c")
        assert await client.closed() == Close(1008, "too many subscriptions")
        assert link.told == ["close_by_us"]
        assert room.counters.channels_over_limit == 1


async def test_more_than_five_filters_end_the_connection(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    client, session, link = await room.websocket(grip=b"m:")
    subscribe(link, "news", filters=("skip-self",) * 5)
    assert session in room.edge.sessions
    subscribe(link, "news", filters=("skip-self",) * 6)
    assert await client.closed() == Close(1011, "too many filters for channel 'news'")
    assert link.told == ["close_by_us"]
    assert room.counters.websocket_backend_faults == 1
    assert caplog.messages == [f"{session.label} closed with 1011: too many filters for channel 'news'"]


# -- meta and the session id ----------------------------------------------------------------------------------------


async def test_meta_is_set_replaced_and_deleted(room: Room) -> None:
    """W25."""
    client, session, link = await room.websocket(grip=b"m:")
    subscribe(link, "news", filters=("skip-self",))
    item = message_item("news", b"own", meta={"sender": "ann"})
    link.relay(control("set-meta", name="user", value="bob"), control("set-meta", name="user", value="ann"))
    link.relay(control("set-meta", name="other", value=""))
    assert session.meta == {"user": "ann", "other": ""}
    room.edge.deliver(item)
    link.relay(control("set-meta", name="user"), control("set-meta", name="other", value=None))
    link.relay(control("set-meta", name="never there"))
    assert session.meta == {}
    room.edge.deliver(item)
    room.edge.deliver(message_item("news", b"barrier"))
    assert [await client.heard(), await client.heard()] == ["own", "barrier"]


async def test_only_so_many_names_of_meta_are_kept(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    _, session, link = await room.websocket(grip=b"m:")
    link.relay(*(control("set-meta", name=f"{number}", value="x") for number in range(META_LIMIT + 2)))
    link.relay(control("set-meta", name="never there"))
    assert len(session.meta) == META_LIMIT
    assert room.counters.websocket_controls_refused == 2
    assert caplog.messages[0] == f"{session.label}: meta not set, there are {META_LIMIT} names: {META_LIMIT}"
    link.relay(control("set-meta", name="0", value="y"), control("set-meta", name="1"))
    link.relay(control("set-meta", name="new", value="z"))
    assert (session.meta["0"], session.meta["new"], len(session.meta)) == ("y", "z", META_LIMIT)


async def test_without_a_service_a_session_id_has_no_effect_and_that_is_said_once(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    _, session, link = await room.websocket(grip=b"m:")
    _, _, other = await room.websocket(grip=b"m:")
    link.relay(control("session", id="s"), control("session"))
    other.relay(control("session", id="t"))
    assert caplog.messages == [f"{session.label}: has no effect here: session, without session.state (said once)"]
    assert room.counters.websocket_controls_refused == 0


async def test_filters_that_mean_nothing_are_told_of_once_and_not_without_end(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    client, session, link = await room.websocket(grip=b"m:")
    for number in range(TOLD_LIMIT + 10):
        subscribe(link, "news", filters=("skip-self", f"filter {number // 2}"))
        subscribe(link, "news", filters=("skip-users", "require-sub", "var-subst", f"no {number}" + "x" * 1_000))
    assert len(caplog.messages) == TOLD_LIMIT
    assert caplog.messages[0] == f"{session.label}: has no effect here: filter filter 0 (said once)"
    assert max(map(len, caplog.messages)) < 300
    room.edge.deliver(message_item("news", b"news"))
    assert await client.heard() == "news"


# -- what is refused ------------------------------------------------------------------------------------------------


REFUSED = {
    b"": "control message is not valid JSON",
    b"{": "control message is not valid JSON",
    b"\xc3\xa9": "control message is not valid JSON",
    b"[" * 9_000: "control message is not valid JSON",
    b"[]": "control message is not an object",
    b"{}": "control message does not contain 'type'",
    b'{"type": "set-hold"}': "control message contains 'type' with unknown value 'set-hold'",
    b'{"type": "subscribe"}': "control message does not contain 'channel'",
    b'{"type": "subscribe", "channel": ""}': "control message contains 'channel' with invalid value",
    b'{"type": "unsubscribe", "channel": 1}': "control message contains 'channel' with wrong type",
    b'{"type": "keep-alive", "content": "", "message-type": "close"}': (
        "control message contains 'message-type' with unknown value 'close'"
    ),
    b'{"type": "send-delayed"}': "control message does not contain 'content' or 'content-bin'",
    b'{"type": "send-delayed", "content-bin": "/w=="}': "control message contains 'content-bin' with invalid value",
}


@pytest.mark.parametrize("data", REFUSED, ids=lambda data: data[:40].decode("latin-1"))
async def test_what_cannot_be_obeyed_is_counted_and_logged_and_the_connection_goes_on(
    room: Room, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client, session, link = await room.websocket("room", grip=b"m:")
    link.relay(Frame(Opcode.TEXT, b"c:" + data))
    assert room.counters.websocket_controls_refused == 1
    assert caplog.messages == [f"{session.label} control message not obeyed: {REFUSED[data]}"]
    link.say("m:hello")
    assert await client.heard() == "hello"
    assert link.told == []


async def test_a_control_message_that_is_too_long_is_dropped_counted_and_logged(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    client, session, link = await room.websocket("room", grip=b"m:")
    with caplog.at_level(logging.INFO, LOG):
        link.relay(Frame(Opcode.TEXT, b"c:", fin=False), Frame(Opcode.CONT, b" " * CONTROL_LIMIT, fin=False))
        link.relay(Frame(Opcode.CONT, b" ", fin=False), Frame(Opcode.CONT, b" "), Frame(Opcode.TEXT, b"m:then"))
    assert await client.heard() == "then"
    assert room.counters.websocket_dropped == 1
    text = f"it is a control message of more than {CONTROL_LIMIT} bytes"
    assert caplog.messages == [f"{session.label} message of the backend dropped, further ones without a word: {text}"]


async def test_a_control_message_in_fragments_is_obeyed(room: Room) -> None:
    """Pushpin ignores it (reference 5.2)."""
    client, _, link = await room.websocket(grip=b"m:")
    for position, byte in enumerate(data := bytes(control("subscribe", channel="news").data), 1):
        opcode = Opcode.CONT if position > 1 else Opcode.TEXT
        link.relay(Frame(opcode, bytes((byte,)), fin=position == len(data)))
    room.edge.deliver(message_item("news", b"news"))
    assert await client.heard() == "news"


async def test_more_control_messages_than_the_rate_end_the_connection_with_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those that cannot be obeyed count too. What came with the one too many goes nowhere."""
    async with Room(websocket=WebSocketSettings(control_rate=2)) as room:
        client, session, link = await room.websocket(grip=b"m:")
        other, _, others = await room.websocket(grip=b"m:")
        for number in range(2 * BURST_SECONDS):
            subscribe(link, f"{number % 2}")
        room.clock.advance(1)
        link.relay(Frame(Opcode.TEXT, b"c:nonsense"), control("flush-delayed"))
        assert session in room.edge.sessions
        link.relay(*[control("flush-delayed")] * 100, Frame(Opcode.TEXT, b"m:too late"))
        subscribe(others, "0")
        room.edge.deliver(message_item("0", b"news"))
        assert await other.heard() == "news"
        assert await client.closed() == Close(1008, "too many control messages")
        assert link.told == ["close_by_us"]
        assert room.counters.websocket_backend_faults == 1
        assert caplog.messages[1:] == [f"{session.label} closed with 1008: too many control messages"]


async def test_without_a_rate_there_may_be_any_number_of_control_messages() -> None:
    async with Room(websocket=WebSocketSettings(control_rate=0)) as room:
        _, session, link = await room.websocket(grip=b"m:")
        link.relay(*[control("flush-delayed")] * 5_000)
        assert session in room.edge.sessions


async def test_what_is_control_to_one_backend_is_a_message_to_one_without_grip(room: Room) -> None:
    client, session, link = await room.websocket()
    subscribe(link, "news")
    assert (await client.heard()).startswith('c:{"type": "subscribe"')
    assert session.subscriptions == ()


@pytest.mark.parametrize("is_backends", [False, True])
async def test_control_after_the_end_does_nothing(room: Room, is_backends: bool) -> None:
    client, session, link = await room.websocket("room", grip=b"m:")
    if is_backends:
        session.close(CloseReason(code=1001))
    else:
        session.drain()
    subscribe(link, "news")
    link.relay(control("set-meta", name="user", value="ann"))
    link.relay(control("keep-alive", content="beat", timeout=1), control("send-delayed", content="late"))
    link.relay(control("send-delayed", content="later"), control("detach"))
    room.clock.advance(5)
    assert room.edge.deliver(message_item("news", b"news", kind=MessageKind.TEXT)) == 0
    assert await client.closed() == Close(1001, "")
    await client.put_close(1001)
    assert await client.until_closed() == b""
    assert session.meta == {}
    assert link.told == ([] if is_backends else ["close_by_us"])
