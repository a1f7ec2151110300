"""Where a subscriber begins, and its way through the history, page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.engine import Limits
from handlers.errors import HubRefusal, StorageError
from handlers.hub.settings import UnknownCursor
from handlers.hub.sieve import Sieve
from handlers.protocol.mercure.update import Update
from proxy.hub.history import PAGE, History, Reading, Start
from tests.handlers.hub.hub_room import HUB_PATH, HubRoom, exact, pattern, presence_of, update


@pytest.fixture
async def room(tmp_path: Path) -> AsyncGenerator[HubRoom]:
    """A room with a history that keeps four pages at most."""
    async with HubRoom(engine=EmbeddedEngine(tmp_path / "hub.db", limits=Limits(size=4 * PAGE))) as room:
        yield room
        await room.hub.close()


def history(room: HubRoom, on_unknown: UnknownCursor = "none") -> History:
    sieve = Sieve(matching=room.matching, hub_path=HUB_PATH)
    return History(hub=room.hub, sieve=sieve, counters=room.counters, on_unknown=on_unknown)


async def published(room: HubRoom, count: int, topic: str = "a", *, is_private: bool = False) -> None:
    """Publish so many on `topic`; ids go on from those before."""
    first = room.hub.last_seq + 1
    futures = [
        room.hub.publish(update(topic, event_id=str(each), is_private=is_private))
        for each in range(first, first + count)
    ]
    for future in futures:
        await future


def ids(page: tuple[Update, ...]) -> list[int]:
    return [int(each.id) for each in page]


# -- where it begins ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cursor", "told", "after"),
    [
        pytest.param(None, None, None, id="none"),
        pytest.param("", "earliest", None, id="H06"),
        pytest.param("earliest", "earliest", 0, id="H02"),
        pytest.param("2", "2", 2, id="H01"),
        pytest.param("3", "3", 3, id="the last"),
        pytest.param("#2", "#2", 2, id="of a poll"),
        pytest.param("#3", "#3", 3, id="of a poll, the last"),
        pytest.param("#4", "earliest", None, id="of a poll, beyond the end"),
        pytest.param("x", "earliest", None, id="H03"),
        pytest.param("\ud800", "earliest", None, id="H03 of no encoding"),
    ],
)
async def test_h01_h02_h03_h06_a_cursor_is_a_place(
    room: HubRoom, cursor: str | None, told: str | None, after: int | None
) -> None:
    await published(room, 3)
    start = await history(room).find(cursor)
    assert (start.told, start.after) == (told, after)


async def test_h08_an_id_that_is_there_twice_is_at_its_first_place(room: HubRoom) -> None:
    for event_id in ("x", "y", "x"):
        await room.hub.publish(update("a", event_id=event_id))
    assert (await history(room).find("x")).after == 1


async def test_h03_an_unknown_cursor_means_what_the_operator_says_and_is_counted(room: HubRoom) -> None:
    await published(room, 1)
    assert await history(room, "none").find("x") == Start(told=(await history(room).find("")).told)
    assert (await history(room, "all").find("x")).after == 0
    with pytest.raises(HubRefusal) as refused:
        await history(room, "error").find("x")
    assert (refused.value.status, refused.value.text) == (410, "Unknown last event id")
    assert room.counters.mercure_cursors_unknown == 3


async def test_a_history_that_cannot_be_searched_is_a_fault_of_ours(room: HubRoom) -> None:
    await room.hub.close()
    with pytest.raises(HubRefusal) as refused:
        await history(room).find("x")
    assert refused.value.status == 500
    assert room.counters.mercure_cursors_unknown == 0


# -- the way through it ---------------------------------------------------------------------------------------------


def reading(room: HubRoom, topic: str = "a", *, after: int = 0, grants: tuple[str, ...] = ()) -> Reading:
    subscriber = room.subscriber([exact(topic)], map(exact, grants))
    return history(room).reading(subscriber, after)


async def test_pages_follow_each_other_and_end_at_the_mark(room: HubRoom) -> None:
    await published(room, 2 * PAGE + 10)
    found = reading(room)
    assert found.left == 2 * PAGE + 10
    assert ids(await found.page(PAGE + 5)) == list(range(1, PAGE + 1))
    assert ids(await found.page(PAGE + 5)) == list(range(PAGE + 1, PAGE + 6))
    assert (found.position, found.left) == (PAGE + 5, PAGE + 5)
    assert room.counters.mercure_replayed == PAGE + 5


async def test_it_comes_close_and_then_takes_the_rest(room: HubRoom) -> None:
    """`until_close` stops where little is left; what is published from then on is not in `rest`."""
    await published(room, 2 * PAGE + 10)
    found = reading(room)
    close = [ids(page) async for page in found.until_close()]
    assert [len(page) for page in close] == [PAGE, PAGE]
    assert 0 < found.left <= PAGE
    mark = room.hub.last_seq
    await published(room, 5)
    assert [ids(page) async for page in found.rest(mark)] == [list(range(2 * PAGE + 1, mark + 1))]
    assert found.left == 5
    assert [page async for page in found.rest(mark)] == []


async def test_what_is_published_while_it_comes_close_is_read_too(room: HubRoom) -> None:
    await published(room, PAGE + 1)
    found, seen = reading(room), 0
    async for page in found.until_close():
        seen += len(page)
        if seen == PAGE:
            await published(room, PAGE)
    assert (seen, found.left) == (2 * PAGE, 1)


async def test_a_short_history_is_read_before_the_subscriber_joins(room: HubRoom) -> None:
    """How little a page of updates is, only reading it tells."""
    await published(room, PAGE)
    assert [len(page) async for page in reading(room).until_close()] == [PAGE]


async def test_behind_a_small_page_what_is_left_is_little(room: HubRoom) -> None:
    await published(room, 2 * PAGE)
    found = reading(room)
    assert [len(page) async for page in found.until_close()] == [PAGE]
    assert found.left == PAGE


async def test_behind_a_large_page_nobody_joins(room: HubRoom) -> None:
    for number in range(3):
        await room.hub.publish(update("a", event_id=f"large {number}", data="x" * 1_000_000))
    found = reading(room)
    assert [len(page) async for page in found.until_close()] == [1, 1, 1]
    assert found.left == 0


async def test_updates_about_subscriptions_are_read_only_by_who_may_see_them(room: HubRoom) -> None:
    await published(room, 1)
    await room.hub.publish(presence_of(exact("a"), active=True))
    await published(room, 1)
    assert len(await reading(room).page(room.hub.last_seq)) == 2
    everything = history(room).reading(room.subscriber([exact("*")], [exact("*")]), 0)
    assert len(await everything.page(room.hub.last_seq)) == 3


async def test_pages_without_anything_for_the_subscriber_are_empty_and_go_on(room: HubRoom) -> None:
    """So it is for those whose patterns may match any topic: what others miss is looked for in the history."""
    await published(room, PAGE, "b")
    await published(room, 1)
    found = history(room).reading(room.subscriber([pattern("/a"), exact("a")]), 0)
    assert await found.page(room.hub.last_seq) == ()
    assert ids(await found.page(room.hub.last_seq)) == [PAGE + 1]
    assert (found.left, room.counters.mercure_replayed) == (0, 1)


async def test_h13_grants_and_matchers_select(room: HubRoom) -> None:
    for topic, is_private in (("a", False), ("a", True), ("b", True), ("b", False)):
        await published(room, 1, topic, is_private=is_private)
    assert ids(await reading(room).page(4)) == [1]
    assert ids(await reading(room, grants=("a",)).page(4)) == [1, 2]
    assert ids(await reading(room, "b", grants=("a",)).page(4)) == [4]
    everything = history(room).reading(room.subscriber([pattern("*")], [exact("*")]), 1)
    assert ids(await everything.page(4)) == [2, 3, 4]


async def test_h17_a_reader_that_the_trimming_has_overtaken_is_not_given_a_gap(room: HubRoom) -> None:
    """It is cut, and comes back with a cursor that is unknown, by which it is told of the loss."""
    await published(room, 4 * PAGE)
    found = reading(room)
    assert ids(await found.page(room.hub.last_seq))[-1] == PAGE
    await published(room, PAGE)
    assert ids(await found.page(room.hub.last_seq))[-1] == 2 * PAGE
    await published(room, PAGE + 1)
    with pytest.raises(StorageError, match="trimmed past this reader"):
        await found.page(room.hub.last_seq)
    assert found.position == 2 * PAGE


async def test_h17_earliest_begins_with_whatever_is_left(room: HubRoom) -> None:
    await published(room, 4 * PAGE + 100)
    found = reading(room)
    rest = [each async for page in found.rest(room.hub.last_seq) for each in ids(page)]
    assert rest == list(range(101, 4 * PAGE + 101))


async def test_a_mark_of_which_nothing_is_kept_is_reached_all_the_same(room: HubRoom) -> None:
    """Else a subscriber whose whole rest was trimmed would read for ever."""
    await published(room, 1)
    found = reading(room)
    await published(room, 5 * PAGE)
    assert [page async for page in found.rest(10)] == [()]
    assert found.position == 10


async def test_a_history_that_cannot_be_read_says_so(room: HubRoom) -> None:
    await published(room, 1)
    found = reading(room)
    await room.hub.close()
    with pytest.raises(StorageError, match="closed"):
        await found.page(1)
    assert found.position == 0


async def test_who_asks_for_a_quiet_topic_is_not_read_the_others(room: HubRoom) -> None:
    await published(room, PAGE, "b")
    await published(room, 1)
    await published(room, PAGE, "b")
    found = reading(room)
    assert ids(await found.page(room.hub.last_seq)) == [PAGE + 1]
    assert (found.left, room.counters.mercure_replayed) == (0, 1)


async def test_h17_who_asks_for_a_quiet_topic_is_told_of_a_gap_as_well(room: HubRoom) -> None:
    await published(room, PAGE + 1, "b")
    found = reading(room, after=PAGE)
    await published(room, 4 * PAGE + 1, "b")
    with pytest.raises(StorageError, match="trimmed past this reader"):
        await found.page(room.hub.last_seq)
    assert found.position == PAGE
