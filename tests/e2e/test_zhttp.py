"""Backends that are ZHTTP workers (row R38): real sockets, and workers that speak the public protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.holding import one_more_held
from tests.support.app_process import AppProcess
from tests.support.client import RawClient
from tests.support.events import OPEN, event, message
from tests.support.publisher import publish, response_item, stream_item
from tests.support.websocket import WsClient
from tests.support.zhttp import StreamWorker, WholeWorker, header_of, stream_worker, whole_worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENTS = (b"Content-Type", b"application/websocket-events")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sockets are."""
    return tmp_path_factory.mktemp("zhttp")


@pytest.fixture(scope="module")
def routes(folder: Path) -> tuple[str, ...]:
    """Both kinds of target."""
    return (
        f"stream.example,debug zhttp/ipc://{folder}/stream,over_http",
        f"req.example,debug zhttpreq/ipc://{folder}/req,over_http",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_worker(app: AppProcess, folder: Path) -> AsyncIterator[StreamWorker]:
    """A worker of the `zhttp/` target."""
    async with stream_worker(app, f"{folder}/stream") as worker:
        yield worker


@pytest.fixture
def worker(one_worker: StreamWorker) -> StreamWorker:
    """That worker, which has forgotten the last test."""
    one_worker.forget()
    return one_worker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(app: AppProcess, folder: Path) -> AsyncIterator[WholeWorker]:
    """A worker of the `zhttpreq/` target."""
    async with whole_worker(app, f"ipc://{folder}/req") as worker:
        yield worker


# -- zhttpreq/ --------------------------------------------------------------------------------------------------------


async def test_r38_a_worker_of_zhttpreq_answers(client: RawClient, whole: WholeWorker) -> None:
    await client.send_request("/a?b=c", method="POST", host="req.example", body=b"hello")
    request = await whole.request()
    assert request[b"method"] == b"POST"
    assert request[b"uri"] == b"http://req.example/a?b=c"
    assert request[b"body"] == b"hello"
    assert header_of(request, b"host") == [b"req.example"]
    assert header_of(request, b"content-length") == [b"5"]
    assert header_of(request, b"grip-feature")
    await whole.answer(request, b"hello there\n", (b"Content-Type", b"text/plain"))
    response = await client.response()
    assert (response.status, response.body) == (200, b"hello there\n")
    assert response.head.values(b"content-type") == (b"text/plain",)
    assert response.head.length() == 12


async def test_r38_a_worker_of_zhttpreq_holds_by_headers(
    app: AppProcess, client: RawClient, whole: WholeWorker
) -> None:
    async with one_more_held(app):
        await client.send_request("/hold", host="req.example")
        request = await whole.request()
        await whole.answer(request, b"", (b"Grip-Hold", b"response"), (b"Grip-Channel", b"r38-req"))
    await publish(app, response_item("r38-req", "news"))
    assert (await client.response()).body == b"news"


async def test_a_websocket_goes_over_http_to_zhttpreq(app: AppProcess, whole: WholeWorker) -> None:
    async with await WsClient.connect(app.proxy_address) as client:
        opening = asyncio.create_task(client.open("/ws", host="req.example"))
        request = await whole.request()
        assert request[b"body"] == OPEN
        await whole.answer(request, OPEN, EVENTS, (b"Sec-WebSocket-Extensions", b"grip"))
        await opening
        await client.say("hi")
        request = await whole.request()
        assert request[b"body"] == event("TEXT", "hi")
        await whole.answer(request, message("there"), EVENTS)
        assert await client.heard() == "there"
    request = await whole.request()
    assert request[b"body"] == b"DISCONNECT\r\n"
    await whole.answer(request, b"", EVENTS)


async def test_a_late_reply_of_zhttpreq_is_nobodys(app: AppProcess, client: RawClient, whole: WholeWorker) -> None:
    await client.send_request("/late", host="req.example")
    late = await whole.request()
    await app.advance(60)
    response = await client.response()
    assert (response.status, response.body) == (502, b"Error: zhttp service for route is unreachable.\n")
    await whole.answer(late, b"too late")
    await client.send_request("/next", host="req.example")
    await whole.answer(await whole.request(), b"in time")
    assert (await client.response()).body == b"in time"


# -- zhttp/ -----------------------------------------------------------------------------------------------------------


async def test_r38_a_worker_of_zhttp_answers_in_pieces(client: RawClient, worker: StreamWorker) -> None:
    await client.send_request("/pieces", host="stream.example")
    request = await worker.request()
    assert request[b"stream"] is True
    assert request[b"credits"] == 200_000
    assert request[b"seq"] == 0
    assert b"more" not in request
    await worker.send(request, code=200, reason=b"OK", headers=[[b"X-A", b"b"]], body=b"one,", more=True)
    head = await client.head()
    assert (head.status, head.values(b"x-a"), head.is_chunked()) == (200, (b"b",), True)
    assert await client.chunk() == b"one,"
    assert (await worker.later(b"credit"))[b"credits"] == 4
    await worker.send(request, body=b"two", more=True)
    assert await client.chunk() == b"two"
    later = await worker.later(b"credit")
    assert (later[b"credits"], later[b"seq"], later[b"id"]) == (3, 2, request[b"id"])
    await worker.send(request)
    assert await client.chunk() == b""


async def test_r38_a_worker_of_zhttp_holds_by_headers(app: AppProcess, client: RawClient, worker: StreamWorker) -> None:
    await client.send_request("/hold", host="stream.example")
    request = await worker.request()
    await worker.answer(request, b"[open]", (b"Grip-Hold", b"stream"), (b"Grip-Channel", b"r38"))
    assert (await client.head()).status == 200
    assert await client.chunk() == b"[open]"
    await publish(app, stream_item("r38", "news"))
    assert await client.chunk() == b"news"


async def test_an_answer_may_come_by_the_socket_of_later_messages(client: RawClient, worker: StreamWorker) -> None:
    await client.send_request("/router", host="stream.example")
    request = await worker.request()
    assert request[b"router-resp"] is True
    await worker.send_by_router(request, code=200, reason=b"OK", headers=[], body=b"by router")
    assert (await client.response()).body == b"by router"


async def test_a_large_body_goes_out_as_far_as_there_are_credits(client: RawClient, worker: StreamWorker) -> None:
    body = b"x" * 150_000
    await client.send_request("/large", method="POST", host="stream.example", body=body)
    request = await worker.request()
    assert (request[b"more"], request[b"body"]) == (True, b"")
    assert header_of(request, b"content-length") == [b"150000"]
    await worker.send(request, type="credit", credits=100_000)
    taken = b""
    while len(taken) < 100_000:
        piece = await worker.later()
        assert piece[b"more"] is True
        taken += piece[b"body"]
    assert len(taken) == 100_000
    await worker.send(request, type="credit", credits=200_000)
    while (piece := await worker.later()).get(b"more"):
        taken += piece[b"body"]
    assert taken + piece.get(b"body", b"") == body
    await worker.send(request, code=200, reason=b"OK", headers=[], body=b"got it")
    assert (await client.response()).body == b"got it"


async def test_a_worker_gets_no_credits_for_what_a_client_does_not_take(app: AppProcess, worker: StreamWorker) -> None:
    piece = b"y" * 20_000
    async with await RawClient.connect(app.proxy_address, receive_buffer=4096) as client:
        await client.send_request("/slow", host="stream.example")
        request = await worker.request()
        await worker.send(request, code=200, reason=b"OK", headers=[], more=True)
        head = await client.head()
        room = request[b"credits"]
        sent = 0
        while room >= len(piece) and sent < 300:
            await worker.send(request, body=piece, more=True)
            sent += 1
            room -= len(piece)
            while room < len(piece) and (granted := await worker.later_if_any(b"credit")):
                room += granted[b"credits"]
        assert sent < 300, "the client takes nothing, so the worker must run out of credits"
        await worker.send(request)
        assert await client.body(head) == piece * sent


async def test_a_client_that_goes_has_the_worker_told(client: RawClient, worker: StreamWorker) -> None:
    await client.send_request("/gone", host="stream.example")
    request = await worker.request()
    await worker.send(request, type="keep-alive")
    await worker.send(request, code=200, reason=b"OK", headers=[], body=b"a", more=True)
    assert (await client.head()).status == 200
    await worker.later(b"credit")
    client.close()
    assert (await worker.later(b"cancel"))[b"id"] == request[b"id"]


async def test_a_message_for_a_request_that_is_over_is_answered_by_cancel(
    client: RawClient, worker: StreamWorker
) -> None:
    await client.send_request("/over", host="stream.example")
    request = await worker.request()
    await worker.send(request, code=200, reason=b"OK", headers=[], body=b"1", more=True)
    await worker.later(b"credit")
    await worker.send_raw(
        request[b"from"], {"from": worker.name, "id": b"no such", "seq": 0, "code": 200, "body": b"x", "more": True}
    )
    assert (await worker.later(b"cancel"))[b"id"] == b"no such"
    await worker.send(request)
    assert (await client.response()).body == b"1"


async def test_both_sides_say_that_they_live(app: AppProcess, client: RawClient, worker: StreamWorker) -> None:
    await client.send_request("/alive", host="stream.example")
    request = await worker.request()
    await worker.send(request, code=200, reason=b"OK", headers=[], body=b"1", more=True, ext={"multi": True})
    await worker.later(b"credit")
    await app.advance(45)
    assert (await worker.later(b"keep-alive"))[b"seq"] == 2
    await worker.send(request, body=b"2", more=True)
    await worker.later(b"credit")
    await app.advance(50)
    await worker.later(b"keep-alive")
    await worker.send(request, body=b"3")
    assert (await client.response()).body == b"123"


async def test_a_worker_that_falls_silent_in_an_answer_has_it_cut(
    app: AppProcess, client: RawClient, worker: StreamWorker
) -> None:
    await client.send_request("/cut", host="stream.example")
    request = await worker.request()
    await worker.send(request, code=200, reason=b"OK", headers=[], body=b"1", more=True)
    await worker.later(b"credit")
    await app.advance(60)
    assert b"1\r\n" in await client.until_cut()
    await worker.later(b"keep-alive")
    await worker.later(b"cancel")


async def test_one_message_may_be_for_several_requests(app: AppProcess, worker: StreamWorker) -> None:
    async with (
        await RawClient.connect(app.proxy_address) as one,
        await RawClient.connect(app.proxy_address) as two,
    ):
        await one.send_request("/1", host="stream.example")
        first = await worker.request()
        await two.send_request("/2", host="stream.example")
        second = await worker.request()
        if first[b"from"] != second[b"from"]:
            return  # they are two workers', who share no message
        ids = [{"id": first[b"id"], "seq": 0}, {"id": second[b"id"], "seq": 0}]
        fields = {"from": worker.name, "id": ids, "code": 200, "reason": b"OK", "headers": [], "body": b"both"}
        await worker.send_raw(first[b"from"], fields)
        assert [(await one.response()).body, (await two.response()).body] == [b"both", b"both"]


async def test_a_worker_may_hand_a_request_to_another(
    app: AppProcess, client: RawClient, worker: StreamWorker, folder: Path
) -> None:
    await client.send_request("/handoff", host="stream.example")
    request = await worker.request()
    await worker.send(request, code=200, reason=b"OK", headers=[], body=b"1", more=True)
    await worker.later(b"credit")
    await worker.send(request, type="handoff-start")
    assert (await worker.later(b"handoff-proceed"))[b"seq"] == 2
    async with stream_worker(app, f"{folder}/stream", b"other") as other:
        other.take_over(worker, request)
        await other.send(request, body=b"2", more=True)
        assert (await other.later(b"credit"))[b"credits"] == 1
        await other.send(request, body=b"3")
    assert (await client.response()).body == b"123"


async def test_head_has_no_body_and_its_length(client: RawClient, worker: StreamWorker) -> None:
    await client.send_request("/head", method="HEAD", host="stream.example")
    await worker.answer(await worker.request(), b"", (b"Content-Length", b"17"))
    head = await client.head()
    assert head.length() == 17
    await client.send_request("/after", host="stream.example")
    await worker.answer(await worker.request(), b"after")
    assert (await client.response()).body == b"after"
