"""The newest id of each channel, and how many channels are remembered."""

from __future__ import annotations

from handlers.protocol.last_ids import LastIds
from handlers.protocol.names import Channel, ItemId

A, B, C = Channel("a"), Channel("b"), Channel("c")


def test_a_channel_has_the_id_noted_last() -> None:
    ids = LastIds(limit=10)
    assert ids.get(A) is None
    ids.note(A, ItemId("1"))
    ids.note(A, ItemId("2"))
    ids.note(B, ItemId("9"))
    assert (ids.get(A), ids.get(B), len(ids)) == ("2", "9", 2)


def test_an_item_without_an_id_makes_the_last_one_unknown() -> None:
    ids = LastIds(limit=10)
    ids.note(A, ItemId("1"))
    ids.note(A, None)
    ids.note(B, None)
    assert (ids.get(A), len(ids)) == (None, 0)


def test_what_is_forgotten_is_unknown() -> None:
    ids = LastIds(limit=10)
    for channel in (A, B, C):
        ids.note(channel, ItemId("1"))
    ids.clear()
    assert len(ids) == 0
    assert [ids.get(channel) for channel in (A, B, C)] == [None] * 3


def test_it_is_known_what_came_after_a_moment() -> None:
    ids = LastIds(limit=10)
    ids.note(A, ItemId("1"))
    moment = ids.noted
    assert not ids.came_after(A, moment)
    ids.note(B, ItemId("1"))
    assert [ids.came_after(channel, moment) for channel in (A, B, C)] == [False, True, False]
    ids.clear()
    assert not ids.came_after(B, moment)


def test_the_channel_without_news_for_the_longest_makes_room() -> None:
    ids = LastIds(limit=2)
    ids.note(A, ItemId("1"))
    ids.note(B, ItemId("1"))
    ids.note(A, ItemId("2"))
    ids.note(C, ItemId("1"))
    assert [ids.get(channel) for channel in (A, B, C)] == ["2", None, "1"]
