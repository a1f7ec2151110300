"""What comes to a worker: who gets it, in which order, and that it is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from handlers.engines.embedded_writer import LONGEST_SLICE
from handlers.links.parent_link import ACK_BYTES, ACK_SECONDS
from handlers.protocol.http1 import encode_chunk
from handlers.protocol.items import Item
from handlers.protocol.link import Ack, Counts, Drain, Farewell, Items, Ping, Recover, Reload, Reply, Stored, Up
from handlers.protocol.mercure.update import StoredUpdate
from tests.handlers.engines.updates import on, update
from tests.handlers.links.crew import crew_of
from tests.handlers.room import stream_item
from tests.support.turns import settle, until


async def test_items_are_delivered_in_their_order_however_they_came() -> None:
    async with crew_of(1) as crew:
        client, _ = await crew.workers[0].room.stream("room", "other")
        crew.fan.deliver_all([stream_item("room", b"1"), stream_item("room", b"2")])
        crew.fan.deliver_once([stream_item("room", b"3"), stream_item("other", b"not")])
        crew.fan.deliver_all([stream_item("other", b"4")])
        for expected in (b"1", b"2", b"3", b"4"):
            assert await client.chunk() == expected


async def test_a_burst_leaves_in_few_writes() -> None:
    async with crew_of(1) as crew:
        delivered: list[int] = []
        edge = crew.workers[0].room.edge
        deliver_all = edge.deliver_all

        def noted(items: Sequence[Item]) -> list[int]:
            delivered.append(len(items))
            return deliver_all(items)

        edge.deliver_all = noted  # type: ignore[method-assign]
        client, _ = await crew.workers[0].room.stream("room")
        for number in range(100):
            crew.fan.deliver_all([stream_item("room", b"%d" % number)])
        whole = b"".join(encode_chunk(b"%d" % number) for number in range(100))
        assert await client.read_exactly(len(whole)) == whole
        assert sum(delivered) == 100
        assert len(delivered) < 10


async def test_what_is_handled_is_acknowledged_at_once_when_it_is_much() -> None:
    async with crew_of(2) as crew:
        for _ in range(10):
            crew.fan.deliver_all([stream_item("nobody", b"x" * ACK_BYTES)])
        assert all(len(member.link.outstanding) >= 10 for member in crew.workers)
        await until(lambda: not any(len(member.link.outstanding) for member in crew.workers))


async def test_little_is_acknowledged_a_moment_later_in_one_message() -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        await crew.settle()
        client, _ = await member.room.stream("room")
        for number in (b"1", b"2"):
            crew.fan.deliver_all([stream_item("room", number)])
            assert await client.chunk() == number
        assert len(member.link.outstanding) == 2
        crew.clock.advance(ACK_SECONDS)
        await until(lambda: not len(member.link.outstanding))
        assert crew.clock.next_due() is None


async def test_orders_are_obeyed_behind_what_came_before() -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        client, _ = await member.room.stream("room")
        crew.fan.deliver_all([stream_item("room", b"x")])
        for order in (Reload(), Drain(), Recover()):
            crew.fan.tell(order)
        await until(lambda: member.drains)
        assert (member.reloads, member.drains) == (1, 1)
        assert await client.chunk() == b"x"
        assert not member.parent.farewell.is_set()
        crew.fan.tell(Farewell())
        await member.parent.farewell.wait()


async def test_a_delivery_that_fails_is_logged_and_acknowledged_and_the_next_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        client, _ = await member.room.stream("room")
        deliver_once = member.room.edge.deliver_once
        member.room.edge.deliver_once = None  # type: ignore[assignment,method-assign]
        crew.fan.deliver_once([stream_item("room", b"lost")])
        await until(lambda: "a message between processes was not handled" in caplog.text)
        member.room.edge.deliver_once = deliver_once  # type: ignore[method-assign]
        crew.fan.deliver_once([stream_item("room", b"next")])
        assert await client.chunk() == b"next"
        await crew.settle()


async def test_an_answer_comes_behind_what_the_parent_delivered_before_it() -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        seen: list[int] = []
        answered: list[int] = []
        number = member.parent.number(lambda answer: seen.append(member.hub.last_seq))
        crew.hub.publish(update(1))
        member.link.send(Stored(number, 1))
        crew.hub.publish(update(2))
        await until(lambda: seen)
        assert seen == [2], "what was delivered in the same turn is there, too"
        member.parent.number(lambda answer: answered.append(answer.number))
        assert member.parent.unanswered == 1
        member.parent.forget(number + 1)
        assert member.parent.unanswered == 0


@pytest.mark.parametrize("kind", ["items", "updates"])
async def test_a_burst_that_is_much_to_deliver_takes_several_turns_each_of_which_is_acknowledged(kind: str) -> None:
    """So a worker that has much to do still does everything else, and its parent sees that it makes progress."""
    count = 20 * LONGEST_SLICE
    async with crew_of(1) as crew:
        [member] = crew.workers
        await crew.settle()
        seen: list[int] = []
        acknowledged: list[int] = []  # how many were delivered when each acknowledgement went out
        send = member.parent.send

        def note(delivered: Sequence[object]) -> list[int]:
            seen.append(len(delivered))
            return [0] * len(delivered)

        def note_sent(message: Up) -> None:
            if isinstance(message, Ack):
                acknowledged.append(sum(seen))
            send(message)

        member.parent.send = note_sent  # type: ignore[method-assign]
        member.room.edge.deliver_all = note  # type: ignore[assignment,method-assign]
        member.engine._on_committed = note  # type: ignore[assignment]  # noqa: SLF001
        for number in range(count):
            if kind == "items":
                crew.fan.deliver_all([stream_item(str(number), b"x")])
            else:
                crew.fan.relay([StoredUpdate(seq=number, update=on(number, str(number)))])
        await until(lambda: sum(seen) == count)
        await crew.settle()
        assert max(seen) <= LONGEST_SLICE
        assert len({so_far for so_far in acknowledged if 0 < so_far < count}) > 2, "acknowledged on the way"


async def test_one_publication_that_is_much_to_deliver_takes_several_turns_too() -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        delivered: list[int] = []

        def note(items: Sequence[Item]) -> list[int]:
            delivered.append(len(items))
            return [0] * len(items)

        member.room.edge.deliver_all = note  # type: ignore[method-assign]
        items = [stream_item(str(number), b"x") for number in range(5 * LONGEST_SLICE)]
        assert crew.fan.deliver_all(items) == [1] * len(items)
        await until(lambda: sum(delivered) == len(items))
        assert max(delivered) <= LONGEST_SLICE


async def test_answers_and_acknowledgements_go_out_whatever_becomes_of_a_delivery(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        await crew.settle()
        answered: list[int] = []
        delivered: list[Sequence[StoredUpdate]] = []
        member.room.edge.deliver_all = None  # type: ignore[assignment,method-assign]
        member.engine._on_committed = delivered.append  # noqa: SLF001
        batch = [StoredUpdate(seq=1, update=update(1))]

        def fail(answer: Reply) -> None:
            raise RuntimeError("gone wrong")

        bad, good = member.parent.number(fail), member.parent.number(lambda answer: answered.append(answer.number))
        crew.fan.deliver_all([stream_item("room", b"lost")])
        crew.fan.relay(batch)
        for number in (bad, good):
            member.link.answer(Stored(number, 1))
        await until(lambda: answered)
        assert (answered, delivered) == ([good], [batch])
        assert f"an answer to request {bad} was not handled" in caplog.text
        await crew.settle()


async def test_an_order_is_obeyed_though_what_came_before_it_failed(caplog: pytest.LogCaptureFixture) -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        member.room.edge.deliver_all = None  # type: ignore[assignment,method-assign]
        crew.fan.deliver_all([stream_item("room", b"lost")])
        crew.fan.tell(Drain())
        await until(lambda: member.drains)
        assert "a message between processes was not handled" in caplog.text


async def test_a_ping_is_acknowledged_and_nothing_else() -> None:
    async with crew_of(1) as crew:
        [member] = crew.workers
        await crew.settle()
        member.link.send(Ping())
        assert len(member.link.outstanding) == 1
        await crew.settle()


async def test_what_comes_before_the_greeting_is_for_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with crew_of(1, greets=False) as crew:
        [member] = crew.workers
        member.parent.send(Counts({"requests": 1}))
        await until(lambda: member.link.counts)
        member.link.send(Items((stream_item("room", b"x"),)))
        member.link.send(Farewell())
        await member.parent.farewell.wait()
        await settle()
        assert caplog.records == []
