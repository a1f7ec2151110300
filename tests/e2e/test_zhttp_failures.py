"""ZHTTP workers that fail, say what makes no sense, or are not there at all (row R38, reference 3.16)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.app_process import AppProcess
from tests.support.client import RawClient
from tests.support.websocket import WsClient
from tests.support.zhttp import StreamWorker, places, stream_worker

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sockets are."""
    return tmp_path_factory.mktemp("zhttp")


@pytest.fixture(scope="module")
def routes(folder: Path) -> tuple[str, ...]:
    """A target with a worker, those that never have one, and one with options."""
    return (
        f"stream.example,debug zhttp/ipc://{folder}/stream",
        f"nobody.example zhttp/ipc://{folder}/nobody",
        f"nobody.example,path_beg=/debug,debug zhttp/ipc://{folder}/nobody",
        f"next.example zhttp/ipc://{folder}/nobody2,connect_timeout=2 test",
        f"mode.example zhttpreq/ipc://{folder}/mode,ipc_file_mode=0600",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_worker(app: AppProcess, folder: Path) -> AsyncIterator[StreamWorker]:
    """A worker of the first target."""
    async with stream_worker(app, f"{folder}/stream") as worker:
        yield worker


@pytest.fixture
def worker(one_worker: StreamWorker) -> StreamWorker:
    """That worker, which has forgotten the last test."""
    one_worker.forget()
    return one_worker


@pytest.mark.parametrize(
    ("fields", "status", "body"),
    [
        ({"type": "error", "condition": "policy-violation"}, 502, b"Error: Origin host/IP blocked.\n"),
        (
            {"type": "error", "condition": "remote-connection-failed"},
            502,
            b"Error: zhttp service for route is unreachable.\n",
        ),
        ({"type": "error", "condition": "bad-request"}, 502, b"Error while proxying to origin.\n"),
        ({"type": "error"}, 502, b"Error while proxying to origin.\n"),
        ({"type": "cancel"}, 502, b"Error while proxying to origin.\n"),
        ({"code": 200, "seq": 7}, 502, b"Error while proxying to origin.\n"),
        ({"code": 101}, 502, b"Error while proxying to origin.\n"),
        ({"body": b"no status"}, 502, b"Error while proxying to origin.\n"),
        ({"code": 200, "headers": [[b"X", b"a\r\nb"]]}, 502, b"Error while proxying to origin.\n"),
    ],
)
async def test_a_worker_may_fail(
    client: RawClient, worker: StreamWorker, fields: dict[str, object], status: int, body: bytes
) -> None:
    await client.send_request("/fail", host="stream.example")
    request = await worker.request()
    message = {"from": worker.name, "id": request[b"id"], "seq": 0, **fields}
    await worker.send_raw(request[b"from"], message)
    response = await client.response()
    assert (response.status, response.body) == (status, body)


async def test_a_worker_may_want_a_length(client: RawClient, worker: StreamWorker) -> None:
    await client.send(
        b"POST /length HTTP/1.1\r\nHost: stream.example\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"20000\r\n" + b"z" * 0x20000 + b"\r\n"
    )
    request = await worker.request()
    assert request[b"more"] is True
    await worker.send(request, type="error", condition="length-required")
    response = await client.response()
    assert (response.status, response.body) == (411, b"Must provide Content-Length header.\n")


async def test_what_cannot_be_read_is_skipped_and_counted(
    app: AppProcess, client: RawClient, worker: StreamWorker
) -> None:
    await client.send_request("/garbage", host="stream.example")
    request = await worker.request()
    before = (await app.counters())["zhttp_malformed"]
    for data in (b"", b"T", b"T5:abc", b"J{}", b"T2:1:,", b"T0:}"):
        await worker.send_bytes(request[b"from"], data)
    await app.until(lambda counters: counters["zhttp_malformed"] == before + 6)
    await app.log_line("a worker's message cannot be read")
    await worker.answer(request, b"fine")
    assert (await client.response()).body == b"fine"


async def test_a_worker_that_says_nothing_for_a_minute_is_unreachable(
    app: AppProcess, client: RawClient, worker: StreamWorker
) -> None:
    await client.send_request("/silent", host="stream.example")
    await worker.request()
    await app.advance(59)
    assert client.pending() == b""
    await app.advance(1)
    response = await client.response()
    assert (response.status, response.body) == (502, b"Error: zhttp service for route is unreachable.\n")
    await app.log_line("zhttp/ipc://.*/stream: no word from the worker within 60 seconds")


# -- nobody there -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", b"Error while proxying to origin.\n"),
        ("/debug", b"Error: zhttp service for route is unreachable.\n"),
    ],
)
async def test_without_a_worker_a_request_waits_a_minute(
    app: AppProcess, client: RawClient, path: str, body: bytes
) -> None:
    requests = (await app.counters())["requests"]
    await client.send_request(path, host="nobody.example")
    await app.until(lambda counters: counters["requests"] > requests)
    await app.advance(60)
    response = await client.response()
    assert (response.status, response.body) == (502, body)
    await app.log_line("nobody: no worker has come within 60 seconds")


async def test_a_worker_that_comes_in_time_is_given_what_waits(
    app: AppProcess, client: RawClient, folder: Path
) -> None:
    requests = (await app.counters())["requests"]
    await client.send_request("/wait", host="nobody.example")
    await app.until(lambda counters: counters["requests"] > requests)
    async with stream_worker(app, f"{folder}/nobody") as worker:
        await worker.answer(await worker.request(), b"at last")
        assert (await client.response()).body == b"at last"


async def test_the_next_target_is_asked_where_no_worker_comes(app: AppProcess, client: RawClient) -> None:
    requests = (await app.counters())["requests"]
    await client.send_request("/", host="next.example")
    await app.until(lambda counters: counters["requests"] > requests)
    await app.advance(2)
    assert (await client.response()).body == b"Hello from the Holdfast test handler!\n"


async def test_a_websocket_wants_over_http(app: AppProcess) -> None:
    async with await WsClient.connect(app.proxy_address) as client:
        refused = await client.ask("/", host="stream.example")
        assert refused is not None
        assert refused.status == 502
        assert refused.body.endswith(b"WebSockets go to a ZHTTP target with over_http only\n")


async def test_ipc_file_mode_is_that_of_the_socket(app: AppProcess, folder: Path) -> None:
    for place in places(f"ipc://{folder}/mode"):
        assert os.stat(place.removeprefix("ipc://")).st_mode & 0o777 == 0o600  # noqa: PTH116


async def test_a_target_that_cannot_be_bound_is_told_of(folder: Path) -> None:
    endpoint = f"ipc://{folder}/missing/folder"
    async with AppProcess(f"*,debug zhttpreq/{endpoint}") as app:
        await app.log_line("missing/folder.*: cannot be bound: .*No such file or directory")
        async with await RawClient.connect(app.proxy_address) as client:
            assert (await client.fetch("/")).status == 502
