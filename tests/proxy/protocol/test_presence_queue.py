"""When presence notices go out, in which batches, and when they are given up."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.names import Channel
from proxy.protocol.presence_notice import ChannelSubscribed, ChannelUnsubscribed, ConnectionEnded, Notice, Started
from proxy.protocol.presence_queue import FIRST_PAUSE, GivenUp, PresenceQueue, QueueLimits


def notice(number: int) -> Notice:
    return ConnectionEnded(at=0.0, id=str(number), kind="ws", channels=())


def comes(name: str) -> Notice:
    return ChannelSubscribed(at=0.0, channel=Channel(name))


def goes(name: str) -> Notice:
    return ChannelUnsubscribed(at=0.0, channel=Channel(name))


def queue_of(
    count: int, *, delay: float = 1.0, batch: int = 10, waiting: int = 100, retry_for: float = 4.0
) -> PresenceQueue:
    queue = PresenceQueue(QueueLimits(delay=delay, batch=batch, waiting=waiting, retry_for=retry_for))
    for number in range(1, count + 1):
        assert queue.put(notice(number), 0.0) == 0
    return queue


def numbers(queue: PresenceQueue, now: float) -> list[int]:
    return [each.seq for each in queue.take(now)]


def told(queue: PresenceQueue, now: float) -> list[str]:
    """Take a batch, and return its notices in short."""
    return [short(each) for each in queue.take(now)]


def short(each: Notice) -> str:
    match each:
        case ChannelSubscribed():
            return f"+{each.channel}"
        case ChannelUnsubscribed():
            return f"-{each.channel}"
        case ConnectionEnded():
            return each.id
        case _:
            return "started"


def test_notices_are_gathered_for_a_moment() -> None:
    queue = queue_of(0)
    assert queue.due == math.inf
    queue.put(notice(1), 5.0)
    queue.put(notice(2), 5.9)
    assert queue.due == 6.0
    assert numbers(queue, 5.9) == []
    assert numbers(queue, 6.0) == [1, 2]


def test_a_full_batch_need_not_wait() -> None:
    queue = queue_of(3, batch=3)
    assert queue.due == 0.0


def test_one_batch_is_under_way_at_a_time_and_the_next_follows_at_once() -> None:
    queue = queue_of(5, batch=2)
    assert numbers(queue, 1.0) == [1, 2]
    assert queue.due == math.inf
    assert numbers(queue, 9.0) == []
    queue.put(notice(6), 2.0)
    queue.sent(2.0)
    assert numbers(queue, 2.0) == [3, 4]
    queue.sent(2.0)
    assert numbers(queue, 2.0) == [5, 6]
    queue.sent(2.0)
    assert (len(queue), queue.due) == (0, math.inf)


def test_a_batch_that_fails_comes_again_later_and_later_and_is_given_up() -> None:
    queue = queue_of(2, batch=1)
    now, dues = 1.0, []
    while True:
        assert numbers(queue, now) == [1]
        given_up = queue.failed(now)
        dues.append(queue.due - now)
        now = queue.due
        if given_up is not None:
            break
    assert dues == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE], "nobody is asked faster for that"
    assert given_up == GivenUp(1, 0)
    assert numbers(queue, now) == [2], "the next one has its own time"
    assert queue.failed(now) is not None, "which is over before the next try"


def test_with_nothing_to_retry_for_it_is_tried_once() -> None:
    queue = queue_of(1, retry_for=0.0)
    assert numbers(queue, 1.0) == [1]
    assert queue.failed(1.0) == GivenUp(1, 0)
    assert len(queue) == 0


def test_what_there_is_no_room_for_is_refused_and_its_number_is_missing() -> None:
    queue = queue_of(3, waiting=3)
    assert queue.put(notice(4), 0.0) == 1
    assert numbers(queue, 1.0) == [2, 3, 4]
    queue.sent(1.0)
    assert queue.put(notice(5), 1.0) == 0
    assert numbers(queue, 2.0) == [5]


def test_at_the_end_nothing_waits_and_nothing_is_tried_again() -> None:
    queue = queue_of(2, batch=1)
    queue.put(comes("a"), 0.0)
    queue.hurry(0.5)
    assert numbers(queue, 0.5) == [1]
    assert queue.failed(0.5) == GivenUp(1, 0)
    assert numbers(queue, 0.5) == [2]
    queue.sent(0.5)
    assert told(queue, 0.5) == ["+a"]
    assert queue.failed(0.5) == GivenUp(1, 0)
    queue.put(notice(3), 0.6)
    assert queue.due == 0.6


def test_a_backend_that_keeps_up_hears_everything() -> None:
    queue = queue_of(0)
    for each in (comes("a"), goes("a"), comes("a")):
        queue.put(each, 0.0)
    assert told(queue, 1.0) == ["+a", "-a", "+a"]
    queue.put(goes("a"), 1.0)
    queue.put(comes("a"), 1.0)
    queue.sent(1.0)
    assert told(queue, 1.0) == ["-a", "+a"]
    assert queue.merged == 0


def test_a_backend_that_was_away_hears_what_is_so_now() -> None:
    queue = queue_of(1)
    assert told(queue, 1.0) == ["1"]
    for each in (comes("a"), comes("b"), goes("a"), notice(2)):
        queue.put(each, 1.0)
    queue.failed(1.0)
    assert queue.is_behind
    for each in (comes("c"), goes("c"), goes("b"), comes("b"), comes("d")):
        queue.put(each, 1.0)
    now = queue.due
    assert told(queue, now) == ["1"]
    queue.sent(now)
    assert [short(each) for each in queue.take(now)] == ["2", "+b", "+d"]
    queue.sent(now)
    assert (queue.merged, queue.is_behind) == (6, False)
    queue.put(goes("d"), now)
    queue.put(comes("d"), now)
    assert numbers(queue, now + 1) == [5, 6], "what was merged has had no numbers"


def test_channels_of_a_batch_that_is_given_up_are_told_later_and_ends_are_not() -> None:
    queue = queue_of(0, batch=4, retry_for=0.0)
    for each in (comes("a"), notice(1), comes("b"), goes("b"), comes("c"), notice(2)):
        queue.put(each, 0.0)
    assert told(queue, 0.0) == ["+a", "1", "+b", "-b"]
    assert queue.failed(0.0) == GivenUp(1, 3)
    now = queue.due
    assert now == FIRST_PAUSE
    # The backend may have heard all of it, so that what seems to cancel does not.
    queue.put(goes("a"), 0.0)
    queue.put(comes("c"), 0.0)
    assert [(each.seq, short(each)) for each in queue.take(now)] == [(5, "2"), (6, "-b"), (7, "-a"), (8, "+c")]


def test_the_start_is_put_off_and_stays_the_first() -> None:
    queue = queue_of(0, batch=2, retry_for=0.0)
    for each in (Started(at=0.0), comes("a"), comes("b")):
        queue.put(each, 0.0)
    assert told(queue, 0.0) == ["started", "+a"]
    assert queue.failed(0.0) == GivenUp(0, 2)
    assert told(queue, queue.due) == ["started", "+b"]


def test_where_there_is_no_room_channels_take_that_of_ends() -> None:
    queue = queue_of(3, waiting=3)
    assert queue.put(comes("a"), 0.0) == 1
    assert queue.put(comes("b"), 0.0) == 1
    assert queue.put(notice(4), 0.0) == 1
    assert told(queue, 1.0) == ["3", "+a", "+b"]


def test_a_full_queue_is_merged_before_anything_is_dropped() -> None:
    queue = queue_of(0, waiting=3)
    for each in (comes("a"), goes("a"), comes("b"), comes("c")):
        assert queue.put(each, 0.0) == 0
    assert told(queue, 1.0) == ["+b", "+c"]


def test_what_follows_a_dropped_notice_cancels_nothing() -> None:
    queue = queue_of(0, waiting=1)
    assert queue.put(comes("a"), 0.0) == 0
    assert queue.put(comes("b"), 0.0) == 1
    assert queue.put(goes("a"), 0.0) == 0
    assert told(queue, 1.0) == ["-a"], "who knows"


class Listening:
    """A backend that takes the queue's batches or fails, and what it knows then; beside it, what is so."""

    def __init__(self, queue: PresenceQueue) -> None:
        self.queue = queue
        self.now = 0.0
        self.there: set[str] = set()
        self.heard: set[str] = set()
        self.lost = self.put_off = self.gaps = 0
        self.has_dropped_channels = False
        self._last = self._ends = 0
        self._under_way: tuple[Notice, ...] = ()

    def step(self, step: str) -> None:
        match step:
            case "end":
                self._ends += 1
                self.lost += self.queue.put(notice(self._ends), self.now)
            case "tick":
                self.now = min(self.queue.due, self.now + 1)
                self._under_way = self._under_way or tuple(self.queue.take(self.now))
            case "sent" | "failed" | "failed, but heard":
                if self._under_way:
                    self._answer(step)
            case _:
                self._turn(step)

    def _turn(self, channel: str) -> None:
        """Have a channel get its first subscriber, or lose its last."""
        self.there ^= {channel}
        lost = self.queue.put(comes(channel) if channel in self.there else goes(channel), self.now)
        self.has_dropped_channels |= bool(lost)
        self.lost += lost

    def _answer(self, how: str) -> None:
        if how != "failed":
            for each in self._under_way:
                self._hear(each)
        if how == "sent":
            self.queue.sent(self.now)
        elif given_up := self.queue.failed(self.now):
            self.lost += given_up.lost
            self.put_off += given_up.put_off
        self._under_way = ()

    def _hear(self, each: Notice) -> None:
        if each.seq <= self._last:
            return  # had before
        self.gaps += each.seq - self._last - 1
        self._last = each.seq
        if isinstance(each, ChannelSubscribed):
            self.heard.add(each.channel)
        elif isinstance(each, ChannelUnsubscribed):
            self.heard.discard(each.channel)


STEPS = st.lists(st.sampled_from(["a", "b", "c", "end", "sent", "failed", "failed, but heard", "tick"]), max_size=80)


@given(STEPS, st.integers(1, 4), st.integers(1, 8), st.sampled_from([0.0, 3.0]))
def test_a_backend_that_recovers_knows_who_is_there(
    steps: list[str], batch: int, waiting: int, retry_for: float
) -> None:
    queue = PresenceQueue(QueueLimits(delay=1.0, batch=batch, waiting=waiting, retry_for=retry_for))
    backend = Listening(queue)
    for step in steps:
        backend.step(step)
        assert len(queue) <= waiting
    while len(queue):
        backend.step("tick")
        backend.step("sent")
    assert backend.has_dropped_channels or backend.heard == backend.there
    assert backend.gaps <= backend.lost + backend.put_off, "what is merged leaves none"
