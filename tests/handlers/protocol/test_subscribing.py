"""From a backend's channels to subscriptions: prefix, limit, implicit channels and content filters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.filters import IN_TURN
from handlers.protocol.instruct import ChannelHold
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.subscribing import (
    CONTENT_FILTERS,
    Inquiry,
    Subscribing,
    Subscription,
    id_on,
    in_turn,
    last_seen,
    place_for,
    resumed,
    subscribing,
    suspended,
    was_asked,
    with_place,
)


def holds(*names: str) -> tuple[ChannelHold, ...]:
    return tuple(ChannelHold(name=name) for name in names)


def implicit(*names: str) -> tuple[Channel, ...]:
    return tuple(map(Channel, names))


def names_of(found: Subscribing) -> list[str]:
    return [subscription.channel for subscription in found.subscriptions]


@pytest.mark.parametrize(
    ("channels", "prefix", "subs", "limit", "subscribed", "refused"),
    [
        pytest.param(("a", "b"), "", (), 20, ["a", "b"], (), id="in order"),
        pytest.param(("a",), "pre-", (), 20, ["pre-a"], (), id="a prefix"),
        pytest.param(("a",), "pre-", ("b",), 20, ["pre-a", "b"], (), id="implicit ones get no prefix"),
        pytest.param(("a",), "", ("a", "b", "b"), 20, ["a", "b"], (), id="an implicit one named too"),
        pytest.param(("a", "b", "a"), "", (), 20, ["a", "b"], (), id="named twice"),
        pytest.param(("a", "b", "c"), "", (), 2, ["a", "b"], ("c",), id="one too many"),
        pytest.param(("a", "b", "c", "a", "c"), "p-", (), 2, ["p-a", "p-b"], ("p-c",), id="refused once"),
        pytest.param(("a", "b"), "", ("x", "y"), 1, ["a", "x", "y"], ("b",), id="implicit ones are not limited"),
        pytest.param(("a", "b"), "", ("b",), 1, ["a", "b"], ("b",), id="refused, and implicit all the same"),
        pytest.param((), "pre-", ("b",), 20, ["b"], (), id="implicit ones alone"),
        pytest.param((), "", (), 20, [], (), id="none"),
    ],
)
def test_channels_become_subscriptions(
    channels: tuple[str, ...],
    prefix: str,
    subs: tuple[str, ...],
    limit: int,
    subscribed: list[str],
    refused: tuple[str, ...],
) -> None:
    found = subscribing(holds(*channels), prefix=prefix, implicit=implicit(*subs), limit=limit)
    assert names_of(found) == subscribed
    assert found.refused == refused


@pytest.mark.parametrize(
    ("filters", "content_filters"),
    [
        ((), ()),
        (("skip-self", "require-sub"), ()),
        (("build-id",), ("build-id",)),
        (("var-subst", "skip-self", "build-id"), ("var-subst", "build-id")),
        (("http-modify", "http-check"), ("http-modify",)),
    ],
)
def test_only_filters_that_change_content_count_in_their_order(
    filters: tuple[str, ...], content_filters: tuple[str, ...]
) -> None:
    hold = ChannelHold(name="a", filters=filters)
    found = subscribing([hold], prefix="", implicit=(), limit=20)
    assert found.subscriptions == in_turn((Subscription(channel=Channel("a"), filters=filters),))
    assert found.subscriptions[0].content_filters == content_filters


def test_of_a_channel_named_twice_the_last_filters_count() -> None:
    channels = [ChannelHold(name="a", filters=(name,)) for name in ("build-id", "var-subst")]
    found = subscribing(channels, prefix="", implicit=implicit("a"), limit=1)
    assert found.subscriptions == (Subscription(channel=Channel("a"), filters=("var-subst",)),)
    assert found.refused == ()


@given(
    channels=st.lists(st.sampled_from("abcdef"), max_size=12),
    subs=st.lists(st.sampled_from("efgh"), max_size=4),
    limit=st.integers(min_value=1, max_value=8),
)
def test_nobody_sits_on_a_channel_twice_and_none_is_lost_unsaid(
    channels: list[str], subs: list[str], limit: int
) -> None:
    found = subscribing(holds(*channels), prefix="", implicit=implicit(*subs), limit=limit)
    names = names_of(found)
    assert len(set(names)) == len(names)
    assert set(names) | set(found.refused) == set(channels) | set(subs)
    assert len(set(names) - set(subs)) <= limit


def test_the_content_filters_are_those_of_the_reference() -> None:
    assert {"build-id", "var-subst", "http-modify"} == CONTENT_FILTERS


def test_a_backend_is_told_of_the_channels_that_have_an_order_by_its_own_names() -> None:
    places = (
        Subscription(channel=Channel("p-a"), prev_id=ItemId("1")),
        Subscription(channel=Channel("p-b")),
        Subscription(channel=Channel("p-p-c"), prev_id=ItemId("2")),
    )
    assert last_seen(places, prefix="p-") == (("a", "1"), ("p-c", "2"))
    assert last_seen(places[:1], prefix="") == (("p-a", "1"),)


def test_a_suspended_place_is_looked_at_for_every_item_and_comes_back_as_it_was() -> None:
    place = Subscription(channel=Channel("a"), filters=("skip-self",), prev_id=ItemId("1"))
    plain = Subscription(channel=Channel("a"))
    assert (plain.is_selective, suspended(plain).is_selective) == (False, True)
    assert suspended(place) != place
    assert resumed(suspended(place)) == place


@pytest.mark.parametrize(("channel", "is_asked"), [("p-a", True), ("p-b", False), ("a", True)])
def test_it_is_known_what_a_backend_was_asked_for(channel: str, *, is_asked: bool) -> None:
    place = Subscription(channel=Channel(channel), prev_id=ItemId("2"))
    assert was_asked(Inquiry(last_seen=(("a", ItemId("1")),)), place, prefix="p-") is is_asked


def test_a_place_is_changed_where_it_is() -> None:
    a, b, c = (Subscription(channel=Channel(name)) for name in "abc")
    changed = Subscription(channel=a.channel, prev_id=ItemId("1"))
    assert with_place((a, b), changed) == (changed, b)
    assert with_place((a, b), c) == (a, b, c)


@pytest.mark.parametrize(
    ("channel", "takes_wildcards", "place"),
    [
        ("abc", True, "abc"),
        ("abd", True, "ab*"),
        ("acd", True, "a*"),
        ("b", True, None),
        ("ab*", True, "ab*"),
        ("abd", False, None),
        ("ab*", False, "ab*"),
    ],
)
def test_x01_items_come_by_the_most_exact_place(channel: str, *, takes_wildcards: bool, place: str | None) -> None:
    places = [Subscription(channel=Channel(name)) for name in ("a*", "ab*", "abc", "*x")]
    found = place_for(Channel(channel), places, takes_wildcards=takes_wildcards)
    assert (found.channel if found is not None else None) == place


@pytest.mark.parametrize(("takes_wildcards", "prev_ids"), [(True, [None, "1"]), (False, ["1", "1"])])
def test_x01_a_place_for_many_channels_has_no_last_id(takes_wildcards: bool, prev_ids: list[str | None]) -> None:
    wanted = [ChannelHold(name=name, prev_id=ItemId("1")) for name in ("a*", "a")]
    found = subscribing(wanted, prefix="p-", implicit=(), limit=9, takes_wildcards=takes_wildcards)
    assert [each.prev_id for each in found.subscriptions] == prev_ids


def test_a_filter_to_ask_puts_all_places_of_a_session_in_turn() -> None:
    plain = Subscription(channel=Channel("a"), filters=("skip-self",), prev_id=ItemId("1"))
    asking = Subscription(channel=Channel("b"), filters=("http-check",))
    assert in_turn((plain,)) == (plain,)
    marked = in_turn((plain, asking))
    assert [each.filters for each in marked] == [("skip-self", IN_TURN), ("http-check", IN_TURN)]
    assert marked[0].prev_id == "1"
    assert in_turn(marked) == marked
    assert all(each.is_selective for each in marked)
    assert resumed(suspended(marked[0])) == marked[0]


def test_a_hold_with_a_filter_to_ask_is_in_turn() -> None:
    channels = [ChannelHold(name="a"), ChannelHold(name="b", filters=("http-modify",))]
    found = subscribing(channels, prefix="", implicit=(Channel("c"),), limit=5)
    assert all(IN_TURN in each.filters for each in found.subscriptions)
    assert [each.content_filters for each in found.subscriptions] == [(), ("http-modify",), ()]


def test_the_id_on_a_channel_is_that_of_its_place() -> None:
    places = (Subscription(channel=Channel("a"), prev_id=ItemId("1")), Subscription(channel=Channel("b")))
    assert [id_on(places, name) for name in ("a", "b", "c")] == ["1", "", None]
