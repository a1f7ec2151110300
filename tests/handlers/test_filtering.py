"""The look at each session of a row: who is chosen, and with what (more, end to end, in `test_edge_filters`)."""

from __future__ import annotations

import logging

import pytest

from handlers.channel_rows import Row
from handlers.filtering import Filtering, Told
from handlers.protocol.items import HttpStreamFormat, Item
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Subscription
from handlers.session import Session
from handlers.stream import StreamSession
from tests.handlers.room import Room

CONTENT = b"hello %(name)s"


def always(session: Session, subscription: Subscription, item: Item, told: Told) -> bool:
    return True


def never(session: Session, subscription: Subscription, item: Item, told: Told) -> bool:
    return False


def item(**meta: str) -> Item:
    return Item(channel=Channel("a"), meta=tuple(meta.items()), http_stream=HttpStreamFormat(content=CONTENT))


async def row_of_streams(room: Room, *filters: str) -> tuple[Row[StreamSession], StreamSession, StreamSession]:
    """Return a row with a plain session and one with filters."""
    row: Row[StreamSession] = Row()
    _, plain = await room.stream("a")
    _, filtering = await room.stream("a", filters=filters, meta={"user": "ann", "name": "Ann"})
    for session in (plain, filtering):
        row.add(session, session.subscriptions[0])
    return row, plain, filtering


async def test_a_row_without_filters_is_walked_as_it_stands(room: Room) -> None:
    row, *_ = await row_of_streams(room, "nope")
    chosen, changed = Filtering(counters=room.counters, is_due=never, room=room.edge).receivers(
        item(), None, row, None, CONTENT
    )
    assert chosen is row.walk()
    assert changed == []


async def test_those_whose_filters_drop_the_item_are_left_out(room: Room) -> None:
    row, plain, filtering = await row_of_streams(room, "skip-self")
    look = Filtering(counters=room.counters, is_due=always, room=room.edge)
    assert look.receivers(item(sender="ann"), None, row, None, CONTENT) == ((plain,), [])
    assert look.receivers(item(sender="bob"), None, row, None, CONTENT) == ((plain, filtering), [])
    assert room.counters.deliveries_filtered == 1


async def test_those_whose_filters_change_the_content_have_their_own(room: Room) -> None:
    row, plain, filtering = await row_of_streams(room, "var-subst")
    look = Filtering(counters=room.counters, is_due=always, room=room.edge)
    assert look.receivers(item(), None, row, None, CONTENT) == ((plain,), [(filtering, b"hello Ann")])
    assert look.receivers(item(), None, row, None, None) == ((plain, filtering), []), "nothing to change"


async def test_a_filter_that_cannot_be_applied_costs_one_session_the_item(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    row, plain, _ = await row_of_streams(room, "build-id")
    look = Filtering(counters=room.counters, is_due=always, room=room.edge)
    with caplog.at_level(logging.WARNING, "holdfast.edge"):
        assert look.receivers(item(), None, row, None, CONTENT) == ((plain,), [])
    assert room.counters.filters_failed == 1
    assert "item not delivered: build-id: no meta 'id_format'" in caplog.text


async def test_who_has_had_one_of_several_items_is_passed_over_and_noted(room: Room) -> None:
    row, plain, filtering = await row_of_streams(room, "var-subst")
    look = Filtering(counters=room.counters, is_due=always, room=room.edge)
    told: set[Session] = {plain}
    assert look.receivers(item(), told, row, None, CONTENT) == ((), [(filtering, b"hello Ann")])
    assert told == {plain, filtering}


async def test_an_item_that_is_not_due_goes_to_nobody_who_wants_them_in_order(room: Room) -> None:
    row: Row[StreamSession] = Row()
    _, ordered, _ = await room.linked_stream("a", prev_id="1")
    row.add(ordered, ordered.subscriptions[0])
    assert Filtering(counters=room.counters, is_due=never, room=room.edge).receivers(
        item(), None, row, None, CONTENT
    ) == ((), [])
    assert Filtering(counters=room.counters, is_due=always, room=room.edge).receivers(
        item(), None, row, (), CONTENT
    ) == (
        (ordered,),
        [],
    )
