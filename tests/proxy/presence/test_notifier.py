"""One request at a time, again when it has failed, and nothing given up without a word."""

from __future__ import annotations

import asyncio
import json

import pytest

from handlers.counters import Counters
from handlers.protocol.names import Channel
from proxy.presence.notifier import LAST_SECONDS, PresenceNotifier
from proxy.protocol.presence_notice import ChannelSubscribed, ConnectionEnded, Notice
from proxy.protocol.presence_queue import QueueLimits
from tests.support.clock import ManualClock
from tests.support.turns import settle

LIMITS = QueueLimits(delay=1.0, batch=2, waiting=4, retry_for=5.0)


END: Notice = ConnectionEnded(at=0.0, id="1-a", kind="ws", channels=())


class Backend:
    """Takes bodies, and answers when the test says so."""

    def __init__(self, limits: QueueLimits = LIMITS) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        self.bodies: list[list[int]] = []
        self.answers: list[asyncio.Future[str]] = []
        self.notifier = PresenceNotifier(
            self._send, sender="me", limits=limits, timeout=10.0, clock=self.clock, counters=self.counters
        )

    async def _send(self, body: bytes) -> str:
        read = json.loads(body)
        assert read["from"] == "me"
        self.bodies.append([event["seq"] for event in read["events"]])
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return await answer

    def put(self, count: int = 1) -> None:
        for _ in range(count):
            self.notifier.put(END)

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await settle()

    async def answer(self, why: str = "") -> None:
        self.answers[-1].set_result(why)
        await settle()


async def test_batches_go_one_after_the_other() -> None:
    each = Backend()
    each.put()
    await each.advance(0.9)
    assert each.bodies == []
    await each.advance(0.2)
    each.put(3)
    await each.advance(5)
    assert each.bodies == [[1]]
    await each.answer()
    assert each.bodies == [[1], [2, 3]]
    await each.answer()
    await each.answer()
    assert each.bodies == [[1], [2, 3], [4]]
    assert (each.counters.presence_notices, each.counters.presence_lost) == (4, 0)
    each.put()
    await each.advance(1.1)
    assert each.bodies[-1] == [5]
    await each.answer()
    await each.notifier.close()


async def test_what_is_not_taken_is_sent_again_and_then_given_up(caplog: pytest.LogCaptureFixture) -> None:
    each = Backend()
    each.put(3)
    await settle()
    each.clock.advance(0.0)
    await settle()
    for pause in (0.5, 1.0, 2.0):
        await each.answer("not now")
        await each.advance(pause - 0.1)
        tried = len(each.bodies)
        await each.advance(0.2)
        assert len(each.bodies) == tried + 1
    assert each.bodies == [[1, 2]] * 4
    await each.answer("not now")
    await each.advance(4.1)
    assert each.bodies[-1] == [3]
    await each.answer()
    assert (each.counters.presence_failures, each.counters.presence_lost, each.counters.presence_notices) == (4, 2, 1)
    assert "presence: 2 notices given up, 0 put off, from number 1: not now" in caplog.text
    await each.notifier.close()


async def test_a_backend_that_says_nothing_is_waited_for_so_long(caplog: pytest.LogCaptureFixture) -> None:
    each = Backend()
    each.put()
    await each.advance(1.1)
    await each.advance(10.1)
    assert "presence: 1 notices given up, 0 put off, from number 1: no answer within 10 seconds" in caplog.text
    assert each.counters.presence_lost == 1
    await each.notifier.close()


async def test_a_fault_of_ours_is_a_failure_like_others(caplog: pytest.LogCaptureFixture) -> None:
    each = Backend()
    each.put()
    await each.advance(1.1)
    each.answers[-1].set_exception(ValueError("a fault"))
    await settle()
    assert "internal error" in caplog.text
    await each.advance(0.6)
    assert each.bodies == [[1], [1]]
    await each.answer()
    await each.notifier.close()


async def test_what_there_is_no_room_for_is_counted_and_said_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    each = Backend()
    each.put(7)
    assert each.counters.presence_lost == 3
    assert caplog.text.count("4 notices wait") == 1
    await each.advance(10.1)
    each.put()
    assert caplog.text.count("4 notices wait") == 2
    closing = asyncio.create_task(each.notifier.close())
    await settle()
    await each.advance(LAST_SECONDS + 0.1)
    await closing


async def test_what_is_left_out_while_the_backend_is_behind_is_counted_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    each = Backend()
    each.put(1)
    await each.advance(1.1)
    for _ in range(2):
        await each.answer("not now")
        for _ in range(3):
            each.notifier.put(ChannelSubscribed(at=0.0, channel=Channel("c")))
        await each.advance(1.1)
    assert each.counters.presence_merged == 5
    assert caplog.text.count("the backend is behind") == 1
    await each.answer()
    await each.answer()
    assert each.bodies == [[1], [1], [1], [2]]
    assert each.counters.presence_lost == 0
    await each.notifier.close()


async def test_at_the_end_what_is_left_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    each = Backend()
    each.put(3)
    closing = asyncio.create_task(each.notifier.close())
    await settle()
    await each.answer()
    assert each.bodies == [[1, 2], [3]]
    assert not closing.done()
    await each.answer()
    await closing
    each.put()
    assert each.counters.presence_lost == 1, "too late"


async def test_at_the_end_nobody_waits_for_long(caplog: pytest.LogCaptureFixture) -> None:
    each = Backend()
    each.put(3)
    closing = asyncio.create_task(each.notifier.close())
    await settle()
    await each.advance(LAST_SECONDS + 0.1)
    await closing
    assert each.counters.presence_lost == 3
    assert "stopping: the backend has not been told 3 presence notices" in caplog.text
