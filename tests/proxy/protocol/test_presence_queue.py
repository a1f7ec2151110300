"""When presence notices go out, in which batches, and when they are given up."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.presence_notice import Notice, Started
from proxy.protocol.presence_queue import FIRST_PAUSE, PresenceQueue, QueueLimits


def notice(number: int) -> Notice:
    return Started(seq=number, at=0.0)


def queue_of(
    count: int, *, delay: float = 1.0, batch: int = 10, waiting: int = 100, retry_for: float = 4.0
) -> PresenceQueue:
    queue = PresenceQueue(QueueLimits(delay=delay, batch=batch, waiting=waiting, retry_for=retry_for))
    for number in range(count):
        assert queue.put(notice(number), 0.0)
    return queue


def numbers(queue: PresenceQueue, now: float) -> list[int]:
    return [each.seq for each in queue.take(now)]


def test_notices_are_gathered_for_a_moment() -> None:
    queue = queue_of(0)
    assert queue.due == math.inf
    queue.put(notice(0), 5.0)
    queue.put(notice(1), 5.9)
    assert queue.due == 6.0
    assert numbers(queue, 5.9) == []
    assert numbers(queue, 6.0) == [0, 1]


def test_a_full_batch_need_not_wait() -> None:
    queue = queue_of(3, batch=3)
    assert queue.due == 0.0


def test_one_batch_is_under_way_at_a_time_and_the_next_follows_at_once() -> None:
    queue = queue_of(5, batch=2)
    assert numbers(queue, 1.0) == [0, 1]
    assert queue.due == math.inf
    assert numbers(queue, 9.0) == []
    queue.put(notice(5), 2.0)
    queue.sent(2.0)
    assert numbers(queue, 2.0) == [2, 3]
    queue.sent(2.0)
    assert numbers(queue, 2.0) == [4, 5]
    queue.sent(2.0)
    assert (len(queue), queue.due) == (0, math.inf)


def test_a_batch_that_fails_comes_again_later_and_later_and_is_given_up() -> None:
    queue = queue_of(2, batch=1)
    now, dues = 1.0, []
    while True:
        assert numbers(queue, now) == [0]
        lost = queue.failed(now)
        if lost:
            break
        dues.append(queue.due - now)
        now = queue.due
    assert dues == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert lost == 1
    assert numbers(queue, now) == [1], "the next one has its own time"
    assert queue.failed(now) == 0


def test_with_nothing_to_retry_for_it_is_tried_once() -> None:
    queue = queue_of(1, retry_for=0.0)
    assert numbers(queue, 1.0) == [0]
    assert queue.failed(1.0) == 1
    assert len(queue) == 0


def test_what_there_is_no_room_for_is_refused() -> None:
    queue = queue_of(3, waiting=3)
    assert not queue.put(notice(3), 0.0)
    queue.take(1.0)
    queue.sent(1.0)
    assert queue.put(notice(4), 1.0)


def test_at_the_end_nothing_waits_and_nothing_is_tried_again() -> None:
    queue = queue_of(2, batch=1)
    queue.hurry(0.5)
    assert numbers(queue, 0.5) == [0]
    assert queue.failed(0.5) == 1
    assert numbers(queue, 0.5) == [1]
    queue.sent(0.5)
    queue.put(notice(2), 0.6)
    assert queue.due == 0.6


@given(st.lists(st.sampled_from(["put", "sent", "failed", "tick"]), max_size=60), st.integers(1, 4))
def test_each_is_told_in_order_or_given_up(steps: list[str], batch: int) -> None:
    queue = PresenceQueue(QueueLimits(delay=1.0, batch=batch, waiting=8, retry_for=3.0))
    now, number = 0.0, 0
    put: list[int] = []
    told: list[int] = []
    lost: list[int] = []
    under_way: list[int] = []
    for step in steps:
        match step:
            case "put":
                if queue.put(notice(number), now):
                    put.append(number)
                number += 1
            case "tick":
                now = min(queue.due, now + 1) if queue.due < math.inf else now + 1
                if not under_way:
                    under_way = numbers(queue, now)
            case _ if under_way:
                if step == "sent":
                    queue.sent(now)
                    told += under_way
                elif queue.failed(now):
                    lost += under_way
                under_way = []
            case _:
                pass
    assert told == sorted(told)
    assert sorted(told + lost) == put[: len(told) + len(lost)]
    assert len(queue) == len(put) - len(told) - len(lost)
