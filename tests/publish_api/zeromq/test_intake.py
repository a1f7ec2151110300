from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
import zmq

from handlers.counters import Counters
from handlers.errors import Busy, StorageError
from handlers.protocol.items import Item
from handlers.protocol.tnetstring import encode_tnetstring
from handlers.protocol.zmq_spec import parse_spec
from handlers.zeromq.binding import bind, open_socket
from publish_api.protocol.item_message import parse_pulled
from publish_api.zeromq.intake import Intake
from publish_api.zeromq.reader import SocketReader
from tests.support.clock import ManualClock
from tests.support.turns import settle, until


def message(content: str) -> bytes:
    return encode_tnetstring({"channel": "c", "http-stream": {"content": content}})


class Sink:
    """Keeps the calls it gets; answers each with the next of `outcomes`, and with None when there is none left.

    Calls with an item whose content is in `bad` raise StorageError.
    """

    def __init__(self) -> None:
        self.calls: list[Sequence[Item]] = []
        self.outcomes: list[Exception | asyncio.Future[None] | None] = []
        self.bad: set[str] = set()

    def publish(self, items: Sequence[Item]) -> asyncio.Future[None] | None:
        self.calls.append(items)
        if not self.bad.isdisjoint(contents_of(items)):
            raise StorageError("bad")
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @property
    def contents(self) -> list[str]:
        return [content for call in self.calls for content in contents_of(call)]


def contents_of(items: Sequence[Item]) -> list[str]:
    return [item.http_stream.content.decode() for item in items if item.http_stream is not None]


class Taking:
    """An intake on a PULL socket, and a PUSH socket on the other side."""

    def __init__(self, pull: zmq.Socket[bytes], push: zmq.Socket[bytes], max_message: int, joins: bool) -> None:
        self.push = push
        self.sink = Sink()
        self.clock = ManualClock()
        self.counters = Counters()
        self.intake = Intake(
            self.sink,
            name="pull",
            parse=parse_pulled,
            max_message=max_message,
            clock=self.clock,
            counters=self.counters,
            joins=joins,
        )
        self.reader = SocketReader(pull, self.intake.take)

    def send(self, *contents: str) -> None:
        for content in contents:
            self.push.send(message(content))

    def take(self, *contents: str) -> None:
        """Give it messages that have come together."""
        self.intake.take([[message(content)] for content in contents])


@asynccontextmanager
async def taking(
    *, max_message: int = 1000, high_water: int = 1000, begins: bool = True, joins: bool = True
) -> AsyncGenerator[Taking]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    pull = open_socket(context, zmq.PULL, high_water=high_water)
    push = open_socket(context, zmq.PUSH, high_water=high_water)
    push.connect(bind(pull, parse_spec("tcp://127.0.0.1:0")))
    each = Taking(pull, push, max_message, joins)
    if begins:
        each.intake.begin(each.reader)
    try:
        yield each
    finally:
        each.intake.close()
        each.reader.close()
        push.close()
        context.term()


async def test_items_that_came_together_are_published_together_in_their_order() -> None:
    async with taking(begins=False) as each:
        each.send(*map(str, range(50)))
        await until(lambda: each.reader.socket.getsockopt(zmq.EVENTS))
        each.intake.begin(each.reader)
        await until(lambda: len(each.sink.contents) == 50)
        assert each.sink.contents == list(map(str, range(50)))
        assert len(each.sink.calls) < 50
        assert each.counters.zeromq_items == 50


async def test_what_is_no_item_is_one_warning_and_the_rest_is_published(caplog: pytest.LogCaptureFixture) -> None:
    async with taking() as each:
        each.send("one")
        each.push.send(b"\xffgarbage\n")
        each.push.send_multipart([message("two parts"), b""])
        each.push.send(encode_tnetstring({"channel": "c", "ws-message": {"action": "\n" + "x" * 900}}))
        each.send("two")
        await until(lambda: each.sink.contents == ["one", "two"])
        assert (each.counters.zeromq_items, each.counters.zeromq_refused) == (2, 3)

    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:2] == [
        "IN pull: received message with invalid format: tnetstring parse failed: no length, skipping",
        "IN pull: received message with invalid format: parts != 1, skipping",
    ]
    assert len(lines[2]) < 600


@pytest.mark.parametrize("excess", [0, 1])
async def test_a_message_may_have_so_many_bytes_and_no_more(excess: int, caplog: pytest.LogCaptureFixture) -> None:
    async with taking(max_message=len(message("x" * 100)) - excess) as each:
        each.send("x" * 100, "y")
        await until(lambda: "y" in each.sink.contents)
        assert len(each.sink.contents) == 2 - excess
        assert each.counters.zeromq_refused == excess
    assert ("over zeromq.max_message" in caplog.text) == bool(excess)


async def test_while_there_is_no_room_items_are_kept_and_nothing_is_read() -> None:
    async with taking() as each:
        each.sink.outcomes = [Busy(3), Busy(1)]
        each.send("one")
        await until(lambda: len(each.sink.calls) == 1)
        each.send("two", "three")
        await settle()
        each.clock.advance(2.9)
        await settle()
        assert len(each.sink.calls) == 1
        each.clock.advance(0.1)
        assert [contents_of(call) for call in each.sink.calls] == [["one"], ["one"]]
        each.clock.advance(1)
        assert len(each.sink.calls) == 3
        await until(lambda: each.sink.contents == ["one", "one", "one", "two", "three"])
        assert (each.counters.zeromq_items, each.counters.zeromq_failed) == (3, 0)


async def test_a_publisher_is_held_while_there_is_no_room_and_loses_nothing() -> None:
    async with taking(max_message=20_000, high_water=5) as each:
        each.sink.outcomes = [Busy(1)]
        each.send("first")
        await until(lambda: each.sink.calls)
        sent: list[str] = []
        while each.push.getsockopt(zmq.EVENTS):
            sent.append(str(len(sent)).ljust(10_000))
            each.send(sent[-1])
            await asyncio.sleep(0)
        each.clock.advance(1)
        await until(lambda: len(each.sink.contents) == 2 + len(sent))
        assert each.sink.contents == ["first", "first", *sent]


async def test_while_items_are_being_stored_nothing_is_read() -> None:
    async with taking() as each:
        storing = asyncio.get_running_loop().create_future()
        each.sink.outcomes = [storing]
        each.send("one")
        await until(lambda: each.sink.calls)
        each.send("two")
        await settle()
        assert each.sink.contents == ["one"]
        storing.set_result(None)
        await until(lambda: each.sink.contents == ["one", "two"])


@pytest.mark.parametrize("is_late", [False, True])
async def test_items_that_cannot_be_delivered_are_counted_and_the_next_are_taken(
    is_late: bool, caplog: pytest.LogCaptureFixture
) -> None:
    failure = StorageError("disk full\n")
    async with taking() as each:
        storing = asyncio.get_running_loop().create_future()
        each.sink.outcomes = [storing if is_late else failure]
        each.send("lost")
        await until(lambda: each.sink.calls)
        if is_late:
            storing.set_exception(failure)
        each.send("taken")
        await until(lambda: each.sink.contents == ["lost", "taken"])
        assert each.counters.zeromq_failed == 1

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == r"IN pull: 1 items not delivered: StorageError('disk full\n')"


async def test_items_that_wait_for_room_when_it_ends_are_counted_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    async with taking() as each:
        each.sink.outcomes = [Busy(1)]
        each.send("one")
        await until(lambda: each.sink.calls)
    assert each.counters.zeromq_failed == 1
    assert "IN pull: 1 items not delivered: stopping" in caplog.text
    each.clock.advance(5)
    assert len(each.sink.calls) == 1


async def test_items_that_are_being_stored_when_it_ends_are_left_to_it() -> None:
    storing = asyncio.get_running_loop().create_future()
    late = asyncio.get_running_loop().create_future()
    async with taking() as each, taking() as other:
        each.sink.outcomes, other.sink.outcomes = [storing], [late]
        each.send("one")
        other.send("one")
        await until(lambda: each.sink.calls and other.sink.calls)
    storing.set_result(None)
    late.set_exception(Busy(1))
    await settle()
    assert (each.counters.zeromq_failed, other.counters.zeromq_failed) == (0, 1)
    assert other.clock.next_due() is None


# -- several publishers' items that came together -----------------------------------------------------------------


def calls(sink: Sink) -> list[list[str]]:
    return [contents_of(call) for call in sink.calls]


def futures(count: int) -> list[asyncio.Future[None]]:
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


async def test_one_that_fails_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    async with taking() as each:
        each.sink.bad = {"bad"}
        each.take("one", "bad", "two")
        assert calls(each.sink) == [["one", "bad", "two"], ["one"], ["bad"], ["two"]]
        assert (each.counters.zeromq_items, each.counters.zeromq_failed) == (3, 1)
        each.send("next")
        await until(lambda: "next" in each.sink.contents)
    assert caplog.messages == ["IN pull: 1 items not delivered: StorageError('bad')"]


async def test_for_those_that_came_together_there_is_room_together() -> None:
    async with taking() as each:
        each.sink.outcomes = [Busy(1)]
        each.take("one", "two")
        each.clock.advance(1)
        assert calls(each.sink) == [["one", "two"]] * 2


async def test_where_they_are_stored_each_goes_by_itself_and_nothing_is_read_until_all_are_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with taking(joins=False) as each:
        first, second, third = storing = futures(3)
        each.sink.outcomes = [*storing, None]
        each.take("one", "bad", "two", "three")
        assert calls(each.sink) == [["one"], ["bad"], ["two"], ["three"]]
        each.send("next")
        first.set_result(None)
        second.set_exception(StorageError("disk full"))
        await settle()
        assert len(each.sink.calls) == 4
        third.set_result(None)
        await until(lambda: each.sink.contents[4:] == ["next"])
        assert (each.counters.zeromq_items, each.counters.zeromq_failed) == (5, 1)
    assert caplog.messages == ["IN pull: 1 items not delivered: StorageError('disk full')"]


async def test_those_that_fail_alike_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with taking(joins=False) as each:
        first, second, third = storing = futures(3)
        each.sink.outcomes = [*storing]
        each.take("one", "two", "three")
        for future, why in ((first, "full"), (second, "gone"), (third, "full")):
            future.set_exception(StorageError(why))
        await until(lambda: each.counters.zeromq_failed == 3)
    assert caplog.messages == [
        "IN pull: 2 items not delivered: StorageError('full')",
        "IN pull: 1 items not delivered: StorageError('gone')",
    ]


async def test_behind_one_for_which_there_is_no_room_nothing_overtakes_it() -> None:
    async with taking(joins=False) as each:
        (storing,) = futures(1)
        each.sink.outcomes = [storing, Busy(1), None, None]
        each.take("one", "two", "three")
        assert calls(each.sink) == [["one"], ["two"]]
        each.clock.advance(1)
        assert len(each.sink.calls) == 2, "what is before it may have to be stored again"
        storing.set_result(None)
        await until(lambda: each.clock.next_due() is not None)
        each.clock.advance(1)
        assert calls(each.sink)[2:] == [["two"], ["three"]]
        assert each.counters.zeromq_failed == 0


async def test_one_for_which_there_was_no_room_after_all_comes_again_in_its_place() -> None:
    async with taking(joins=False) as each:
        first, second = futures(2)
        each.sink.outcomes = [first, second, Busy(3)]
        each.take("one", "two", "three")
        first.set_exception(Busy(2))
        second.set_result(None)
        await until(lambda: each.clock.next_due() is not None)
        each.clock.advance(2)
        assert calls(each.sink)[3:] == [["one"], ["three"]]
        each.send("next")
        await until(lambda: each.sink.contents[5:] == ["next"])


async def test_when_it_ends_what_is_being_stored_is_left_to_it_and_what_is_behind_is_lost() -> None:
    async with taking(joins=False) as each:
        (storing,) = futures(1)
        each.sink.outcomes = [storing, Busy(1)]
        each.take("one", "two", "three")
    assert each.counters.zeromq_failed == 2
    storing.set_result(None)
    await settle()
    assert (each.counters.zeromq_failed, each.clock.next_due()) == (2, None)
