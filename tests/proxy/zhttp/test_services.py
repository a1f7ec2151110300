from __future__ import annotations

import asyncio
import socket as plain_socket
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import tnetstring
import zmq

from handlers.counters import Counters
from handlers.protocol.http1 import Headers
from proxy.backend import ConnectFailed
from proxy.backend_answer import OwnAnswer
from proxy.errors import RequestBodyError, UpstreamError
from proxy.protocol.route import Target, TargetKind
from proxy.request_body import NO_BODY, REPLAY_LIMIT, RequestBody
from proxy.upstream import BackendRequest
from proxy.zhttp.services import SPEC_LIMIT, WHOLE_LIMIT, Services, make_start, read_small, read_whole
from tests.proxy.zhttp.conftest import Make
from tests.support.clock import ManualClock
from tests.support.turns import settle, until


def target_at(spec: str) -> Target:
    return Target(kind=TargetKind.ZHTTPREQ, spec=spec)


def request(
    method: bytes = b"GET",
    headers: Headers = ((b"Host", b"h"),),
    body: RequestBody = NO_BODY,
    *,
    upgrades: bool = False,
) -> BackendRequest:
    return BackendRequest(method=method, path=b"/p?q", host=b"h", headers=headers, body=body, upgrades=upgrades)


@pytest.fixture
async def services(clock: ManualClock) -> AsyncGenerator[Services]:
    services = Services(sender=b"me", number=None, clock=clock, counters=Counters())
    yield services
    services.close()
    await settle()


def is_listened_at(endpoint: str) -> bool:
    with plain_socket.socket(plain_socket.AF_UNIX) as probe:
        return probe.connect_ex(endpoint.removeprefix("ipc://")) == 0


class Rep:
    """A worker with one REP socket."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket

    async def request(self) -> dict[bytes, object]:
        await until(lambda: self._socket.poll(0))
        fields: dict[bytes, object] = tnetstring.loads(self._socket.recv()[1:])
        return fields

    def answer(self, asked: dict[bytes, object], **fields: object) -> None:
        named = {name.encode(): value for name, value in fields.items()}
        self._socket.send(b"T" + tnetstring.dumps({b"id": asked[b"id"], **named}))


def ask(services: Services, target: Target, asked: BackendRequest) -> asyncio.Task[OwnAnswer]:
    return asyncio.create_task(services.ask(target, asked, wait=None, limit=0, silence=None))


async def reach(clock: ManualClock, worker: Rep) -> dict[bytes, object]:
    """Wait until a request has come, turning the clock for one that waits for its worker."""
    waiting = asyncio.create_task(worker.request())
    while not waiting.done():
        clock.advance(0.01)
        await asyncio.sleep(0)
    return await waiting


async def test_a_request_is_answered(services: Services, clock: ManualClock, peer: Make, base: str) -> None:
    target = target_at(base)
    services.bind([target])
    worker = Rep(peer(zmq.REP, base))
    task = ask(services, target, request(method=b"POST", body=RequestBody.of(b"abc")))
    asked = await reach(clock, worker)
    assert (asked[b"uri"], asked[b"body"], asked[b"max-size"]) == (b"http://h/p?q", b"abc", WHOLE_LIMIT)
    worker.answer(asked, code=201)
    assert (await task).status == 201


@pytest.mark.parametrize(
    ("condition", "error", "text"),
    [
        (b"remote-connection-failed", ConnectFailed, "remote-connection-failed"),
        (b"connection-timeout", ConnectFailed, "connection-timeout"),
        (b"tls-error", ConnectFailed, "tls-error"),
        (b"policy-violation", UpstreamError, "Error: Origin host/IP blocked."),
        (b"length-required", UpstreamError, "length-required"),
        (b"max-size-exceeded", UpstreamError, "max-size-exceeded"),
    ],
)
async def test_what_a_workers_failure_comes_to(
    services: Services,
    clock: ManualClock,
    peer: Make,
    base: str,
    condition: bytes,
    error: type[Exception],
    text: str,
) -> None:
    target = target_at(base)
    services.bind([target])
    worker = Rep(peer(zmq.REP, base))
    task = ask(services, target, request())
    worker.answer(await reach(clock, worker), type=b"error", condition=condition)
    with pytest.raises(error, match=text):
        await task


async def test_a_target_that_no_route_names_any_more_is_let_go_once_it_is_idle(
    services: Services, clock: ManualClock, peer: Make, base: str
) -> None:
    target = target_at(base)
    services.bind([target, target])
    worker = Rep(peer(zmq.REP, base))
    task = ask(services, target, request())
    asked = await reach(clock, worker)
    services.bind([])
    assert is_listened_at(base)
    worker.answer(asked, code=200)
    await task
    await until(lambda: not is_listened_at(base))
    services.bind([target])
    assert is_listened_at(base)


async def test_a_target_that_comes_back_while_its_request_is_under_way_is_the_same(
    services: Services, clock: ManualClock, peer: Make, base: str
) -> None:
    target = target_at(base)
    services.bind([target])
    worker = Rep(peer(zmq.REP, base))
    task = ask(services, target, request())
    asked = await reach(clock, worker)
    services.bind([])
    services.bind([target])
    worker.answer(asked, code=200)
    await task
    second = ask(services, target, request())
    worker.answer(await reach(clock, worker), code=200)
    await second


async def test_what_cannot_be_bound_is_told_of_and_tried_again(
    services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = target_at(f"ipc://{tmp_path}/folder/t")
    services.bind([target])
    assert f"zhttpreq/ipc://{tmp_path}/folder/t: cannot be bound: " in caplog.text
    with pytest.raises(ConnectFailed, match="No such file or directory"):
        await ask(services, target, request())
    (tmp_path / "folder").mkdir()
    services.bind([target])
    assert (tmp_path / "folder/t").exists()


async def test_there_are_no_more_targets_than_a_hundred(
    services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    services.bind([target_at(f"ipc://{tmp_path}/{number}") for number in range(SPEC_LIMIT + 2)])
    assert [record.getMessage() for record in caplog.records] == [
        f"zhttpreq/ipc://{tmp_path}/{number}: more than 100 ZHTTP targets, so this one is not bound"
        for number in (SPEC_LIMIT, SPEC_LIMIT + 1)
    ]


async def test_nobody_is_asked_for_another_protocol(services: Services, base: str) -> None:
    with pytest.raises(UpstreamError, match="over_http only"):
        await ask(services, target_at(base), request(upgrades=True))


def test_what_is_asked_for() -> None:
    target = Target(
        kind=TargetKind.ZHTTP,
        spec="ipc://x",
        ssl=True,
        host_override="o:1",
        insecure=True,
        untrusted=True,
        trust_connect_host=True,
    )
    start = make_start(target, request(method=b"PUT", headers=((b"HOST", b"h"), (b"A", b"b"))), length=0)
    assert start.uri == b"https://o:1/p?q"
    assert start.headers == ((b"HOST", b"o:1"), (b"A", b"b"), (b"Content-Length", b"0"))
    assert (start.stream, start.max_size, start.ignore_policies) == (True, None, False)
    assert (start.trust_connect_host, start.ignore_tls_errors) == (True, True)
    assert make_start(target, request(), length=0).headers == ((b"Host", b"o:1"),)
    assert make_start(target, request(), length=None).headers == ((b"Host", b"o:1"),)


def coming(*pieces: bytes, length: int | None) -> RequestBody:
    left = list(pieces)

    async def read() -> bytes:
        return left.pop(0) if left else b""

    return RequestBody(read, length)


async def test_a_small_body_goes_whole_and_a_large_one_is_streamed() -> None:
    assert await read_small(NO_BODY) == b""
    assert await read_small(coming(b"a", b"b", length=2)) == b"ab"
    assert await read_small(coming(b"a", length=None)) is None
    assert await read_small(coming(b"a", length=REPLAY_LIMIT + 1)) is None


async def test_a_whole_body_has_a_limit() -> None:
    assert await read_whole(coming(b"a", b"b", length=None)) == b"ab"
    assert len(await read_whole(coming(b"x" * WHOLE_LIMIT, length=None))) == WHOLE_LIMIT
    for body in (coming(b"x" * (WHOLE_LIMIT + 1), length=None), coming(length=WHOLE_LIMIT + 1)):
        with pytest.raises(RequestBodyError, match="Request too large for this route") as caught:
            await read_whole(body)
        assert caught.value.status == 413
