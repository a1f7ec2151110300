"""Filters at delivery, for each kind of session: who does not get an item, and who gets one of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest
from msgspec.structs import replace
from websockets.frames import Frame, Opcode

from handlers.protocol.http1 import LAST_CHUNK
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel
from handlers.protocol.percent_template import RESULT_LIMIT
from handlers.protocol.subscribing import Subscription
from handlers.session import NO_META
from tests.handlers.room import Room, message_item, stream_item

KINDS = pytest.mark.parametrize("kind", ["stream", "raw stream", "poll", "websocket", "deflated websocket"])
Hearing = Callable[[], Awaitable[bytes]]


async def held(
    room: Room,
    kind: str,
    *channels: str,
    filters: tuple[str, ...] = (),
    meta: Mapping[str, str] = NO_META,
    prefix: str = "",
) -> Hearing:
    """Hold a session of this kind; return how to read what it is sent next, up to a semicolon where that is needed."""
    if kind.endswith("websocket"):
        deflated = kind.startswith("deflated")
        web, _, _ = await room.websocket(*channels, filters=filters, is_deflated=deflated, meta=meta, prefix=prefix)

        async def next_frame() -> bytes:
            return bytes((await web.frame()).data)

        return next_frame
    if kind == "poll":
        polling, _ = await room.poll(*channels, filters=filters, meta=meta, prefix=prefix)

        async def body() -> bytes:
            return (await polling.response()).body

        return body
    chunked = kind == "stream"
    streaming, _ = await room.stream(*channels, chunked=chunked, filters=filters, meta=meta, prefix=prefix)

    async def next_line() -> bytes:
        return await streaming.chunk() if chunked else await streaming.read_until(b";")

    return next_line


def item(channel: str, content: bytes, **meta: str) -> Item:
    """An item for every kind of session, with the same content for each."""
    return Item(
        channel=Channel(channel),
        meta=tuple(meta.items()),
        http_stream=HttpStreamFormat(content=content),
        http_response=HttpResponseFormat(body=content),
        ws_message=WsMessageFormat(content=content),
    )


# -- filters that drop ----------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize(
    ("name", "meta", "item_meta", "is_sent"),
    [
        ("skip-self", {"user": "ann"}, {"sender": "ann"}, False),
        ("skip-self", {"user": "ann"}, {"sender": "bob"}, True),
        ("skip-self", {"user": "ann"}, {}, True),
        ("skip-self", {}, {"sender": ""}, True),
        ("skip-users", {"user": "ann"}, {"skip_users": "bob, ann"}, False),
        ("skip-users", {"user": "ann"}, {"skip_users": "bob,anna"}, True),
        ("skip-users", {}, {"skip_users": ""}, True),
        ("require-sub", {}, {"require_sub": "room"}, False),
        ("require-sub", {}, {"require_sub": "app-room"}, False),
        ("require-sub", {}, {"require_sub": "other"}, True),
        ("require-sub", {}, {}, True),
        ("nonsense", {"user": "ann"}, {"sender": "ann", "skip_users": "ann", "require_sub": "nothing"}, True),
    ],
)
async def test_an_item_that_a_filter_drops_is_counted_and_not_sent(
    room: Room, kind: str, name: str, meta: dict[str, str], item_meta: dict[str, str], is_sent: bool
) -> None:
    """The channels that `require_sub` names are without the route's prefix; `room` itself is no channel of it."""
    hear = await held(room, kind, "app-other", "room", filters=("nope", name), meta=meta, prefix="app-")
    everybody = await held(room, kind, "room", meta=meta)
    assert room.edge.deliver(item("room", b"news;", **item_meta)) == 1 + is_sent
    assert room.counters.deliveries_filtered == (not is_sent)
    assert room.counters.deliveries == 1 + is_sent
    assert await everybody() == b"news;"
    room.edge.deliver(item("room", b"barrier;", sender="nobody", require_sub="other"))
    assert await hear() == (b"news;" if is_sent else b"barrier;")


async def test_a_channel_that_a_filter_requires_may_be_joined_and_left(room: Room) -> None:
    client, session, _ = await room.websocket("room", filters=("require-sub",))
    news = message_item("room", b"news", meta={"require_sub": "vip"})
    assert room.edge.deliver(news) == 0
    room.edge.subscribe(session, Subscription(channel=Channel("vip")))
    assert room.edge.deliver(news) == 1
    room.edge.unsubscribe(session, Channel("vip"))
    assert room.edge.deliver(news) == 0
    assert await client.heard() == "news"
    assert room.counters.deliveries_filtered == 2


@KINDS
async def test_other_actions_are_filtered_as_messages_are_but_have_no_content_to_change(room: Room, kind: str) -> None:
    meta = {"user": "ann"}
    await held(room, kind, "room", filters=("skip-self", "var-subst"), meta=meta)
    await held(room, kind, "room", filters=("var-subst",), meta=meta)
    assert len(room.edge.sessions) == 2
    published = Item(
        channel=Channel("room"),
        meta=(("sender", "ann"),),
        http_stream=HttpStreamFormat(action=Action.CLOSE, content=b"%"),
        http_response=HttpResponseFormat(action=Action.HINT, body=b"%"),
        ws_message=WsMessageFormat(action=Action.CLOSE, content=b"%"),
    )
    assert room.edge.deliver(published) == 1
    assert len(room.edge.sessions) == 1
    assert (room.counters.deliveries_filtered, room.counters.filters_failed) == (1, 0)


# -- var-subst ------------------------------------------------------------------------------------------------------


@KINDS
async def test_each_session_gets_its_own_values_and_those_without_the_filter_the_template(
    room: Room, kind: str
) -> None:
    template = b"for %(user)s, 100%%;"
    plain = await held(room, kind, "room")
    hearings = [await held(room, kind, "room", filters=("var-subst",), meta={"user": user}) for user in ("ann", "bob")]
    assert room.edge.deliver(item("room", template)) == 3
    assert await plain() == template
    assert [await hear() for hear in hearings] == [b"for ann, 100%;", b"for bob, 100%;"]
    assert room.counters.deliveries == 3
    assert room.counters.deliveries_filtered == room.counters.filters_failed == 0


@KINDS
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"for %(nobody)s;", "var-subst: no meta 'nobody'"),
        (b"100%;", "var-subst: '%' at byte 3 begins neither '%(name)s' nor '%%'"),
        (b"%(bytes)s;", "var-subst: meta 'bytes' is not UTF-8"),
        (b"%(long)s" * 3, f"var-subst: more than {RESULT_LIMIT} bytes of content"),
    ],
)
async def test_an_item_whose_filters_fail_is_not_sent_counted_and_logged(
    room: Room, kind: str, content: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    meta = {"user": "ann", "bytes": "\udcff", "long": "x" * (RESULT_LIMIT // 2)}
    hear = await held(room, kind, "room", filters=("var-subst",), meta=meta)
    (session,) = room.edge.sessions
    assert room.edge.deliver(item("room", content)) == 0
    assert (room.counters.filters_failed, room.counters.deliveries) == (1, 0)
    assert caplog.messages == [f"{session.label} channel=room item not delivered: {why}"]
    room.edge.deliver(item("room", b"barrier;"))
    assert await hear() == b"barrier;"


async def test_content_that_becomes_empty_does_not_end_a_stream(room: Room) -> None:
    client, _ = await room.stream("room", filters=("var-subst",), meta={"user": ""})
    room.edge.deliver(stream_item("room", b"%(user)s"))
    room.edge.deliver(stream_item("room", b"then"))
    assert await client.chunk() == b"then"
    assert LAST_CHUNK not in client.pending()


async def test_a_ping_that_filters_make_too_long_is_not_sent_counted_and_logged(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 6455 section 5.5: 125 bytes, or the client would have to close."""
    client, session, _ = await room.websocket(
        "room", filters=("var-subst",), meta={"user": "x" * 125, "more": "x" * 126}
    )
    room.edge.deliver(message_item("room", b"%(user)s", kind=MessageKind.PING))
    room.edge.deliver(message_item("room", b"%(more)s", kind=MessageKind.PONG))
    room.edge.deliver(message_item("room", b"%(more)s", kind=MessageKind.BINARY))
    assert await client.frame() == Frame(Opcode.PING, b"x" * 125)
    assert await client.frame() == Frame(Opcode.BINARY, b"x" * 126)
    assert (room.counters.filters_failed, room.counters.deliveries) == (1, 2)
    text = "item not delivered: filters have made it too long"
    assert caplog.messages == [f"{session.label} channel=room {text}"]


async def test_a_body_patch_is_not_content_for_filters(room: Room) -> None:
    client, _ = await room.poll("room", filters=("var-subst",))
    published = item("room", b"")
    patch = HttpResponseFormat(body=None, body_patch=b'[{"op": "add", "path": "/%(x)s", "value": 1}]')
    assert room.edge.deliver(replace(published, http_response=patch, http_stream=None, ws_message=None)) == 1
    assert (await client.response()).status == 200
    assert room.counters.filters_failed == 0


async def test_a_session_that_fails_at_content_of_its_own_costs_nobody_else_the_item(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    held = [await room.websocket("room", filters=("var-subst",), meta={"user": f"{number}"}) for number in range(3)]
    _, faulty, _ = held[1]

    def fail(frame: bytes) -> None:
        raise AssertionError("a bug")

    faulty.write = fail
    assert room.edge.deliver(message_item("room", b"%(user)s")) == 3
    assert faulty not in room.edge.sessions
    assert [await held[0][0].heard(), await held[2][0].heard()] == ["0", "2"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


# -- content-filters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "receivers"),
    [(None, 3), ((), 1), (("build-id",), 1), (("build-id", "var-subst"), 1), (("var-subst", "build-id"), 0)],
)
async def test_content_filters_must_equal_the_subscriptions_of_a_websocket(
    room: Room, wanted: tuple[str, ...] | None, receivers: int
) -> None:
    clients = [
        (await room.websocket("room", filters=filters, is_deflated=len(filters) > 1, meta={"id_format": ""}))[0]
        for filters in (("skip-self",), ("build-id",), ("build-id", "skip-users", "var-subst"))
    ]
    assert room.edge.deliver(message_item("room", b"content", filters=wanted)) == receivers
    assert room.counters.deliveries == receivers
    assert room.counters.deliveries_filtered == 3 - receivers
    assert room.counters.sessions_websocket == 3, "no mismatch ends a WebSocket"
    room.edge.deliver(message_item("room", b"barrier"))
    heard = [await client.heard() for client in clients]
    assert heard.count("content") == receivers


async def test_a_debug_stream_is_told_of_filters_that_fail_and_ended(room: Room) -> None:
    """Reference 6.6."""
    debug, _ = await room.stream("room", debug=True, filters=("var-subst",))
    plain, _ = await room.stream("room", filters=("var-subst",))
    assert room.edge.deliver(stream_item("room", b"for %(user)s")) == 0
    assert b"no meta 'user'" in await debug.chunk()
    assert await debug.chunk() == b""
    room.edge.deliver(stream_item("room", b"barrier"))
    assert await plain.chunk() == b"barrier"
    assert room.counters.filters_failed == 2
