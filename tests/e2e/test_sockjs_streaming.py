"""SockJS's streaming transports, which Pushpin does not have: one answer with many frames (SockJS 0.3.3)."""

from __future__ import annotations

import pytest

from tests.e2e.conversing import message_item, told
from tests.e2e.sockjs import SockJs, sockjs
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, encode_request
from tests.support.events import OPEN, control, event, events
from tests.support.publisher import publish

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRELUDE = b"h" * 2048 + b"\n"


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    target = f"{backend.address},over_http"
    return tuple(
        f"*,path_beg=/{name},sockjs=/{name} {target}" for name in ("xhr", "events", "html", "long", "old", "two")
    )


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return ("sockjs.response_limit=1024",)


async def test_xhr_streaming(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="xhr"))
    closing = events(event("CLOSE", b"\x0f\xa2bye"))
    async with sockjs(app, backend, "/xhr", opened, closing, opens=False) as session:
        await session.begin("xhr_streaming")
        head = await session.client.head()
        assert head.values(b"content-type") == (b"application/javascript; charset=UTF-8",)
        assert head.values(b"access-control-allow-origin") == (b"http://page.example",)
        assert head.values(b"x-accel-buffering") == (b"no",)
        assert [await session.client.chunk(), await session.client.chunk()] == [PRELUDE, b"o\n"]
        await publish(app, message_item("xhr", "one"))
        assert await session.client.chunk() == b'a["one"]\n'
        await publish(app, message_item("xhr", "two"), message_item("xhr", "three"))
        assert await session.client.chunk() == b'a["two","three"]\n'
        await app.advance(25.2)
        assert await session.client.chunk() == b"h\n"
        await session.say("x")
        assert [await session.client.chunk(), await session.client.chunk()] == [b'c[4002,"bye"]\n', b""]
        assert await session.heard() == 'c[4002,"bye"]', "on the same connection"


async def test_event_source(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="events"))
    async with sockjs(app, backend, "/events", opened, opens=False) as session:
        await session.begin("eventsource")
        head = await session.client.head()
        assert head.values(b"content-type") == (b"text/event-stream; charset=UTF-8",)
        assert [await session.client.chunk(), await session.client.chunk()] == [b"\r\n", b"data: o\r\n\r\n"]
        await publish(app, message_item("events", "a\nb"))
        assert await session.client.chunk() == b'data: a["a\\nb"]\r\n\r\n'


async def test_html_file(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="html"))
    async with sockjs(app, backend, "/html", opened, opens=False) as session:
        assert (await session.poll("htmlfile")).status == 400
        assert (await session.poll("htmlfile?c=%3Cscript")).status == 400
        await session.begin("htmlfile?c=parent.f")
        head = await session.client.head()
        assert head.values(b"content-type") == (b"text/html; charset=UTF-8",)
        page = await session.client.chunk()
        assert len(page) >= 1024
        assert b"var c = parent.parent.f;" in page
        assert await session.client.chunk() == b'<script>\np("o");\n</script>\r\n'
        await publish(app, message_item("html", "</script>"))
        assert await session.client.chunk() == b'<script>\np("a[\\"\\u003c/script>\\"]");\n</script>\r\n'


async def test_a_long_answer_ends_and_nothing_is_lost(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="long"))
    async with sockjs(app, backend, "/long", opened, opens=False) as session:
        await session.begin("xhr_streaming")
        await session.client.head()
        assert [await session.client.chunk(), await session.client.chunk()] == [PRELUDE, b"o\n"]
        await publish(app, message_item("long", "x" * 1100))
        await publish(app, message_item("long", "while away"))
        await app.settle()
        assert await session.client.chunk() in (
            b'a["%b"]\n' % (b"x" * 1100),
            b'a["%b","while away"]\n' % (b"x" * 1100),
        )
        assert await session.client.chunk() == b""
        await session.begin("xhr_streaming")
        await session.client.head()
        assert await session.client.chunk() == PRELUDE
        await publish(app, message_item("long", "last"))
        heard = b""
        while b"last" not in heard:
            heard += await session.client.chunk()


async def test_an_old_client_gets_its_stream_without_chunks(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/old", events(OPEN, control("subscribe", channel="old")))
    async with await RawClient.connect(app.proxy_address) as client:
        await client.send(encode_request("/old/000/o1/xhr_streaming", method="POST", body=b"", version="1.0"))
        await client.head()
        assert await client.read_until(b"o\n") == PRELUDE + b"o\n"
        await publish(app, message_item("old", "x" * 1100))
        assert await client.until_closed() == b'a["%b"]\n' % (b"x" * 1100)


async def test_a_second_stream_is_told_so_and_dropping_the_first_ends_the_session(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    backend.answers("/two", events(OPEN), events())
    async with await RawClient.connect(app.proxy_address) as first, await RawClient.connect(app.proxy_address) as other:
        session = SockJs(app, first, "/two")
        await session.begin("xhr_streaming")
        await first.head()
        assert [await first.chunk(), await first.chunk()] == [PRELUDE, b"o\n"]
        assert (await told(backend, "/two")).body == OPEN
        session.client = other
        second = await session.poll("xhr_streaming")
        assert second.body == PRELUDE + b'c[2010,"Another connection still open"]\n'
        first.reset()
        assert (await told(backend, "/two")).body == b"DISCONNECT\r\n"
        third = await session.poll("xhr_streaming")
        assert third.body == PRELUDE + b'c[1002,"Connection interrupted"]\n'
