"""Channels that end in `*` where that is turned on (row X01), by headers and by control messages."""

from __future__ import annotations

import json

import pytest

from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import grip_response, grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, events
from tests.support.publisher import publish, response_item, stream_item
from tests.support.websocket import websocket

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    """Two routes whose channels have prefixes."""
    return (
        f"*,path_beg=/one,prefix=one- {backend.address},over_http",
        f"*,path_beg=/two,prefix=two- {backend.address},over_http",
        f"* {backend.address},over_http",
    )


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    """Wildcards are on."""
    return ("hold.wildcard_subscriptions=true",)


async def test_x01_a_stream_gets_what_begins_so_once_and_in_order(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_stream(client, backend, "/x01", grip_stream("x01-*", "x01-a"))
    await publish(app, *(stream_item(f"x01-{name}", name) for name in ("a", "b", "a")))
    await publish(app, stream_item("x0", "not this"), stream_item("x01-*", "star"))
    assert await client.read_until(b"star\r\n") == b"1\r\na\r\n1\r\nb\r\n1\r\na\r\n4\r\nstar\r\n"


async def test_x01_a_poll_is_answered_by_any_of_them(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_poll(app, client, backend, "/poll", grip_response("poll-*"))
    await publish(app, response_item("poll-7", "seven"))
    assert (await client.response()).body == b"seven"


async def test_x01_the_star_alone_is_everything_of_the_routes_prefix(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_stream(client, backend, "/one", grip_stream("*"))
    await publish(app, stream_item("two-a", "no"), stream_item("one-a", "yes"), stream_item("a", "no"))
    await publish(app, stream_item("one-", "end"))
    assert await client.read_until(b"end\r\n") == b"3\r\nyes\r\n3\r\nend\r\n"


async def test_x01_a_websocket_may_subscribe_so_and_leave(app: AppProcess, backend: ScriptedBackend) -> None:
    def text(channel: str, content: str) -> dict[str, object]:
        return {"channel": channel, "formats": {"ws-message": {"content": content}}}

    backend.answers(
        "/two/ws",
        events(
            OPEN, control("subscribe", channel="chat-*", filters=["skip-self"]), control("subscribe", channel="end")
        ),
        events(control("unsubscribe", channel="chat-*")),
    )
    async with websocket(app.proxy_address, "/two/ws") as socket:
        await app.settle()
        await publish(app, text("two-chat-1", "one"), text("chat-1", "no"), text("one-chat-1", "no"))
        assert await socket.heard() == "one"
        await socket.say("leave")
        await app.log_line("unsubscribe .*two-chat-")
        await publish(app, text("two-chat-2", "no"))
        await publish(app, text("two-end", "end"))
        assert await socket.heard() == "end"


async def test_x01_it_is_listed_by_its_name(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    await open_stream(client, backend, "/listed", grip_stream("listed-*"))
    async with await RawClient.connect(app.publish_address) as asking:
        await asking.send_request("/channels/?prefix=listed", host="localhost")
        listed = json.loads((await asking.response()).body)
    assert [each["channel"] for each in listed["channels"]] == ["listed-*"]
