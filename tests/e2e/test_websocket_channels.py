"""WebSockets on channels: control messages and publications (reference 5.2, 5.3, 6.4; rows W18 to W29, W34)."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from tests.e2e.conversing import connected, message_item, told
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.events import OPEN, control, echo, event, events, message
from tests.support.publisher import publish

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (
        f"* {backend.address},over_http",
        f"*,path_beg=/prefixed,prefix=p- {backend.address},over_http",
        f"*,path_beg=/own {backend.address},over_http,sub=own-1",
    )


def subscribed(*channels: str, **fields: object) -> bytes:
    return b"".join(control("subscribe", channel=channel, **fields) for channel in channels)


async def test_a_publication_reaches_a_subscriber_as_the_frame_it_names(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    """W18, W28."""
    async with connected(app, backend, "/w18", events(OPEN, subscribed("w18"))) as client:
        await publish(
            app,
            message_item("w18", "caf\u00e9"),
            message_item("w18", content_bin="AP8="),
            message_item("w18", "as binary", type="binary"),
            message_item("w18", type="text", content_bin="dGV4dA=="),
            message_item("w18", "p", type="ping"),
            message_item("w18", type="pong"),
            message_item("w18", content=""),
        )
        assert [await client.frame() for _ in range(7)] == [
            Frame(Opcode.TEXT, "caf\u00e9".encode()),
            Frame(Opcode.BINARY, b"\x00\xff"),
            Frame(Opcode.BINARY, b"as binary"),
            Frame(Opcode.TEXT, b"text"),
            Frame(Opcode.PING, b"p"),
            Frame(Opcode.PONG, b""),
            Frame(Opcode.TEXT, b""),
        ]


async def test_a_subscription_ends_when_the_backend_says_so(app: AppProcess, backend: ScriptedBackend) -> None:
    """W19."""
    answers = (events(OPEN, subscribed("w19", "other")), events(control("unsubscribe", channel="w19"), message("done")))
    async with connected(app, backend, "/w19", *answers) as client:
        await client.say("x")
        assert await client.heard() == "done"
        await publish(app, message_item("w19", "missed"), message_item("other", "seen"))
        assert await client.heard() == "seen"


@pytest.mark.parametrize(
    ("extension", "sent", "seen"),
    [
        ("grip", ["plain", "m:one", "x:two", "m:three"], ["one", "three"]),
        ('grip; message-prefix=""', ["plain", "m:one"], ["plain", "m:one"]),
        ("grip; message-prefix=zz:", ["m:one", "zz:two"], ["two"]),
        (None, ["plain", "m:one", 'c:{"type":"detach"}'], ["plain", "m:one", 'c:{"type":"detach"}']),
    ],
)
async def test_in_grip_mode_only_messages_with_the_prefix_are_sent_on(
    app: AppProcess, backend: ScriptedBackend, extension: str | None, sent: list[str], seen: list[str]
) -> None:
    """W20, W21: dropped ones are counted."""
    before = (await app.counters())["websocket_dropped"]
    said = events(OPEN, *(event("TEXT", content) for content in sent), event("PING", "end"), extension=extension)
    async with connected(app, backend, f"/w20/{seen[0]}{len(seen)}", said) as client:
        assert [await client.heard() for _ in seen] == seen
        assert await client.frame() == Frame(Opcode.PING, b"end")
    assert (await app.counters())["websocket_dropped"] == before + len(sent) - len(seen)


async def test_a_keep_alive_is_sent_when_idle_or_at_intervals(app: AppProcess, backend: ScriptedBackend) -> None:
    """W22: jitter is 0 here, so that a beat of 10 seconds comes as early as it may."""
    answers = (
        events(OPEN, subscribed("w22"), control("keep-alive", content="idle", timeout=10)),
        events(control("keep-alive", message_type="ping", content="", timeout=10, mode="interval"), message("changed")),
        events(control("keep-alive"), message("off")),
    )
    async with connected(app, backend, "/w22", *answers) as client:
        await app.advance(6)
        await publish(app, message_item("w22", "puts it off"))
        assert await client.heard() == "puts it off"
        await app.advance(6)
        await publish(app, message_item("w22", "still nothing"))
        assert await client.heard() == "still nothing"
        await app.advance(10)
        assert await client.heard() == "idle"
        await client.say("interval")
        assert await client.heard() == "changed"
        await app.advance(6)
        await publish(app, message_item("w22", "does not matter"))
        assert await client.heard() == "does not matter"
        await app.advance(6)
        assert await client.frame() == Frame(Opcode.PING, b"")
        await client.say("off")
        assert await client.heard() == "off"
        await app.advance(60)
        await publish(app, message_item("w22", "silence before"))
        assert await client.heard() == "silence before"


async def test_a_delayed_message_is_sent_in_its_time_or_when_flushed_or_replaced(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    """W23."""
    answers = (
        events(OPEN, control("send-delayed", content="later", timeout=5)),
        events(control("send-delayed", content="flushed", timeout=30), control("flush-delayed"), message("after")),
        events(*(control("send-delayed", content=content, timeout=30) for content in ("first", "second"))),
    )
    async with connected(app, backend, "/w23", *answers) as client:
        await app.advance(4)
        assert client.pending() == b""
        await app.advance(1.2)
        assert await client.heard() == "later"
        await client.say("x")
        assert [await client.heard(), await client.heard()] == ["flushed", "after"]
        await client.say("x")
        assert await client.heard() == "first"
        await app.advance(31)
        assert await client.heard() == "second"


async def test_a_backend_that_detaches_hears_no_more_and_its_channels_stay(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    """W24: pings are answered here from then on, and so is the client's close."""
    async with connected(app, backend, "/w24", events(OPEN, subscribed("w24"), control("detach")), events()) as client:
        assert (await told(backend, "/w24")).body == b"CLOSE\r\n"
        await publish(app, message_item("w24", "still"))
        assert await client.heard() == "still"
        await client.put(Frame(Opcode.TEXT, b"lost"), Frame(Opcode.PING, b"p"))
        assert await client.frame() == Frame(Opcode.PONG, b"p")
        await client.put_close(4000)
        assert (await client.closed()).code == 4000
        assert await client.until_closed() == b""
    assert len(backend.requests_for("/w24")) == 2
    assert (await app.counters())["websocket_discarded"] == 1


async def test_filters_decide_who_gets_what(app: AppProcess, backend: ScriptedBackend) -> None:
    """W25, H40: skip-self, skip-users, require-sub and var-subst."""
    start = events(
        OPEN,
        control("set-meta", name="user", value="alice"),
        subscribed("w25", filters=["skip-self", "skip-users", "require-sub"]),
        subscribed("w25-vars", filters=["var-subst"]),
        subscribed("member"),
    )
    async with connected(app, backend, "/w25", start) as client:
        await publish(
            app,
            {**message_item("w25", "own"), "meta": {"sender": "alice"}},
            {**message_item("w25", "skipped"), "meta": {"skip_users": "bob, alice"}},
            {**message_item("w25", "for others"), "meta": {"require_sub": "elsewhere"}},
            message_item("w25-vars", "hello %(nobody)s"),
            {**message_item("w25", "from bob"), "meta": {"sender": "bob"}},
            {**message_item("w25", "for members"), "meta": {"require_sub": "member"}},
            message_item("w25-vars", "hello %(user)s"),
            message_item("w25-vars", "for nobody", content_filters=["build-id"]),
            message_item("w25-vars", "hello again %(user)s", content_filters=["var-subst"]),
        )
        heard = [await client.heard() for _ in range(4)]
    assert heard == ["from bob", "for members", "hello alice", "hello again alice"]


async def test_a_refresh_asks_the_backend(app: AppProcess, backend: ScriptedBackend) -> None:
    """W27."""
    async with connected(app, backend, "/w27", events(OPEN, subscribed("w27")), events(message("asked"))) as client:
        await publish(app, message_item("w27", action="refresh"))
        assert (await told(backend, "/w27")).body == b""
        assert await client.heard() == "asked"


async def test_a_hint_says_nothing_to_a_websocket(app: AppProcess, backend: ScriptedBackend) -> None:
    """W29."""
    async with connected(app, backend, "/w29", events(OPEN, subscribed("w29"))) as client:
        await publish(app, message_item("w29", action="hint"), message_item("w29", "next"))
        assert await client.heard() == "next"


async def test_a_subscription_too_many_is_left_out_counted_and_logged(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    """W34."""
    before = (await app.counters())["channels_over_limit"]
    start = events(OPEN, subscribed(*(f"w34-{n}" for n in range(21))), message("done"))
    async with connected(app, backend, "/w34", start) as client:
        assert await client.heard() == "done"
        await publish(app, message_item("w34-20", "missed"), message_item("w34-19", "seen"))
        assert await client.heard() == "seen"
    await app.log_line(r"ws://example\.com/w34: not subscribed, over subscription_limit=20: w34-20")
    assert (await app.counters())["channels_over_limit"] == before + 1


async def test_the_routes_prefix_stands_in_front_of_the_backends_channels(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    """R24."""
    async with connected(app, backend, "/prefixed", events(OPEN, subscribed("c"))) as client:
        await publish(app, message_item("c", "without"), message_item("p-c", "with"))
        assert await client.heard() == "with"


async def test_a_channel_of_the_route_cannot_be_left(app: AppProcess, backend: ScriptedBackend) -> None:
    """R25."""
    start = events(OPEN, control("unsubscribe", channel="own-1"), message("done"))
    async with connected(app, backend, "/own", start) as client:
        assert await client.heard() == "done"
        await publish(app, message_item("own-1", "seen"))
        assert await client.heard() == "seen"


async def test_a_control_message_that_makes_no_sense_is_counted_and_logged(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    before = (await app.counters())["websocket_controls_refused"]
    bad = [event("TEXT", "c:nonsense"), control("unknown"), control("subscribe"), control("send-delayed")]
    async with connected(app, backend, "/bad", events(OPEN, *bad, message("lives"))) as client:
        assert await client.heard() == "lives"
    assert (await app.counters())["websocket_controls_refused"] == before + len(bad)
    await app.log_line(r"ws://example\.com/bad control message not obeyed: ")


async def test_messages_and_publications_keep_their_order(app: AppProcess, backend: ScriptedBackend) -> None:
    async with connected(app, backend, "/order", events(OPEN, subscribed("order")), echo) as client:
        await publish(app, *(message_item("order", f"n{n}") for n in range(50)))
        await client.say("end")
        assert [await client.heard() for _ in range(51)] == [*(f"n{n}" for n in range(50)), "end"]


@pytest.mark.parametrize(("padding", "is_obeyed"), [(20_000, True), (65_000, True), (66_000, False)])
async def test_a_control_message_may_be_long(
    app: AppProcess, backend: ScriptedBackend, padding: int, is_obeyed: bool
) -> None:
    """D15: Pushpin ignores those of more than 16,384 bytes."""
    path = f"/d15/{padding}"
    start = events(OPEN, subscribed(path, padding="x" * padding), subscribed("d15"))
    async with connected(app, backend, path, start) as client:
        await publish(app, message_item(path, "long"), message_item("d15", "end"))
        assert [await client.heard() for _ in range(1 + is_obeyed)] == ["long", "end"][not is_obeyed :]
