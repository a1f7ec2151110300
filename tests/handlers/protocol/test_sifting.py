"""What is news of the items that came while a backend was asked."""

from __future__ import annotations

import pytest

from handlers.protocol.items import Item
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.sifting import sift
from handlers.protocol.subscribing import Subscription

ROOM = Channel("room")


def item(item_id: str | None, after: str | None = None, channel: Channel = ROOM) -> Item:
    return Item(
        channel=channel,
        id=None if item_id is None else ItemId(item_id),
        prev_id=None if after is None else ItemId(after),
    )


def on(prev_id: str | None, channel: Channel = ROOM) -> Subscription:
    return Subscription(channel=channel, prev_id=None if prev_id is None else ItemId(prev_id))


A_TO_D = (item("b", "a"), item("c", "b"), item("d", "c"))


@pytest.mark.parametrize(
    ("items", "prev_id", "news", "contained", "unsure"),
    [
        pytest.param(A_TO_D, "a", "bcd", 0, "", id="all follow"),
        pytest.param(A_TO_D, "b", "cd", 1, "", id="the first is contained"),
        pytest.param(A_TO_D, "d", "", 3, "", id="all are contained"),
        pytest.param(A_TO_D, "x", "", 3, "d", id="nobody knows"),
        pytest.param((), "x", "", 0, "", id="nothing came"),
        pytest.param(A_TO_D, None, "bcd", 0, "", id="no order"),
        pytest.param((item("b", "a"), item("d", "c")), "a", "b", 1, "d", id="a gap behind what follows"),
        pytest.param((item("b", "a"), item(None, "b"), item("e", "x")), "a", "b-e", 0, "", id="an end of order"),
        pytest.param((item("c", "b"), item("b", "a")), "a", "b", 1, "", id="out of order"),
    ],
)
def test_what_follows_is_news(
    items: tuple[Item, ...], prev_id: str | None, news: str, contained: int, unsure: str
) -> None:
    found = sift(items, (on(prev_id),))
    assert "".join(each.id or "-" for each in found.news) == news
    assert found.contained == contained
    assert "".join(each.id or "-" for each in found.unsure) == unsure


def test_channels_have_an_order_each_and_the_news_have_one_order() -> None:
    other, third = Channel("other"), Channel("third")
    items = (item("1", "0", other), item("b", "a"), item("2", "1", other), item("x", None, third))
    found = sift(items, (on("a"), on("1", other)))
    assert [each.id for each in found.news] == ["b", "2"]
    assert (found.contained, found.unsure) == (1, ())


@pytest.mark.parametrize(("takes_wildcards", "news"), [(True, ["1", "b", "2"]), (False, ["b"])])
def test_x01_what_comes_by_a_place_for_many_is_news(takes_wildcards: bool, news: list[str]) -> None:
    other = Channel("other")
    items = (item("1", "0", other), item("b", "a"), item("2", "0", other))
    found = sift(items, (on("a"), on(None, Channel("ot*"))), takes_wildcards=takes_wildcards)
    assert [each.id for each in found.news] == news
