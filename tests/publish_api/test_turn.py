"""Publications of one turn: one call of the sink, one answer each, and one publisher's failure is no other's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from handlers.errors import Busy, StorageError
from handlers.protocol.items import Item
from handlers.protocol.names import Channel
from publish_api.exchange import Exchange
from publish_api.plan import Planner
from publish_api.settings import PublishSettings
from publish_api.turn import Turn
from tests.support.publish_port import request
from tests.support.turns import settle

PLAN = Planner(PublishSettings(), has_metrics=False, is_hub=lambda path: False).plan(request(b""))


def item(name: str) -> Item:
    return Item(channel=Channel(name))


class Noted:
    """A connection that notes how often it was told."""

    def __init__(self) -> None:
        self.told = 0

    def go_on(self) -> None:
        self.told += 1


class Sink:
    """Notes its calls. Refuses what has an item on the channel `bad`; with `stores`, all has to be stored first."""

    def __init__(self, *, stores: bool = False, error: Exception | None = None) -> None:
        self.calls: list[list[str]] = []
        self.waiting: list[asyncio.Future[None]] = []
        self._stores = stores
        self._error = error or RuntimeError("bad")

    def publish(self, items: Sequence[Item]) -> asyncio.Future[None] | None:
        self.calls.append([each.channel for each in items])
        if "bad" in self.calls[-1]:
            raise self._error
        if not self._stores:
            return None
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]


def exchange(connection: Noted, *names: str) -> Exchange:
    made = Exchange(connection, PLAN)
    made.items = [item(name) for name in names]
    return made


def status_of(made: Exchange) -> int | None:
    return None if made.answer is None else made.answer.status


async def published(sink: Sink, *lists: Sequence[str], joins: bool = True) -> tuple[list[int | None], list[int]]:
    """Publish on a connection each; return the statuses, and how often each connection was told."""
    turn = Turn(sink, joins=joins)
    exchanges = [exchange(Noted(), *names) for names in lists]
    for each in exchanges:
        turn.add(each)
    assert sink.calls == []
    await settle()
    connections = [each.connection for each in exchanges]
    assert all(isinstance(each, Noted) for each in connections)
    return [status_of(each) for each in exchanges], [each.told for each in connections if isinstance(each, Noted)]


async def test_what_comes_in_one_turn_is_one_call_in_the_order_of_coming() -> None:
    sink = Sink()
    assert await published(sink, ["a", "b"], [], ["c"]) == ([200, 200, 200], [1, 1, 1])
    assert sink.calls == [["a", "b", "c"]]


async def test_a_connection_is_told_once_for_all_its_requests() -> None:
    turn, connection = Turn(Sink(), joins=True), Noted()
    for name in "abc":
        turn.add(exchange(connection, name))
    await settle()
    assert connection.told == 1


async def test_turns_are_apart() -> None:
    sink, connection = Sink(), Noted()
    turn = Turn(sink, joins=True)
    for name in "abc":
        turn.add(exchange(connection, name))
        await settle()
    assert sink.calls == [["a"], ["b"], ["c"]]


async def test_where_one_fails_the_others_do_not() -> None:
    sink = Sink()
    assert await published(sink, ["a"], ["bad"], ["c"]) == ([200, 500, 200], [1, 1, 1])
    assert sink.calls == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]


async def test_one_alone_is_not_tried_twice() -> None:
    sink = Sink()
    assert await published(sink, ["bad"]) == ([500], [1])
    assert sink.calls == [["bad"]]


async def test_where_there_is_no_room_there_is_none_for_anybody() -> None:
    sink = Sink(error=Busy(1))
    assert await published(sink, ["a"], ["bad"]) == ([503, 503], [1, 1])
    assert sink.calls == [["a", "bad"]]


async def test_what_is_answered_already_is_not_published() -> None:
    for others in ([], ["a"], ["a", "b"]):
        sink, connection = Sink(), Noted()
        turn = Turn(sink, joins=True)
        refused = exchange(connection, "refused")
        turn.add(refused)
        refused.answer = PLAN.answer
        for name in others:
            turn.add(exchange(Noted(), name))
        await settle()
        assert sink.calls == ([others] if others else [])


async def test_what_is_stored_first_is_not_joined_and_answered_when_it_is() -> None:
    sink = Sink(stores=True)
    turn = Turn(sink, joins=False)
    first, second, third = (exchange(Noted(), name) for name in "abc")
    for each in (first, second, third):
        turn.add(each)
    await settle()
    assert sink.calls == [["a"], ["b"], ["c"]]
    assert [status_of(each) for each in (first, second, third)] == [None, None, None]
    sink.waiting[1].set_exception(StorageError("disk full"))
    sink.waiting[0].set_result(None)
    sink.waiting[2].cancel()
    await settle()
    assert [status_of(each) for each in (first, second, third)] == [200, 500, 500]
    assert isinstance(first.connection, Noted)
    assert first.connection.told == 2


@pytest.mark.parametrize("joins", [False, True])
async def test_nothing_is_fine(joins: bool) -> None:
    assert await published(Sink(), [], joins=joins) == ([200], [1])
