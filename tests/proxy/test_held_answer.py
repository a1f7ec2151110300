"""Bodies that have to be kept whole are bounded."""

from __future__ import annotations

import asyncio

import pytest

from proxy.builtin_target import answer_test
from proxy.errors import UpstreamError
from proxy.held_answer import HELD_BODY_LIMIT, read_limited
from proxy.protocol.route import Route
from tests.proxy.in_process import advance, client_of, running
from tests.support.answers import Answer, answer, grip_instruct, grip_response
from tests.support.backend import ScriptedBackend
from tests.support.clock import ManualClock
from tests.support.turns import settle


class Pieces:
    """An answer whose body comes in these pieces."""

    status, reason, headers, length, has_body_waiting = 200, b"OK", (), None, False

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]

    async def read(self) -> bytes:
        return self._pieces.pop(0)


async def test_a_body_is_read_to_its_end(clock: ManualClock) -> None:
    assert await read_limited(Pieces(b"one,", b"two"), target="a:1", clock=clock, seconds=9) == b"one,two"
    assert await read_limited(answer_test(b"/", Route(host="*", targets=())), target="test", clock=clock, seconds=0)


async def test_one_that_is_too_long_is_the_backends_fault(clock: ManualClock) -> None:
    fitting = b"x" * HELD_BODY_LIMIT
    assert await read_limited(Pieces(fitting), target="a:1", clock=clock, seconds=9) == fitting
    with pytest.raises(UpstreamError, match="GRIP instruct response too large from a:1"):
        await read_limited(Pieces(fitting, b"x"), target="a:1", clock=clock, seconds=9)


async def test_who_wants_it_may_have_another_limit_and_call_it_otherwise(clock: ManualClock) -> None:
    with pytest.raises(UpstreamError, match="page too large from a:1"):
        await read_limited(Pieces(b"12345"), target="a:1", clock=clock, seconds=0, limit=4, what="page")


class Dripping(Pieces):
    """One whose body comes and comes."""

    def __init__(self) -> None:
        super().__init__()
        self.drops = asyncio.Semaphore(0)

    async def read(self) -> bytes:
        await self.drops.acquire()
        return b"x"


async def test_one_that_does_not_come_to_its_end_in_time_is_the_backends_fault(clock: ManualClock) -> None:
    answer = Dripping()
    reading = asyncio.create_task(read_limited(answer, target="a:1", clock=clock, seconds=9))
    for _ in range(8):
        await settle()
        clock.advance(1)
        answer.drops.release()
    await settle()
    assert not reading.done()
    clock.advance(1)
    with pytest.raises(UpstreamError, match="a:1: no end of the answer within 9 seconds") as failure:
        await reading
    assert failure.value.status == 504
    assert clock.next_due() is None


@pytest.mark.parametrize("asks", [grip_response("room"), grip_instruct({"response": {"body": "x"}})])
async def test_a_client_whose_answer_has_to_be_read_whole_and_does_not_come_gets_504(
    backend: ScriptedBackend, asks: Answer
) -> None:
    head = b"".join(step for step in asks.steps if isinstance(step, bytes)).partition(b"\r\n\r\n")[0]
    kept = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length"))
    backend.default = answer(kept + b"\r\nContent-Length: 9\r\n\r\nbegun", asyncio.Event())
    async with (
        running(f"* {backend.address}", settings=["proxy.response_timeout=20"]) as app,
        await client_of(app) as client,
    ):
        await client.send_request("/")
        await backend.request()
        await settle()
        await advance(app, 20)
        assert (await client.response()).status == 504
        assert app.counters.backend_timeouts == 1
        await backend.disconnected(1)
