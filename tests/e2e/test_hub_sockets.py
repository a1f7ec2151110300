"""WebSockets of the hub: each update is a text message of JSON. Our own, for clients that cannot stream."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from tests.e2e.hub_talking import READER, ROUTE, grant, published, query, reader, shown
from tests.support.app_process import AppProcess
from tests.support.client import RawClient
from tests.support.hub_site import ANONYMOUS, HOST, HUB, MIXED, bearer, old_subscriber
from tests.support.websocket import WsClient, handshake, websocket

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "https://page.example"
OFFER = ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
Headers = Iterable[tuple[str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AppProcess]:
    async with AppProcess(ROUTE, settings=settings_for(tmp_path_factory.mktemp("hub"))) as app:
        yield app


def settings_for(folder: Path, *more: str) -> tuple[str, ...]:
    return (*MIXED, ANONYMOUS, f"mercure.cors_origins={PAGE}", f"mercure.history={folder / 'h.db'}", *more)


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """There is no backend here."""


@asynccontextmanager
async def socket(app: AppProcess, target: str, *headers: tuple[str, str]) -> AsyncIterator[WsClient]:
    async with websocket(app.proxy_address, target, headers=headers, host=HOST) as client:
        yield client


async def refused(app: AppProcess, target: str, *headers: tuple[str, str]) -> tuple[int, bytes]:
    """Ask for a WebSocket and return the answer of plain HTTP, behind which the connection serves on."""
    async with await WsClient.connect(app.proxy_address) as client:
        response = await client.ask(target, headers=headers, host=HOST)
        assert response is not None
        assert response.values(b"x-content-type-options") == (b"nosniff",)
        return response.status, response.body


async def heard(client: WsClient) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await client.heard())
    return found


async def test_each_update_is_a_message(app: AppProcess) -> None:
    async with socket(app, query(("match", "a"), ("topic", "https://e.com/{id}"))) as client:
        first = await published(app.proxy_address, "a", "line\nline é\u2028")
        await published(app.proxy_address, "b", "x")
        second = await published(app.proxy_address, "https://e.com/1", "", type="news", retry="5")
        assert await client.heard() == json.dumps(
            {"id": first, "data": "line\nline é\u2028"}, ensure_ascii=False, separators=(",", ":")
        )
        assert await heard(client) == {"id": second, "type": "news", "data": "", "retry": 5}
        assert client.answer.values(b"mercure-last-event-id") == ()


async def test_what_was_missed_comes_first_and_then_what_is_new_without_a_gap(app: AppProcess) -> None:
    """While others publish; two that come back at different moments see the same, in the same order."""
    start = await published(app.proxy_address, "storm", "start")
    total = 200

    async def storm() -> None:
        for number in range(total):
            await published(app.proxy_address, "storm", str(number))

    async def follow() -> list[str]:
        async with socket(app, query(("match", "storm"), ("last_event_id", start))) as client:
            assert client.answer.values(b"mercure-last-event-id") == (start.encode(),)
            return [(await heard(client))["data"] for _ in range(total)]

    publishing = asyncio.create_task(storm())
    found = [await follow(), *await asyncio.gather(*(follow() for _ in range(3)))]
    await publishing
    assert found == [[str(number) for number in range(total)]] * 4


@pytest.mark.parametrize("how", ["header", "cookie", "old cookie", "parameter"])
async def test_a_token_may_be_shown_in_any_way(app: AppProcess, how: str) -> None:
    current, old = reader(grant("private")), old_subscriber("private")
    target = query(("match", "private"))
    headers: list[tuple[str, str]] = {
        "header": shown(current),
        "cookie": [("Cookie", f"__Secure-mercure_access_token={current}")],
        "old cookie": [("Cookie", f"mercureAuthorization={old}")],
    }.get(how, [])
    if how == "parameter":
        target += f"&authorization={old}"
    async with socket(app, target, *headers) as client, socket(app, query(("match", "private"))) as anonymous:
        private = await published(app.proxy_address, "private", "secret", private="on")
        public = await published(app.proxy_address, "private", "public")
        assert [(await heard(client))["id"], (await heard(client))["id"]] == [private, public]
        assert (await heard(anonymous))["id"] == public


@pytest.mark.parametrize(
    ("origin", "is_taken"),
    [
        (f"http://{HOST}", True),
        (f"HTTP://{HOST.upper()}", True),
        (PAGE, True),
        (f"https://{HOST}", False),
        (f"http://{HOST}.evil.example", False),
        (f"http://{HOST}:81", False),
        ("https://elsewhere.example", False),
        ("null", False),
    ],
)
async def test_a_page_of_another_origin_has_to_be_allowed(app: AppProcess, origin: str, is_taken: bool) -> None:
    target = query(("match", "a"))
    if is_taken:
        async with socket(app, target, ("Origin", origin)) as client:
            update = await published(app.proxy_address, "a", "x")
            assert (await heard(client))["id"] == update
    else:
        opened = (await app.counters())["mercure_subscribers_opened"]
        assert await refused(app, target, ("Origin", origin)) == (403, b"Forbidden\n")
        assert (await app.counters())["mercure_subscribers_opened"] == opened


async def test_where_all_origins_are_allowed_a_page_may_not_use_the_cookie_of_who_looks_at_it() -> None:
    elsewhere = ("Origin", "https://elsewhere.example")
    cookie = ("Cookie", f"mercureAuthorization={old_subscriber('*')}")
    target = query(("match", "a"))
    async with AppProcess(ROUTE, settings=(*MIXED, ANONYMOUS, "mercure.history=", "mercure.cors_origins=*")) as app:
        assert await refused(app, target, elsewhere, cookie) == (403, b"Forbidden\n")
        async with socket(app, target, ("Origin", f"http://{HOST}"), cookie) as client:
            update = await published(app.proxy_address, "a", "x", private="on")
            assert (await heard(client))["id"] == update


async def test_the_hub_named_by_its_operator_is_no_other_site(tmp_path: Path) -> None:
    settings = (
        *MIXED,
        ANONYMOUS,
        "mercure.history=",
        f"mercure.resource_identifier=https://{HOST}/.well-known/mercure",
    )
    async with (
        AppProcess(ROUTE, settings=settings) as app,
        socket(app, query(("match", "a")), ("Origin", f"https://{HOST}")) as client,
    ):
        update = await published(app.proxy_address, "a", "x")
        assert (await heard(client))["id"] == update


async def test_any_page_is_taken_where_all_origins_are() -> None:
    settings = (*MIXED, ANONYMOUS, "mercure.history=", "mercure.cors_origins=*")
    async with (
        AppProcess(ROUTE, settings=settings) as app,
        socket(app, query(("match", "a")), ("Origin", "https://elsewhere.example")) as client,
    ):
        update = await published(app.proxy_address, "a", "x")
        assert (await heard(client))["id"] == update


async def test_the_own_origin_is_told_whatever_the_letter_case_of_the_host(app: AppProcess) -> None:
    headers = [("Origin", f"http://{HOST}")]
    async with websocket(app.proxy_address, query(("match", "a")), headers=headers, host=HOST.upper()):
        pass


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (HUB, [], 400),
        (query(("match_urlpattern", "(")), [], 400),
        (query(("match", "a")), [bearer("x" * 60)], 401),
        (query(("match", "a")), [("Origin", "https://elsewhere.example"), bearer(READER)], 403),
        (f"{HUB}/nothing", [], 404),
    ],
)
async def test_who_is_refused_is_told_by_plain_http(
    app: AppProcess, target: str, headers: list[tuple[str, str]], status: int
) -> None:
    assert (await refused(app, target, *headers))[0] == status


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("Sec-WebSocket-Version", "8", 426), ("Sec-WebSocket-Key", "short", 400), ("Sec-WebSocket-Key", None, 400)],
)
async def test_a_handshake_that_is_none_is_refused(
    app: AppProcess, client: RawClient, name: str, value: str | None, status: int
) -> None:
    headers = [(key, value if key == name else its) for key, its in handshake()]
    kept = [(key, its) for key, its in headers if its is not None]
    found = await client.fetch(query(("match", "a")), headers=kept, host=HOST)
    assert found.status == status
    if value == "8":
        assert found.values(b"sec-websocket-version") == (b"13",)
    assert found.values(b"x-content-type-options") == (b"nosniff",)
    assert (await app.counters())["mercure_subscribers"] == 0


async def test_pings_are_answered_closes_echoed_and_messages_mean_nothing(app: AppProcess) -> None:
    async with socket(app, query(("match", "a"))) as client:
        await client.put(Frame(Opcode.PING, b"are you there?"))
        assert await client.frame() == Frame(Opcode.PONG, b"are you there?")
        await client.say("hello?")
        await client.put(Frame(Opcode.BINARY, b"\0"), Frame(Opcode.PONG, b"unasked"))
        update = await published(app.proxy_address, "a", "x")
        assert (await heard(client))["id"] == update
        await client.put_close(1000, "enough")
        assert (await client.closed()).code == 1000
        assert await client.until_closed() == b""
    await app.until(lambda counters: counters["mercure_subscribers"] == 0)


@pytest.mark.parametrize(
    "sent",
    [b"\x81\x81\0\0\0\0\xff", b"\x80\x81\0\0\0\0x", b"\x09\x81\0\0\0\0x", b"\x81\x01x"],
    ids=["not text", "nothing to continue", "a ping in pieces", "not masked"],
)
async def test_who_breaks_the_protocol_is_closed(app: AppProcess, sent: bytes) -> None:
    async with socket(app, query(("match", "a"))) as client:
        await client.send(sent)
        assert (await client.closed()).code in {1002, 1007}
        await client.put_close(1002)
        await client.until_cut()
    await app.until(lambda counters: counters["mercure_subscribers"] == 0)


async def test_who_pings_without_end_is_closed(app: AppProcess) -> None:
    async with socket(app, query(("match", "a"))) as client:
        await client.send_as_far_as_taken(b"".join([Frame(Opcode.PING, b"x").serialize(mask=True)] * 20_000))
        while (frame := await client.frame()).opcode is Opcode.PONG:
            pass
        assert (frame.opcode, frame.data[:2]) == (Opcode.CLOSE, (1008).to_bytes(2, "big"))


async def test_silence_is_broken_by_a_ping(tmp_path: Path) -> None:
    async with (
        AppProcess(ROUTE, settings=settings_for(tmp_path, "mercure.heartbeat=20")) as app,
        socket(app, query(("match", "a"))) as client,
    ):
        await app.advance(20.2)
        assert await client.frame() == Frame(Opcode.PING, b"")


async def test_it_is_closed_before_the_token_expires_and_at_the_end_of_its_life(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "mercure.write_timeout=100", "mercure.heartbeat=0")
    async with AppProcess(ROUTE, settings=settings) as app:
        _, wall = await app.times()
        token = reader(grant("a"), exp=wall + 10)
        async with (
            socket(app, query(("match", "a")), *shown(token)) as brief,
            socket(app, query(("match", "a"))) as long,
        ):
            await app.advance(8.2)
            assert (await brief.closed()).code == 1000
            update = await published(app.proxy_address, "a", "x")
            assert (await heard(long))["id"] == update
            await app.advance(72)
            assert (await long.closed()).code == 1000
        assert (await app.counters())["mercure_expired"] == 2


@pytest.mark.parametrize("compresses", [True, False], ids=["on", "off"])
async def test_messages_are_compressed_where_both_sides_want_it(tmp_path: Path, compresses: bool) -> None:
    settings = settings_for(tmp_path, f"websocket.compression={str(compresses).lower()}")
    text = "the same again and again, " * 400
    async with AppProcess(ROUTE, settings=settings) as app:
        start = await published(app.proxy_address, "a", "start")
        await published(app.proxy_address, "a", text)
        target = query(("match", "a"), ("last_event_id", start))
        async with socket(app, target, OFFER) as client, socket(app, target) as plain:
            accepted = client.answer.values(b"sec-websocket-extensions")
            assert bool(accepted) == compresses
            if compresses:
                client.extensions = [PerMessageDeflate(True, True, 15, 15)]
            await published(app.proxy_address, "a", text)
            for each in (client, plain):
                assert [(await heard(each))["data"] for _ in range(2)] == [text, text]  # replayed, and live


async def test_a_process_that_stops_closes_them(tmp_path: Path) -> None:
    async with (
        AppProcess(ROUTE, settings=settings_for(tmp_path, "proxy.drain_timeout=10")) as app,
        socket(app, query(("match", "a"))) as client,
    ):
        app.signal(signal.SIGTERM)
        await app.log_line("stopping: 1 held")
        await app.advance(8.1)
        assert (await client.closed()).code == 1001
        await client.put_close(1001)
        assert await client.until_closed() == b""
        assert await app.exit_status() == 0


async def test_a_poll_parameter_means_nothing_to_a_websocket(
    app: AppProcess,
) -> None:
    async with socket(app, query(("match", "a"), ("poll", "1"))) as client:
        update = await published(app.proxy_address, "a", "x")
        assert (await heard(client))["id"] == update
