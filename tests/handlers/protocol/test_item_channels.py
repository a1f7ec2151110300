"""Row X02, at the level of one item. What it does on its channels is in tests/e2e/test_control.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import ItemError
from handlers.protocol.item_channels import MOST, spread, take_channels
from handlers.protocol.item_json import parse_item_channels, parse_publish
from handlers.protocol.item_tnet import parse_tnet_item_channels
from handlers.protocol.items import HttpStreamFormat, Item
from handlers.protocol.names import Channel, ItemId

FORMATS = {"http-stream": {"content": "x"}}


def item(channel: str, **fields: object) -> Item:
    return Item(channel=Channel(channel), http_stream=HttpStreamFormat(content=b"x"), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channels", "named"),
    [
        (["a"], ["a"]),
        (["b", "a"], ["b", "a"]),
        (["a", "b", "a"], ["a", "b"]),
        ([""], [""]),
        ([], []),
        (["ü", "*"], ["ü", "*"]),
        ([str(number) for number in range(MOST)], [str(number) for number in range(MOST)]),
    ],
)
def test_x02_an_item_is_for_each_of_its_channels_once(channels: list[str], named: list[str]) -> None:
    expected = tuple(item(name, id=ItemId("1")) for name in named)
    fields = {"channels": channels, "id": "1", "formats": FORMATS}
    assert parse_item_channels(fields) == expected
    assert parse_item_channels({**fields, "channel": None}) == expected
    encoded = [name.encode() for name in channels]
    in_bytes = {"channels": encoded, "id": b"1", "formats": {"http-stream": {"content": b"x"}}}
    assert parse_tnet_item_channels(in_bytes) == expected


def test_an_item_of_one_channel_is_read_as_ever() -> None:
    assert parse_item_channels({"channel": "a", "channels": None, "formats": FORMATS}) == (item("a"),)
    assert parse_tnet_item_channels({"channel": b"a", "http-stream": {"content": b"x"}}) == (item("a"),)
    assert take_channels({"channel": "a"}) is None
    assert take_channels([]) is None


def test_bytes_of_a_name_that_are_no_text_are_kept() -> None:
    read = parse_tnet_item_channels({"channels": [b"\xff", b"\xfe"], "http-stream": {"content": b"x"}})
    assert [each.channel for each in read] == ["\udcff", "\udcfe"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"channels": "a"}, "publish item object contains 'channels' with wrong type"),
        ({"channels": {}}, "publish item object contains 'channels' with wrong type"),
        ({"channels": 1}, "publish item object contains 'channels' with wrong type"),
        ({"channels": ["a", 1]}, "'channels' contains element with wrong type"),
        ({"channels": [None]}, "'channels' contains element with wrong type"),
        ({"channels": [["a"]]}, "'channels' contains element with wrong type"),
        ({"channels": ["a"], "channel": "b"}, "publish item object contains both 'channel' and 'channels'"),
        ({"channels": [], "channel": 1}, "publish item object contains both 'channel' and 'channels'"),
        ({"channels": ["a"] * (MOST + 1)}, "'channels' contains more than 1000 elements"),
        ({"channels": ["a"], "formats": None}, "no formats specified"),
        ({"channels": [], "formats": None}, "no formats specified"),
        ({"channels": ["a"], "id": 5}, "publish item object contains 'id' with wrong type"),
    ],
)
def test_x02_what_is_wrong_is_said(fields: dict[str, object], why: str) -> None:
    for parse in (parse_item_channels, parse_tnet_item_channels):
        with pytest.raises(ItemError) as caught:
            parse({"formats": FORMATS, **fields})
        assert caught.value.text == why


def test_x02_a_body_holds_such_items_or_is_one() -> None:
    stream = b'"http-stream":{"content":"x"}'
    assert parse_publish(b'{"channels":["a","b"],%s}' % stream) == (item("a"), item("b"))
    body = b'{"items":[{"channel":"z",%s},{"channels":["a","b"],%s},{"channel":"a",%s}]}' % (stream, stream, stream)
    assert [each.channel for each in parse_publish(body)] == ["z", "a", "b", "a"]
    with pytest.raises(ItemError, match=r"^Invalid format: 'channels' contains element with wrong type$"):
        parse_publish(b'{"channels":[1],%s}' % stream)


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), lambda inner: st.lists(inner, max_size=3)))
def test_any_channels_are_channels_or_the_error(channels: object) -> None:
    try:
        found = take_channels({"channels": channels})
    except ItemError:
        return
    assert (found is None) == (channels is None)
    if found is not None:
        assert [each.channel for each in spread(item(""), found[1])] == list(found[1])
