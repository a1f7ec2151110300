"""Items that go to whoever is on a channel, and on wildcard channels that cover it: each session gets each once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from handlers.channel_rows import ChannelRows
from handlers.protocol.items import HttpStreamFormat, Item
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.subscribing import Subscription
from handlers.settings import HoldSettings
from handlers.wildcards import KEPT, Wildcards
from tests.handlers.room import Room, message_item, response_item, stream_item

ON = HoldSettings(update_on_first_subscription=False, wildcard_subscriptions=True)


@pytest_asyncio.fixture
async def wide() -> AsyncIterator[Room]:
    """A room in which `*` stands for what follows."""
    async with Room(settings=ON) as room:
        yield room


async def test_x01_a_wildcard_gets_the_items_of_every_channel_that_begins_so(wide: Room) -> None:
    client, _ = await wide.stream("news-*")
    everything, _ = await wide.stream("*")
    plain, _ = await wide.stream("news-sport")
    assert wide.edge.deliver(stream_item("news-sport", b"sport")) == 3
    assert wide.edge.deliver(stream_item("news-", b"all")) == 2
    assert wide.edge.deliver(stream_item("news", b"else")) == 1
    assert [await client.chunk(), await client.chunk()] == [b"sport", b"all"]
    assert [await everything.chunk() for _ in range(3)] == [b"sport", b"all", b"else"]
    assert await plain.chunk() == b"sport"
    assert plain.pending() == client.pending() == b""


async def test_x01_off_the_star_is_a_character_like_any_other(room: Room) -> None:
    client, _ = await room.stream("news-*")
    assert room.edge.deliver(stream_item("news-sport", b"no")) == 0
    assert room.edge.deliver(stream_item("news-*", b"yes")) == 1
    assert await client.chunk() == b"yes"


async def test_on_it_is_a_channel_of_its_own_too(wide: Room) -> None:
    client, _ = await wide.stream("news-*")
    assert wide.edge.deliver(stream_item("news-*", b"once")) == 1
    assert await client.chunk() == b"once"
    assert client.pending() == b""


async def test_a_session_with_several_places_gets_an_item_once(wide: Room) -> None:
    client, _ = await wide.stream("a*", "abc", "*", "abc*")
    for number in range(3):
        assert wide.edge.deliver(stream_item("abc", b"%d" % number)) == 1
    assert wide.edge.deliver_all([stream_item("abc", b"3"), stream_item("abc", b"4")]) == [1, 1]
    assert [await client.chunk() for _ in range(3)] == [b"0", b"1", b"2"]
    assert await client.read_until(b"4\r\n") == b"1\r\n3\r\n1\r\n4\r\n"
    assert client.pending() == b""


async def test_every_kind_of_session_may_have_one(wide: Room) -> None:
    poller, _ = await wide.poll("a*")
    socket, _, _ = await wide.websocket("a*", prefix="")
    raw, _ = await wide.stream("a*", chunked=False)
    assert wide.edge.deliver(response_item("ab", b"body")) == 1
    assert wide.edge.deliver(message_item("ab", b"text")) == 1
    assert wide.edge.deliver(stream_item("ab", b"raw")) == 1
    assert (await poller.response()).body == b"body"
    assert (await socket.frame()).data == b"text"
    assert await raw.read_exactly(3) == b"raw"


async def test_the_most_exact_place_decides_which_filters_count(wide: Room) -> None:
    client, session = await wide.stream("a*", meta={"user": "me"})
    wide.edge.subscribe(session, replace(session.subscriptions[0], channel=Channel("ab"), filters=("skip-self",)))
    await wide.stream("ab", meta={"user": "me"})
    own = Item(channel=Channel("ab"), meta=(("sender", "me"),), http_stream=HttpStreamFormat(content=b"own"))
    assert wide.edge.deliver(own) == 1, "the other one, which has no filter"
    assert wide.edge.deliver(Item(channel=Channel("ac"), meta=own.meta, http_stream=own.http_stream)) == 1
    assert await client.chunk() == b"own"
    assert client.pending() == b""


async def test_who_leaves_a_place_has_the_others(wide: Room) -> None:
    client, session = await wide.stream("a*", "ab")
    other, _ = await wide.stream("ab")
    wide.edge.deliver(stream_item("ab", b"1"))
    wide.edge.unsubscribe(session, Channel("ab"))
    wide.edge.deliver(stream_item("ab", b"2"))
    wide.edge.unsubscribe(session, Channel("a*"))
    assert wide.edge.deliver(stream_item("ab", b"3")) == 1
    assert [await client.chunk(), await client.chunk()] == [b"1", b"2"]
    assert [await other.chunk() for _ in range(3)] == [b"1", b"2", b"3"]
    assert client.pending() == b""


async def test_an_id_seen_last_counts_where_its_channel_is_named(wide: Room) -> None:
    client, session, _ = await wide.linked_stream("ab", prev_id="1", polling=None)
    wide.edge.subscribe(session, replace(session.subscriptions[0], channel=Channel("a*"), prev_id=None))
    for number in (1, 2, 3):
        content = HttpStreamFormat(content=b"%d" % number)
        ids = ItemId(str(number)), ItemId(str(number - 1))
        wide.edge.deliver_all([Item(channel=Channel("ab"), id=ids[0], prev_id=ids[1], http_stream=content)])
    assert [await client.chunk(), await client.chunk()] == [b"2", b"3"]
    assert wide.counters.items_contained == 1


async def test_a_stream_that_asks_its_backend_gets_what_came_meanwhile(wide: Room) -> None:
    client, session, link = await wide.linked_stream("a*", "x")
    session.update()
    assert link.fetches == [()]
    wide.edge.deliver(stream_item("ab", b"meanwhile"))
    session.begin_part(session.subscriptions, {})
    session.hold_again(None, None)
    assert await client.chunk() == b"meanwhile"


async def test_require_sub_looks_at_wildcards_too(wide: Room) -> None:
    client, _ = await wide.stream("room", "vip-*", filters=("require-sub",))
    for wanted, content in (("vip-gold", b"yes"), ("admin", b"no"), ("vip-", b"yes")):
        meta = (("require_sub", wanted),)
        wide.edge.deliver(Item(channel=Channel("room"), meta=meta, http_stream=HttpStreamFormat(content=content)))
    assert [await client.chunk(), await client.chunk()] == [b"yes", b"yes"]
    assert client.pending() == b""


async def test_publications_are_counted_on_the_wildcard_too(wide: Room) -> None:
    _, session = await wide.stream("a*")
    await wide.stream("ab")
    before = wide.edge.published(session.subscriptions)
    wide.edge.deliver(stream_item("ab", b"x"))
    wide.edge.deliver(stream_item("ac", b"x"))
    assert wide.edge.published(session.subscriptions) == (before[0] + 2,)


async def test_nothing_is_kept_of_who_has_left(wide: Room) -> None:
    _, session = await wide.stream("a*", "ab")
    _, other = await wide.stream("ab")
    wide.edge.deliver(stream_item("ab", b"x"))
    session.leave()
    other.leave()
    places = wide.edge._places  # noqa: SLF001  # what is kept for nothing can't be seen outside
    assert not places.channels
    assert places._wildcards is not None  # noqa: SLF001
    assert not places._wildcards._joint  # noqa: SLF001
    assert not places._wildcards._index  # noqa: SLF001


def test_joint_rows_of_few_channels_are_kept() -> None:
    channels = {Channel(f"a{number}"): ChannelRows() for number in range(2 * KEPT)}
    wildcards = Wildcards(channels)
    channels[Channel("a*")] = ChannelRows()
    wildcards.changed(Channel("a*"), is_empty=False)
    first = wildcards.find(Channel("a0"))
    assert wildcards.find(Channel("a0")) is first
    for number in range(1, KEPT + 1):
        wildcards.find(Channel(f"a{number}"))
    assert wildcards.find(Channel("a0")) is not first


def with_wildcard(*names: str) -> tuple[dict[Channel, ChannelRows], Wildcards]:
    channels = {Channel(name): ChannelRows() for name in names}
    wildcards = Wildcards(channels)
    for channel in channels:
        wildcards.changed(channel, is_empty=False)
    return channels, wildcards


def test_joint_rows_outlast_who_comes_and_goes_elsewhere() -> None:
    _, wildcards = with_wildcard("a*", "ab", "b", "b*")
    first = wildcards.find(Channel("ab"))
    for elsewhere in ("b", "b*", "ac"):
        wildcards.changed(Channel(elsewhere), is_empty=True)
    assert wildcards.find(Channel("ab")) is first
    for here in ("ab", "a*"):
        before = wildcards.find(Channel("ab"))
        wildcards.changed(Channel(here), is_empty=False)
        assert wildcards.find(Channel("ab")) is not before


def test_a_row_that_an_item_has_nothing_for_is_not_joined() -> None:
    channels, wildcards = with_wildcard("a*", "ab")
    joint = wildcards.find(Channel("ab"))
    assert joint is not None
    assert not joint.responses.members
    # Who is put there now, behind our back, is seen in a row that is joined only now.
    place = Subscription(channel=Channel("a*"))
    channels[Channel("a*")].chunked.add("somebody", place)  # type: ignore[arg-type]  # only its identity counts
    channels[Channel("a*")].responses.add("somebody", place)  # type: ignore[arg-type]
    assert len(joint.chunked.members) == 1
    assert not joint.responses.members


NAMES = st.text(alphabet="ab*", min_size=1, max_size=3)


@given(st.lists(st.lists(NAMES, max_size=3), max_size=5), st.lists(NAMES, max_size=6))
def test_who_gets_what_is_what_a_look_at_each_session_would_find(
    sessions: list[list[str]], published: list[str]
) -> None:
    channels: dict[Channel, ChannelRows] = {}
    wildcards = Wildcards(channels)
    for number, names in enumerate(sessions):
        for name in names:
            rows = channels.setdefault(Channel(name), ChannelRows())
            rows.chunked.add(number, Subscription(channel=Channel(name)))  # type: ignore[arg-type]  # only its identity counts
            wildcards.changed(Channel(name), is_empty=False)
    for channel in published:
        found = wildcards.find(Channel(channel))
        members = {} if found is None else found.chunked.members
        got: dict[object, str] = {number: place.channel for number, place in members.items()}
        model: dict[object, str] = {}
        for number, names in enumerate(sessions):
            fitting = [
                name for name in names if name == channel or (name.endswith("*") and channel.startswith(name[:-1]))
            ]
            if fitting:
                model[number] = channel if channel in fitting else max(fitting, key=len)
        assert got == model
