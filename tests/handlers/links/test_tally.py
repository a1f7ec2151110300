"""What all workers observe, in one picture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handlers.links.tally import Tally
from handlers.protocol.names import Channel
from handlers.protocol.observed import Connected, Delivered, Disconnected, Mode, Subscribed
from tests.handlers.noting import NotingObserver

C, D = Channel("c"), Channel("d")
HERE, THERE = object(), object()


def on(count: int, channel: Channel = C, mode: Mode = "stream") -> Subscribed:
    return Subscribed(mode, channel, count)


def test_a_channels_number_is_that_of_all_workers() -> None:
    noting = NotingObserver()
    tally = Tally(noting)
    tally.take(HERE, (on(1), on(2)))
    tally.take(THERE, (on(1), on(1, mode="ws")))
    tally.take(HERE, (on(0),))
    tally.take(THERE, (on(0),))
    assert noting.take() == [on(1), on(2), on(3), on(1, mode="ws"), on(1), on(0)]


def test_a_worker_that_ends_takes_its_share_with_it() -> None:
    noting = NotingObserver()
    tally = Tally(noting)
    tally.take(HERE, (on(2), on(1, D), Connected("1-a", "ws", "::1", route="r"), Connected("1-b", "stream", "::1")))
    tally.take(THERE, (on(1), Connected("2-a", "ws", "::1")))
    tally.take(HERE, (Disconnected("1-b", "stream", (C,)),))
    noting.take()
    tally.strike(HERE)
    assert noting.take() == [on(1), on(0, D), Disconnected("1-a", "ws", route="r")]
    tally.strike(HERE)
    tally.strike(object())
    assert noting.take() == []


def test_deliveries_and_connections_are_passed_on() -> None:
    noting = NotingObserver()
    events = (Delivered(C, None, "ws-message", 2), Connected("1-a", "ws", "::1"), Disconnected("1-a", "ws", (C,)))
    Tally(noting).take(HERE, events)
    assert noting.take() == list(events)


STEPS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from((C, D)), st.integers(0, 3) | st.none()))


@given(STEPS)
def test_what_was_told_last_is_always_the_sum(steps: list[tuple[int, Channel, int | None]]) -> None:
    noting = NotingObserver()
    tally = Tally(noting)
    shares: dict[int, dict[Channel, int]] = {}
    told = {C: 0, D: 0}
    for worker, channel, count in steps:
        if count is None:
            tally.strike(worker)
            shares.pop(worker, None)
        else:
            tally.take(worker, (on(count, channel),))
            shares.setdefault(worker, {})[channel] = count
        for event in noting.take():
            assert isinstance(event, Subscribed)
            assert event.subscribers != told[event.channel], "nothing is told that is no news"
            told[event.channel] = event.subscribers
        assert told == {each: sum(share.get(each, 0) for share in shares.values()) for each in (C, D)}
    assert not tally._totals or any(told.values())  # noqa: SLF001  # what is kept for nothing can't be seen outside
