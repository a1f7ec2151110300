from __future__ import annotations

import asyncio
from typing import Any

import pytest
import tnetstring

from proxy.backend import AnswerTruncated
from proxy.backend_answer import OwnAnswer
from proxy.errors import RequestBodyError
from proxy.protocol.zhttp import RequestStart, ZhttpAnswer
from proxy.protocol.zhttp_exchange import Failure, ZhttpExchange
from proxy.request_body import NO_BODY, RequestBody
from proxy.zhttp.call import Call
from tests.support.clock import ManualClock
from tests.support.turns import settle, until

START = RequestStart(method=b"GET", uri=b"http://h/", headers=(), stream=True)
HEAD = {"status": 200, "reason": b"OK"}


class Calls:
    """The sockets' side: takes everything, unless the worker cannot be reached."""

    def __init__(self) -> None:
        self.sent: list[dict[bytes, Any]] = []
        self.is_reachable = True
        self.forgotten: list[Call] = []

    async def pushed(self, call: Call, data: bytes) -> None:
        self.sent.append(tnetstring.loads(data[1:]))

    def send(self, call: Call, data: bytes) -> bool:
        if self.is_reachable:
            self.sent.append(tnetstring.loads(data[1:]))
        return self.is_reachable

    def forget(self, call: Call) -> None:
        self.forgotten.append(call)

    @property
    def types(self) -> list[bytes]:
        return [each.get(b"type", b"") for each in self.sent]


class Asking:
    """A call, and the worker's side of it."""

    def __init__(self, clock: ManualClock, *, body: RequestBody = NO_BODY, first: bytes | None = b"", limit: float = 0):
        self.calls = Calls()
        self.call = Call(self.calls, clock, ZhttpExchange(sender=b"me", name=b"1"), b"1", 60.0)
        self.task = asyncio.create_task(self.call.ask(START, first, body, limit=limit))
        self._seq = 0

    def say(self, **fields: Any) -> None:
        message = ZhttpAnswer(sender=b"w", ids=((b"1", self._seq),), **fields)
        self.call.take(message, self._seq)
        self._seq += 1


async def answer_of(asking: Asking) -> OwnAnswer:
    await settle()
    asking.say(**HEAD, body=b"one", more=True)
    return await asking.task


async def test_an_answer_is_read_as_it_comes_and_paid_for(clock: ManualClock) -> None:
    asking = Asking(clock)
    answer = await answer_of(asking)
    assert (answer.status, answer.whole()) == (200, None)
    assert await answer.read() == b"one"
    assert asking.calls.sent[-1][b"credits"] == 3
    reading = asyncio.create_task(answer.read())
    await settle()
    asking.say(body=b"two")
    assert await reading == b"two"
    assert await answer.read() == b""
    assert asking.calls.forgotten == [asking.call]
    answer.close()
    assert asking.calls.types == [b"", b"credit"]


async def test_whoever_closes_an_answer_has_the_worker_told(clock: ManualClock) -> None:
    asking = Asking(clock)
    answer = await answer_of(asking)
    answer.close()
    answer.close()
    assert asking.calls.types == [b"", b"cancel"]
    assert asking.calls.forgotten == [asking.call]


async def test_a_failure_in_the_answer_is_its_truncation(clock: ManualClock) -> None:
    asking = Asking(clock)
    answer = await answer_of(asking)
    asking.say(type="error", condition="disconnected")
    assert await answer.read() == b"one"
    with pytest.raises(AnswerTruncated, match="disconnected"):
        await answer.read()


async def test_a_failure_before_the_answer_is_raised(clock: ManualClock) -> None:
    asking = Asking(clock)
    await settle()
    asking.say(type="error", condition="bad-request")
    with pytest.raises(Failure, match="bad-request"):
        await asking.task


async def test_the_head_has_its_time_and_silence_another(clock: ManualClock) -> None:
    asking = Asking(clock, limit=5)
    await settle()
    clock.advance(5)
    with pytest.raises(TimeoutError):
        await asking.task
    other = Asking(clock)
    await settle()
    clock.advance(60)
    with pytest.raises(Failure, match="no word from the worker"):
        await other.task


async def test_a_body_waits_for_credits(clock: ManualClock) -> None:
    asking = Asking(clock, body=RequestBody.of(b"abcdef"), first=None)
    await settle()
    assert asking.calls.sent[0][b"more"] is True
    asking.say(type="credit", credits=4)
    await until(lambda: len(asking.calls.sent) == 2)
    assert (asking.calls.sent[1][b"body"], asking.calls.sent[1][b"more"]) == (b"abcd", True)
    asking.say(type="credit", credits=4)
    await until(lambda: len(asking.calls.sent) == 4)
    assert asking.calls.sent[2][b"body"] == b"ef"
    assert b"more" not in asking.calls.sent[3]
    asking.say(**HEAD)
    assert (await asking.task).whole() == b""


async def test_of_a_body_no_more_is_read_than_the_worker_can_be_sent(clock: ManualClock) -> None:
    left = [b"x" * 10] * 5

    async def read() -> bytes:
        return left.pop() if left else b""

    asking = Asking(clock, body=RequestBody(read, length=None), first=None)
    await settle()
    asking.calls.is_reachable = False
    asking.say(type="credit", credits=1000)
    await settle()
    assert len(left) == 3, "one is on its way, and one waits"
    asking.calls.is_reachable = True
    asking.call.flush()
    await until(lambda: not left)


async def test_a_body_that_is_the_clients_fault_ends_the_request(clock: ManualClock) -> None:
    async def read() -> bytes:
        raise RequestBodyError("bad chunk")

    asking = Asking(clock, body=RequestBody(read, None), first=None)
    with pytest.raises(RequestBodyError, match="bad chunk"):
        await asking.task
    assert asking.calls.forgotten == [asking.call]


async def test_what_cannot_be_sent_now_is_kept_in_its_order(clock: ManualClock) -> None:
    asking = Asking(clock)
    answer = await answer_of(asking)
    asking.calls.is_reachable = False
    await answer.read()
    clock.advance(45)
    assert asking.calls.types == [b""]
    asking.calls.is_reachable = True
    asking.call.flush()
    assert asking.calls.types == [b"", b"credit", b"keep-alive"]
    answer.close()


async def test_there_is_no_connection_to_take_over(clock: ManualClock) -> None:
    answer = await answer_of(Asking(clock))
    with pytest.raises(AnswerTruncated):
        answer.take_transport()
