"""What goes over a link: every message comes out as it went in, and anything else is refused as such."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol import link
from handlers.protocol.hold_id import HoldId
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.link import (
    Ack,
    Append,
    Ask,
    Bye,
    CallRoll,
    Committed,
    Counts,
    Down,
    Drain,
    Failed,
    Farewell,
    Find,
    Hello,
    Items,
    LinkError,
    Oldest,
    Page,
    Ping,
    Place,
    Read,
    Ready,
    Recover,
    Refused,
    Reload,
    Reloaded,
    Roll,
    Seen,
    Select,
    Selected,
    Stored,
    Told,
    Up,
    Welcome,
    encode_down,
    encode_subscription,
    encode_up,
    parse_down,
    parse_subscription,
    parse_up,
    read_stored,
    read_update,
    stored_rows,
    update_row,
)
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.update import ActiveSubscription, Presence, StoredUpdate, Update
from handlers.protocol.names import Channel, EventId, ItemId, SubscriberId, Topic
from handlers.protocol.observed import Subscribed
from handlers.protocol.survey import (
    ChannelRow,
    CloseConnection,
    ConnectionRow,
    CountChannel,
    FindConnections,
    Findings,
    Kind,
    ListChannels,
    ListConnections,
    RefreshConnection,
)

UPDATE = Update(topics=(Topic("a"), Topic("b")), id=EventId("1"), data="ü", private=True, type="t", retry=2**70)
STORED = (StoredUpdate(seq=7, update=UPDATE),)
ITEM = Item(
    channel=Channel("room"),
    id=ItemId("2"),
    prev_id=ItemId("1"),
    meta=(("a", "b"),),
    http_stream=HttpStreamFormat(content=b"\x00\xff"),
    http_response=HttpResponseFormat(code=404, reason=b"No", headers=((b"A", b"b"),), body=b"x"),
    ws_message=WsMessageFormat(action=Action.CLOSE, kind=MessageKind.BINARY, code=1000, content_filters=("f",)),
)

CONNECTION = ConnectionRow(HoldId(5, 2), "2-5", Kind.STREAM, "grip", "::1", "r", "http://a/", ("c",))

DOWN: tuple[Down, ...] = (
    Welcome(3, EventId("earliest")),
    Items(()),
    Items((ITEM, Item(channel=Channel("")))),
    Items((ITEM,), once=True),
    Committed(stored_rows(STORED)),
    Stored(1, 2),
    Refused(1, "no"),
    Refused(1, "busy", 5),
    Place(1, None),
    Place(1, 9),
    Selected(1, stored_rows(STORED), 9, True),
    Page(1, ()),
    Page(1, stored_rows(STORED)),
    Roll(1, ("x",), EventId("2")),
    Ask(1, ListConnections("c", Kind.WS, HoldId(5, 2), 7)),
    Ask(2, ListChannels()),
    Ask(3, CountChannel("c")),
    Ask(4, FindConnections(("a", "b"))),
    Ask(5, CloseConnection("a", 4000, "r")),
    Ask(6, RefreshConnection("a")),
    Recover(),
    Reload(),
    Drain(),
    Ping(),
    Farewell(),
)
UP: tuple[Up, ...] = (
    Hello(),
    Ready(),
    Failed("why"),
    Ack(5),
    Append(1, (update_row(UPDATE),)),
    Find(1, EventId("a")),
    Read(1, 2, 3, 4, True),
    Select(1, 2, 3, 4, ("a",), ("b",), False),
    Oldest(1),
    CallRoll(1),
    Reloaded(),
    Told(1, Findings()),
    Told(1, Findings((ChannelRow("c", 1, 2, 3),), (CONNECTION,), (4,))),
    Seen((Subscribed("ws", Channel("c"), 1),)),
    Counts({"requests": 3}),
    Bye(),
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
subscriptions = st.builds(
    ActiveSubscription,
    subscriber=texts.map(SubscriberId),
    matcher=st.builds(Matcher, st.sampled_from(MatcherKind), texts),
    payload=json_values,
)
updates = st.builds(
    Update,
    topics=st.lists(texts.map(Topic), max_size=3).map(tuple),
    id=texts.map(EventId),
    data=texts,
    private=st.booleans(),
    type=texts,
    retry=st.integers(min_value=0),
    presence=st.none() | st.builds(Presence, subscription=subscriptions, active=st.booleans()),
)


@pytest.mark.parametrize("message", DOWN, ids=repr)
def test_a_message_down_comes_out_as_it_went_in(message: Down) -> None:
    assert parse_down(encode_down(message)) == message


@pytest.mark.parametrize("message", UP, ids=repr)
def test_a_message_up_comes_out_as_it_went_in(message: Up) -> None:
    assert parse_up(encode_up(message)) == message


def test_names_of_items_may_be_any_bytes() -> None:
    content = HttpStreamFormat(content=b"x")
    odd = Item(channel=Channel("c\udcff"), id=ItemId("\udcfe"), prev_id=ItemId("a"), http_stream=content)
    message = Items((odd, Item(channel=Channel("\0c"), http_stream=content)), once=True)
    assert parse_down(encode_down(message)) == message


def test_every_kind_of_message_is_among_those() -> None:
    kinds = {kind for kind in vars(link).values() if isinstance(kind, type) and issubclass(kind, link.Message)}
    assert {type(message) for message in (*DOWN, *UP)} == kinds - {link.Message}


def test_updates_come_out_of_messages() -> None:
    assert Committed(stored_rows(STORED)).batch == STORED
    assert Page(1, stored_rows(STORED)).updates == STORED
    assert Selected(1, stored_rows(STORED), 7, False).updates == STORED
    assert Append(1, (update_row(UPDATE),)).updates == (UPDATE,)


def test_a_message_that_is_cut_is_none() -> None:
    whole = encode_down(DOWN[2])
    for size in range(len(whole)):
        with pytest.raises(LinkError):
            parse_down(whole[:size])
    with pytest.raises(LinkError):
        parse_down(whole + b"\x00")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    for parse in (parse_down, parse_up):
        with suppress(LinkError):
            assert isinstance(parse(data), link.Message)


def test_one_directions_message_is_none_of_the_other() -> None:
    with pytest.raises(LinkError):
        parse_up(encode_down(Welcome(1, EventId("x"))))
    with pytest.raises(LinkError):
        parse_down(encode_up(Hello()))


@given(st.lists(updates, max_size=3))
def test_whatever_is_in_an_update_it_comes_out_as_it_went_in(several: list[Update]) -> None:
    batch = tuple(StoredUpdate(seq=seq, update=update) for seq, update in enumerate(several))
    message = parse_down(encode_down(Committed(stored_rows(batch))))
    assert isinstance(message, Committed)
    assert message.batch == batch
    assert read_stored(stored_rows(batch)) == batch


@given(subscriptions)
def test_whatever_is_in_a_subscription_it_comes_out_as_it_went_in(subscription: ActiveSubscription) -> None:
    assert parse_subscription(encode_subscription(subscription)) == subscription


def test_a_payload_that_is_no_json_elsewhere_passes() -> None:
    matcher, payload = Matcher(MatcherKind.EXACT, "a"), [math.inf, "\ud800"]
    found = parse_subscription(
        encode_subscription(ActiveSubscription(subscriber=SubscriberId("s"), matcher=matcher, payload=payload))
    )
    assert found.payload == payload


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[1]", '["s","nosuch","v",null]', '["s","exact","v",null,1]', "[" * 99]
)
def test_a_subscription_of_somebody_elses_making_is_refused(text: str) -> None:
    with pytest.raises(LinkError):
        parse_subscription(text)


@pytest.mark.parametrize("changes", [{"retry": "x"}, {"presence": "["}, {"presence": "[true]"}, {"presence": "7"}])
def test_an_update_of_somebody_elses_making_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LinkError):
        read_update(update_row(UPDATE)._replace(**changes))


def test_text_that_is_not_unicode_cannot_be_sent() -> None:
    with pytest.raises(LinkError, match="cannot be sent"):
        encode_up(Append(1, (update_row(Update(topics=(Topic("\ud800"),), id=EventId("1"))),)))
    with pytest.raises(LinkError, match="cannot be sent"):
        encode_down(Items((Item(channel=Channel("\udfff")),)))


@pytest.mark.parametrize(
    "unspeakable",
    [
        Update(topics=(Topic("a"),), id=EventId("1"), retry=10**5000),
        Update(
            topics=(Topic("a"),),
            id=EventId("1"),
            presence=Presence(
                subscription=ActiveSubscription(
                    subscriber=SubscriberId("s"), matcher=Matcher(MatcherKind.EXACT, "a"), payload={1, 2}
                ),
                active=True,
            ),
        ),
    ],
    ids=["retry", "payload"],
)
def test_an_update_that_has_no_text_cannot_be_sent(unspeakable: Update) -> None:
    with pytest.raises(LinkError, match="cannot be sent"):
        update_row(unspeakable)
