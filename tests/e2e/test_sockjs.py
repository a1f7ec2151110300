"""SockJS by requests: to the backend one WebSocket a session, to the client polls (reference 8.1; row W38)."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.e2e.conversing import message_item, told
from tests.e2e.sockjs import ORIGIN, SockJs, sockjs
from tests.support.answers import Answer, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, echo, event, events, message
from tests.support.publisher import publish

SECONDS = 5.2
"""As long as a client may stay away, and what the wheel may be late."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    target = f"{backend.address},over_http"
    names = ("open", "say", "pub", "filter", "away", "drop", "second", "close", "bcode", "beat", "flood", "no", "batch")
    paths = (*names, "order", "refresh", "detach", "delayed", "sendbad", "jsonp", "full", "binary", "down", "meta")
    return (
        *(f"*,path_beg=/{name},sockjs=/{name} {target}" for name in paths),
        f"*,path_beg=/as,sockjs=/as,sockjs_as_path=/elsewhere {target}",
        f"* {target}",
    )


async def test_w38_the_first_poll_opens_a_websocket_to_the_backend(app: AppProcess, backend: ScriptedBackend) -> None:
    backend.answers("/open", events(OPEN))
    async with await RawClient.connect(app.proxy_address) as client:
        session = SockJs(app, client, "/open")
        opened = await session.poll(headers=(ORIGIN, ("Cookie", "who=me"), ("Content-Type", "text/plain")))
    assert (opened.status, opened.body) == (200, b"o\n")
    assert opened.values(b"content-type") == (b"application/javascript; charset=UTF-8",)
    assert opened.values(b"access-control-allow-origin") == (b"http://page.example",)
    assert opened.values(b"access-control-allow-credentials") == (b"true",)
    assert opened.values(b"cache-control") == (b"no-store, no-cache, must-revalidate, max-age=0",)
    request = await told(backend, "/open")
    assert (request.method, request.target, request.body) == (b"POST", b"/open", OPEN)
    assert request.values(b"cookie") == (b"who=me",)
    assert request.values(b"origin") == (b"http://page.example",)
    assert request.values(b"content-type") == (b"application/websocket-events",)
    assert request.values(b"content-length") == (b"6",)
    assert request.values(b"sec-websocket-version") == (b"13",)
    assert len(request.values(b"sec-websocket-key")) == 1
    assert len(request.values(b"connection-id")) == 1


async def test_w38_the_path_for_the_backend_may_be_another(app: AppProcess, backend: ScriptedBackend) -> None:
    """A query goes along."""
    backend.answers("/elsewhere", events(OPEN))
    async with await RawClient.connect(app.proxy_address) as client:
        answer = await client.fetch("/as/000/x1/xhr?token=a%20b", method="POST", body=b"")
        assert answer.body == b"o\n"
        assert answer.values(b"access-control-allow-origin") == (b"*",)
    assert (await told(backend, "/elsewhere")).target == b"/elsewhere?token=a%20b"


async def test_w38_messages_go_both_ways(app: AppProcess, backend: ScriptedBackend) -> None:
    async with sockjs(app, backend, "/say", echo) as session:
        answer = await session.say("grüße ✓", 'quo"te')
        assert (answer.status, answer.body) == (204, b"")
        assert answer.values(b"access-control-allow-origin") == (b"http://page.example",)
        assert (await told(backend, "/say")).body == event("TEXT", "grüße ✓") + event("TEXT", 'quo"te')
        assert json.loads((await session.heard())[1:]) == ["grüße ✓", 'quo"te']


async def test_what_comes_between_two_polls_waits_in_its_order(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="pub"))
    async with sockjs(app, backend, "/pub", opened, events()) as session:
        for number in range(4):
            await publish(app, message_item("pub", f"n{number}"))
        await app.settle()
        assert await session.heard() == 'a["n0","n1","n2","n3"]'
        await session.begin()
        await publish(app, message_item("pub", "later"))
        assert (await session.client.response()).body == b'a["later"]\n'


async def test_what_comes_in_one_turn_goes_in_one_frame(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="batch"))
    async with sockjs(app, backend, "/batch", opened, events()) as session:
        before = (await app.counters())["requests"]
        await session.begin()
        await app.until(lambda counters: counters["requests"] > before)
        await app.settle()
        await publish(app, *(message_item("batch", f"n{number}") for number in range(3)))
        assert (await session.client.response()).body == b'a["n0","n1","n2"]\n'


async def test_filters_look_at_a_sessions_meta(app: AppProcess, backend: ScriptedBackend) -> None:
    told_first = (
        control("set-meta", name="user", value="alice"),
        control("subscribe", channel="filter", filters=["skip-self"]),
    )
    async with sockjs(app, backend, "/filter", events(OPEN, *told_first), events()) as session:
        mine = message_item("filter", "mine") | {"meta": {"sender": "alice"}}
        await publish(app, mine, message_item("filter", "yours"))
        await app.settle()
        assert await session.heard() == 'a["yours"]'


async def test_who_stays_away_for_five_seconds_has_left(app: AppProcess, backend: ScriptedBackend) -> None:
    async with sockjs(app, backend, "/away") as session:
        await app.advance(4.9)
        assert not backend.requests_for("/away")[1:]
        before = (await app.counters())["sockjs_abandoned"]
        await app.advance(SECONDS - 4.9)
        assert (await told(backend, "/away")).body == b"DISCONNECT\r\n"
        await app.until(lambda counters: counters["sockjs_abandoned"] > before)
        await app.log_line(r"ws://example.com/away ended: no poll for 5 seconds")
        assert (await session.say("x")).status == 404
        backend.answers("/away", events(OPEN))
        assert await session.heard() == "o", "a new session under the old name"


async def test_a_client_that_drops_a_poll_has_left(app: AppProcess, backend: ScriptedBackend) -> None:
    async with sockjs(app, backend, "/drop") as session:
        await session.begin()
        await app.settle()
        session.client.close()
        assert (await told(backend, "/drop")).body == b"DISCONNECT\r\n"
        async with await RawClient.connect(app.proxy_address) as client:
            session.client = client
            assert await session.heard() == 'c[1002,"Connection interrupted"]'
            assert (await session.say("x")).status == 404


async def test_a_second_poll_is_refused_and_the_first_goes_on(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="second"))
    async with sockjs(app, backend, "/second", opened, events()) as session:
        await session.begin()
        await app.settle()
        async with await RawClient.connect(app.proxy_address) as client:
            second = await client.fetch(f"{session.url}/xhr", method="POST", body=b"")
            assert second.body == b'c[2010,"Another connection still open"]\n'
        await publish(app, message_item("second", "on"))
        assert (await session.client.response()).body == b'a["on"]\n'


async def test_a_published_close_is_told_for_five_seconds(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="close"))
    async with sockjs(app, backend, "/close", opened, events()) as session:
        await publish(
            app, message_item("close", "last words"), message_item("close", action="close", code=4001, reason='b"y')
        )
        assert (await told(backend, "/close")).body.startswith(b"CLOSE")
        await app.settle()
        assert await session.heard() == 'a["last words"]'
        for _ in range(2):
            assert await session.heard() == 'c[4001,"b\\"y"]'
        assert (await session.say("x")).status == 404
        await app.advance(SECONDS)
        backend.answers("/close", events(OPEN))
        assert await session.heard() == "o"


async def test_a_backends_close_is_passed_on_with_its_code(app: AppProcess, backend: ScriptedBackend) -> None:
    closing = events(event("CLOSE", b"\x0f\xa2bye"))
    async with sockjs(app, backend, "/bcode", events(OPEN), closing) as session:
        await session.say("x")
        assert await session.heard() == 'c[4002,"bye"]'


async def test_a_poll_is_answered_after_25_seconds(app: AppProcess, backend: ScriptedBackend) -> None:
    async with sockjs(app, backend, "/beat") as session:
        await session.begin()
        await app.settle()
        await app.advance(24.9)
        assert session.client.pending() == b""
        await app.advance(0.3)
        assert (await session.client.response()).body == b"h\n"
        await app.advance(4)
        await session.begin()
        await app.settle()
        await app.advance(25.2)
        assert (await session.client.response()).body == b"h\n"


async def test_who_is_too_far_behind_is_cut(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="flood"))
    async with sockjs(app, backend, "/flood", opened, events()) as session:
        before = (await app.counters())["slow_clients"]
        for _ in range(3):
            await publish(app, message_item("flood", "x" * 90_000))
        await app.settle()
        assert len(await session.heard()) > 270_000, "in time"
        for _ in range(3):
            await publish(app, message_item("flood", "x" * 90_000))
        await app.settle()
        await app.advance(1.2)
        await app.until(lambda counters: counters["slow_clients"] == before + 1)
        assert (await told(backend, "/flood")).body == b"DISCONNECT\r\n"
        await app.log_line("too slow, more than 200000 bytes wait for its next poll")
        assert await session.heard() == 'c[1002,"Connection interrupted"]'


async def test_a_refusal_of_the_backend_goes_to_the_client(app: AppProcess, backend: ScriptedBackend) -> None:
    refusal = text("not you\n", status=403, reason=b"Forbidden", headers=((b"X-Why", b"so"),))
    async with sockjs(app, backend, "/no", refusal, opens=False) as session:
        answer = await session.poll()
        assert (answer.status, answer.body, answer.values(b"x-why")) == (403, b"not you\n", (b"so",))
        assert answer.values(b"access-control-allow-origin") == (b"http://page.example",)
        backend.answers("/no", events(OPEN))
        assert await session.heard() == "o"


async def test_a_backend_that_is_down_is_a_502(app: AppProcess, backend: ScriptedBackend) -> None:
    async with sockjs(app, backend, "/down", opens=False) as session:
        await backend.refuse()
        try:
            assert (await session.poll()).status == 502
        finally:
            await backend.listen()
        assert await session.heard() == "o"


async def test_keep_alive_delayed_refresh_and_detach_are_those_of_a_websocket(
    app: AppProcess, backend: ScriptedBackend
) -> None:
    told_first = (
        control("subscribe", channel="delayed"),
        control("send-delayed", content="delayed", timeout=2),
        control("keep-alive", content="alive", timeout=4, mode="interval"),
    )
    async with sockjs(app, backend, "/delayed", events(OPEN, *told_first), events()) as session:
        await app.advance(2.2)
        assert await session.heard() == 'a["delayed"]'
        await app.advance(2)
        assert await session.heard() == 'a["alive"]'
        await publish(app, message_item("delayed", action="refresh"))
        assert (await told(backend, "/delayed")).body == b""


async def test_a_session_that_is_detached_still_receives(app: AppProcess, backend: ScriptedBackend) -> None:
    opened = events(OPEN, control("subscribe", channel="detach"), control("detach"))
    async with sockjs(app, backend, "/detach", opened, events()) as session:
        assert (await told(backend, "/detach")).body == b"CLOSE\r\n"
        await publish(app, message_item("detach", "still"))
        await app.settle()
        assert await session.heard() == 'a["still"]'


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, b"Payload expected\n"),
        (b'["x', 400, b"Payload expected\n"),
        (b'"x"', 400, b"Payload expected\n"),
        (b"[1]", 400, b"Payload expected\n"),
        (b"[" * 100_000, 400, b"Payload expected\n"),
        (json.dumps(["x" * 200_001]).encode(), 400, b"Message too large\n"),
        (b" " * 1_100_000, 400, b"Request too large.\n"),
        (b"[]", 204, b""),
        (json.dumps(["x" * 200_000]).encode(), 204, b""),
    ],
    ids=["nothing", "broken", "no array", "no string", "deep", "long", "too long", "empty", "longest"],
)
async def test_what_may_be_sent(
    app: AppProcess, backend: ScriptedBackend, body: bytes, status: int, said: bytes
) -> None:
    async with sockjs(app, backend, "/sendbad") as session:
        answer = await session.send_body(body)
        assert (answer.status, answer.body) == (status, said)


async def test_w38_json_p(app: AppProcess, backend: ScriptedBackend) -> None:
    async with sockjs(app, backend, "/jsonp", echo, opens=False) as session:
        assert (await session.poll("jsonp")).status == 400
        assert (await session.poll("jsonp?c=alert(1)")).status == 400
        opened = await session.poll("jsonp?x=y&c=f.g")
        assert opened.body == b'/**/f.g("o");\n'
        assert opened.values(b"content-type") == (b"application/javascript; charset=UTF-8",)
        assert (await told(backend, "/jsonp")).target == b"/jsonp?x=y"
        form = [("Content-Type", "application/x-www-form-urlencoded")]
        sent = await session.send_body(b"d=%5B%22a+b%25%22%5D", "jsonp_send", form)
        assert (sent.status, sent.body) == (200, b"ok")
        assert (await session.poll("jsonp?callback=f")).body == b'/**/f("a[\\"a b%\\"]");\n'
        sent = await session.send_body(b'["</script>"]', "jsonp_send", [("Content-Type", "text/plain")])
        assert sent.body == b"ok"
        assert (await session.poll("jsonp?c=f")).body == b'/**/f("a[\\"\\u003c/script>\\"]");\n'


async def test_one_send_at_a_time_waits_for_a_busy_backend(app: AppProcess, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    slow = Answer(steps=(gate, *events().steps))
    async with sockjs(app, backend, "/full", events(OPEN), slow, events()) as session:
        await session.say("first")
        assert (await told(backend, "/full")).body == event("TEXT", "first")
        async with await RawClient.connect(app.proxy_address) as client:
            body = json.dumps(["x" * 150_000, "y" * 150_000]).encode()
            await client.send_request(f"{session.url}/xhr_send", method="POST", body=body)
            before = (await app.counters())["websocket_messages"]
            await app.until(lambda counters: counters["websocket_messages"] >= before)
            await app.settle()
            refused = await session.say("third")
            assert (refused.status, refused.body) == (400, b"Already sending\n")
            gate.set()
            assert (await client.response()).status == 204
        assert (await session.say("fourth")).status == 204


async def test_a_binary_message_is_sent_if_it_is_text(app: AppProcess, backend: ScriptedBackend) -> None:
    said = (event("BINARY", b"m:caf\xc3\xa9"), event("BINARY", b"m:\xff"), message("then"))
    async with sockjs(app, backend, "/binary", events(OPEN, *said), events()) as session:
        before = (await app.counters())["sockjs_unsendable"]
        assert await session.heard() == 'a["café","then"]'
        await app.until(lambda counters: counters["sockjs_unsendable"] >= max(1, before))


async def test_a_ping_of_the_backends_is_answered(app: AppProcess, backend: ScriptedBackend) -> None:
    async with sockjs(app, backend, "/meta", events(OPEN, event("PING", "p")), events()):
        assert (await told(backend, "/meta")).body == b"PONG 1\r\np\r\n"
