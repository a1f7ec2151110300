"""Which updates leave together."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.mercure.update import StoredUpdate, Update
from handlers.protocol.mercure.update_run import is_alike, split_runs
from handlers.protocol.names import EventId, Topic
from tests.handlers.hub.hub_room import exact, presence_of, update


def batch(*updates: Update) -> list[StoredUpdate]:
    return [StoredUpdate(seq=seq, update=each) for seq, each in enumerate(updates, start=1)]


def test_a_run_ends_where_topics_or_secrecy_change() -> None:
    published = [
        update("a"),
        update("a", data="y", kind="t"),
        update("a", is_private=True),
        update("a", "b"),
        update("b", "a"),
    ]
    runs = [[each.seq for each in run] for run in split_runs(batch(*published))]
    assert runs == [[1, 2], [3], [4], [5]]


def test_what_tells_of_subscriptions_is_alone() -> None:
    told = presence_of(exact("a"))
    assert not is_alike(told, told)
    assert [len(run) for run in split_runs(batch(told, told, update("a"), told))] == [1, 1, 1, 1]


def test_of_nothing_there_is_no_run() -> None:
    assert list(split_runs([])) == []


UPDATES = st.builds(
    Update,
    topics=st.lists(st.sampled_from("ab").map(Topic), min_size=1, max_size=2).map(tuple),
    id=st.text(max_size=1).map(EventId),
    private=st.booleans(),
    presence=st.sampled_from([None, None, presence_of(exact("a")).presence]),
)


@given(st.lists(UPDATES, max_size=20))
def test_runs_are_the_batch_in_its_order_and_as_long_as_they_can_be(updates: list[Update]) -> None:
    stored = batch(*updates)
    runs = list(split_runs(stored))
    assert [each for run in runs for each in run] == stored
    assert all(is_alike(run[0].update, each.update) for run in runs for each in run[1:])
    assert not any(is_alike(one[0].update, other[0].update) for one, other in pairwise(runs))
