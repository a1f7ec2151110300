"""The rows of a channel: who stands in which, and which have to be asked about each item."""

from __future__ import annotations

import pytest

from handlers.channel_rows import ChannelRows, Row, row_of
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Subscription
from handlers.stream import StreamSession
from tests.handlers.room import Room

PLAIN = Subscription(channel=Channel("room"))
SELECTIVE = Subscription(channel=Channel("room"), filters=("skip-self",))


async def streams(room: Room, count: int) -> list[StreamSession]:
    """Return some streams, which are on no channel."""
    return [(await room.stream())[1] for _ in range(count)]


async def test_each_form_of_session_has_its_row(room: Room) -> None:
    rows = ChannelRows()
    _, chunked = await room.stream()
    _, raw = await room.stream(chunked=False)
    _, poll = await room.poll()
    _, plain, _ = await room.websocket()
    _, deflated, _ = await room.websocket(is_deflated=True)
    for session, row in (
        (chunked, rows.chunked),
        (raw, rows.raw),
        (poll, rows.responses),
        (plain, rows.messages),
        (deflated, rows.deflated),
    ):
        assert row_of(rows, session) is row
        assert rows.is_empty()
        row_of(rows, session).add(session, PLAIN)
        assert not rows.is_empty()
        assert list(row.members) == [session]
        row_of(rows, session).discard(session)
    assert rows.is_empty()


async def test_members_stand_in_the_order_they_came_in(room: Room) -> None:
    row: Row[StreamSession] = Row()
    first, second, third = await streams(room, 3)
    for session in (first, second, third):
        row.add(session, PLAIN)
    row.add(first, SELECTIVE)
    assert row.walk() == (first, second, third), "a new subscription keeps its place"
    row.discard(second)
    row.add(second, PLAIN)
    assert row.walk() == (first, third, second)
    assert row.members[first] == SELECTIVE


async def test_a_walk_never_changes_and_is_made_only_when_members_have(room: Room) -> None:
    row: Row[StreamSession] = Row()
    first, second = await streams(room, 2)
    row.add(first, PLAIN)
    begun = row.walk()
    row.add(first, SELECTIVE)
    row.discard(second)
    assert row.walk() is begun
    row.add(second, PLAIN)
    assert begun == (first,)
    assert row.walk() == (first, second)
    row.discard(first)
    row.discard(second)
    assert begun == (first,)
    assert row.walk() == ()


@pytest.mark.parametrize("name", ["skip-self", "skip-users", "require-sub", "var-subst"])
async def test_a_row_is_selective_as_long_as_somebodys_filters_have_an_effect(room: Room, name: str) -> None:
    row: Row[StreamSession] = Row()
    first, second = await streams(room, 2)
    selective = Subscription(channel=Channel("room"), filters=("build-id", name))
    steps: list[tuple[StreamSession, Subscription | None, bool]] = [
        (first, PLAIN, False),
        (second, selective, True),
        (first, selective, True),
        (first, selective, True),
        (first, PLAIN, True),
        (second, None, False),
        (second, None, False),
        (first, selective, True),
        (first, None, False),
    ]
    for session, subscription, is_selective in steps:
        if subscription is None:
            row.discard(session)
        else:
            row.add(session, subscription)
        assert row.is_selective is is_selective


async def test_filters_without_effect_make_no_row_selective(room: Room) -> None:
    row: Row[StreamSession] = Row()
    (session,) = await streams(room, 1)
    row.add(session, Subscription(channel=Channel("room"), filters=("Build-Id", "nonsense")))
    assert not row.is_selective


async def test_rows_that_are_joined_have_everybody_with_the_subscriptions_of_the_last(room: Room) -> None:
    first, second, third = await streams(room, 3)
    row: Row[StreamSession] = Row()
    other: Row[StreamSession] = Row()
    row.add(first, SELECTIVE)
    row.add(second, PLAIN)
    other.add(first, PLAIN)
    other.add(third, SELECTIVE)
    row.update(other)
    assert row.walk() == (first, second, third)
    assert row.members == {first: PLAIN, second: PLAIN, third: SELECTIVE}
    row.discard(third)
    assert not row.is_selective
    assert list(other.members) == [first, third]


async def test_sessions_are_counted_by_how_they_are_held(room: Room) -> None:
    rows = ChannelRows()
    for session in (
        (await room.stream())[1],
        (await room.stream(chunked=False))[1],
        (await room.poll())[1],
        (await room.websocket())[1],
        (await room.websocket(is_deflated=True))[1],
        (await room.websocket())[1],
    ):
        row_of(rows, session).add(session, PLAIN)
    assert (rows.count("stream"), rows.count("response"), rows.count("ws")) == (2, 1, 3)
