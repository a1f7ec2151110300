"""Items on their way through the history: none overtakes, none comes twice, and what is not stored is not sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from handlers.errors import StorageError
from handlers.hub.bridge import Bridge
from handlers.protocol.items import Item
from handlers.protocol.names import ItemId
from tests.handlers.hub.bridging import bridged, finished, is_idle
from tests.handlers.hub.held_engine import HeldEngine
from tests.handlers.hub.hub_room import HubRoom, exact, update
from tests.handlers.room import message_item, stream_item
from tests.support.turns import settle


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine()


@pytest_asyncio.fixture
async def held(engine: HeldEngine) -> AsyncIterator[HubRoom]:
    """A room whose updates are stored when the test says so."""
    async with HubRoom(engine=engine) as room:
        yield room


def identified(content: bytes, item_id: str | None) -> Item:
    """An item for the streams of channel `a`."""
    return replace(stream_item("a", content), id=None if item_id is None else ItemId(item_id))


def noted(room: HubRoom) -> list[bytes]:
    """Note what streams on channel `a` get, in the place of a connection."""
    contents: list[bytes] = []
    deliver_all = room.edge.deliver_all

    def refuse(items: Sequence[Item]) -> int:
        raise AssertionError("no update may come from the hub's side: its item comes itself")

    def note_and_deliver(items: Sequence[Item]) -> list[int]:
        contents.extend(map(content_of, items))
        return deliver_all(items)

    room.edge.deliver_once = refuse  # type: ignore[method-assign]
    room.edge.deliver_all = note_and_deliver  # type: ignore[method-assign]
    return contents


async def test_neither_side_gets_an_item_before_it_is_stored(held: HubRoom, engine: HeldEngine) -> None:
    client, _ = await held.stream("a")
    [(subscriber, _)] = held.crowd(1, exact("a"), chunked=False)
    bridge = bridged(held)
    done = bridge.publish([stream_item("a", b"x")])
    assert done is not None
    await settle()
    assert not done.done()
    assert client.pending() == b""
    assert subscriber.written == []
    await engine.commit()
    await done
    assert await client.chunk() == b"x"
    assert len(subscriber.written) == 1
    assert is_idle(bridge)


async def test_p28_what_is_not_stored_reaches_nobody_and_may_be_published_again(
    held: HubRoom, engine: HeldEngine
) -> None:
    contents, bridge = noted(held), bridged(held)
    [(subscriber, _)] = held.crowd(1, exact("a"), chunked=False)
    for stores in (False, True):
        done = bridge.publish([identified(b"x", "1"), message_item("a", b"m")])
        assert done is not None
        await (engine.commit() if stores else engine.refuse())
        if stores:
            await done
        else:
            with pytest.raises(StorageError, match="the disk is full"):
                await done
            assert (contents, subscriber.written) == ([], [])
            assert is_idle(bridge)
    assert contents == [b"x", b"m"]
    assert len(subscriber.written) == 1
    assert held.counters.publications_duplicate == 0


async def test_of_items_of_which_one_is_not_stored_none_is_on_channels(held: HubRoom, engine: HeldEngine) -> None:
    contents, bridge = noted(held), bridged(held)
    done = bridge.publish([stream_item("a", b"1"), stream_item("a", b"2")])
    assert done is not None
    await engine.commit(1)
    await engine.refuse()
    with pytest.raises(StorageError):
        await done
    assert contents == []
    assert is_idle(bridge)


async def test_what_becomes_no_update_does_not_overtake_what_is_being_stored(held: HubRoom, engine: HeldEngine) -> None:
    contents, bridge = noted(held), bridged(held)
    first = bridge.publish([stream_item("a", b"1")])
    second = bridge.publish([message_item("a", b"2")])
    third = bridge.publish([stream_item("a", b"3")])
    assert contents == []
    await engine.commit(1)
    assert contents == [b"1", b"2"]
    await engine.commit()
    assert contents == [b"1", b"2", b"3"]
    assert all(done is not None and done.done() for done in (first, second, third))
    assert bridge.publish([message_item("a", b"4")]) is None
    assert contents[-1] == b"4"


async def test_what_waits_behind_something_that_fails_is_delivered_all_the_same(
    held: HubRoom, engine: HeldEngine
) -> None:
    contents, bridge = noted(held), bridged(held)
    failing = bridge.publish([stream_item("a", b"1")])
    behind = bridge.publish([message_item("a", b"2")])
    await engine.refuse()
    assert failing is not None
    assert behind is not None
    assert isinstance(failing.exception(), StorageError)
    await behind
    assert contents == [b"2"]


@pytest.mark.parametrize("stores", [True, False])
async def test_a_duplicate_of_what_is_being_stored_shares_its_fate(
    held: HubRoom, engine: HeldEngine, stores: bool
) -> None:
    contents, bridge = noted(held), bridged(held)
    waiting = [bridge.publish([identified(b"x", "1")]) for _ in range(3)]
    assert len(engine.appended) == 1
    await settle()
    assert contents == []
    await (engine.commit() if stores else engine.refuse())
    for done in waiting:
        assert done is not None
        assert isinstance(done.exception(), StorageError) is not stores
    assert contents == [b"x"] * stores
    assert held.counters.publications_duplicate == 2 * stores
    assert is_idle(bridge)


async def test_a_publisher_that_leaves_takes_nothing_with_it(held: HubRoom, engine: HeldEngine) -> None:
    contents, bridge = noted(held), bridged(held)
    done = bridge.publish([stream_item("a", b"x")])
    assert done is not None
    done.cancel()
    await engine.commit()
    assert contents == [b"x"]


async def test_a_fault_of_the_edge_is_told_to_the_publisher(held: HubRoom, engine: HeldEngine) -> None:
    bridge = bridged(held)
    fault = AssertionError("a bug")

    def fail(item: Item, told: object = None) -> int:
        raise fault

    held.edge.deliver = fail  # type: ignore[method-assign]
    done = bridge.publish([stream_item("a", b"x")])
    behind = bridge.publish([stream_item("a", b"y")])
    await engine.commit()
    assert done is not None
    assert behind is not None
    assert done.exception() is behind.exception() is fault
    assert is_idle(bridge)


STEPS = st.lists(
    st.one_of(
        st.lists(st.tuples(st.sampled_from([None, "1", "2"]), st.booleans()), min_size=1, max_size=3),
        st.sampled_from(["commit one", "commit", "refuse one", "refuse"]),
    ),
    max_size=25,
)


@given(steps=STEPS)
async def test_whatever_is_stored_and_when_channels_get_the_stored_in_order_and_no_id_twice(
    steps: list[list[tuple[str | None, bool]] | str],
) -> None:
    engine = HeldEngine()
    async with HubRoom(engine=engine) as room:
        contents, bridge = noted(room), bridged(room)
        sent = []
        for number, step in enumerate(steps):
            match step:
                case "commit one":
                    await engine.commit(1)
                case "commit":
                    await engine.commit()
                case "refuse one":
                    await engine.refuse(1)
                case "refuse":
                    await engine.refuse()
                case list():
                    items = [made(b"%d.%d" % (number, index), *each) for index, each in enumerate(step)]
                    sent.append((items, publish(bridge, items)))
                case _:
                    pass
        await engine.commit()
        succeeded = [items for items, succeeds in sent if succeeds()]
        expected, known = list[bytes](), set[ItemId]()
        for item in (each for items in succeeded for each in items):
            if item.id is None or item.id not in known:
                expected.append(content_of(item))
            if item.id is not None:
                known.add(item.id)
        assert contents == expected
        assert is_idle(bridge)


def made(content: bytes, item_id: str | None, is_update: bool) -> Item:
    """An item that becomes an update, or one that does not."""
    item = stream_item("a", content) if is_update else message_item("a", content)
    return replace(item, id=None if item_id is None else ItemId(item_id))


def content_of(item: Item) -> bytes:
    published = item.http_stream or item.ws_message
    assert published is not None
    return published.content


def publish(bridge: Bridge, items: list[Item]) -> Callable[[], bool]:
    """Publish, and return what says afterwards whether it has succeeded."""
    done = bridge.publish(items)
    return lambda: done is None or done.exception() is None


async def test_updates_and_items_of_one_commit_have_the_same_order_on_both_sides(
    held: HubRoom, engine: HeldEngine
) -> None:
    client, _ = await held.stream("a")
    [(subscriber, _)] = held.crowd(1, exact("a"), chunked=False)
    bridge = bridged(held)
    held.hub.publish(update("a", data="first", event_id="u1"))
    done = bridge.publish([stream_item("a", b"data: second\n\n")])
    held.hub.publish(update("a", data="third", event_id="u2"))
    await engine.commit()
    await finished(done)
    events = b"".join(subscriber.written).split(b"data: ")
    assert [event.partition(b"\n")[0] for event in events] == [b"id: u1", b"first", b"second", b"third"]
    assert await client.chunk() == b"id: u1\ndata: first\n\n"
    assert await client.chunk() == b"data: second\n\n"
    assert await client.chunk() == b"id: u2\ndata: third\n\n"
