"""What is taken and what is refused was recorded of Pushpin 1.36 (reference 6.2; rows P06 and P07)."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import ItemError
from handlers.protocol.items import HttpStreamFormat, Item
from handlers.protocol.names import Channel
from handlers.protocol.tnetstring import Encodable, encode_tnetstring
from publish_api.protocol.item_message import parse_item_message, parse_pulled, parse_subscribed

FIELDS: dict[str, Encodable] = {"channel": "c", "http-stream": {"content": "A"}}
ITEM = Item(channel=Channel("c"), http_stream=HttpStreamFormat(content=b"A"))
BARE = encode_tnetstring(FIELDS)
JSON = b"J" + json.dumps(FIELDS).encode()


@pytest.mark.parametrize("data", [BARE, b"T" + BARE, BARE + b"zz", b"0" + BARE, JSON, b"J " + JSON[1:], JSON + b"\n"])
def test_an_item_is_written_in_one_of_three_ways(data: bytes) -> None:
    assert parse_item_message(data) == (ITEM,)
    assert parse_pulled([data]) == (ITEM,)


def test_json_has_bytes_as_base64_and_tagged_netstrings_have_them_as_they_are() -> None:
    assert parse_item_message(b'J{"channel":"c","http-stream":{"content-bin":"QQ=="}}') == (ITEM,)
    binary = parse_item_message(encode_tnetstring({"channel": "c", "http-stream": {"content": b"\x00\xff"}}))
    assert binary == (Item(channel=Channel("c"), http_stream=HttpStreamFormat(content=b"\x00\xff")),)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "tnetstring parse failed: no length"),
        (b"T", "tnetstring parse failed: no length"),
        (JSON[1:], "tnetstring parse failed: no length"),
        (BARE[:-1], "tnetstring parse failed: ends early"),
        (b"J", "json parse failed"),
        (b"J{", "json parse failed"),
        (b"J\xff", "json parse failed"),
        (b"J" + b"[" * 100_000, "json parse failed"),
        (b"J[]", "publish item object is not an object"),
        (encode_tnetstring([]), "publish item object is not an object"),
        (encode_tnetstring("x"), "publish item object is not an object"),
        (encode_tnetstring({"items": [FIELDS]}), "publish item object does not contain 'channel'"),
        (b'J{"items":[]}', "publish item object does not contain 'channel'"),
        (encode_tnetstring({"channel": "c"}), "no formats specified"),
    ],
)
def test_what_is_no_item_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(ItemError) as caught:
        parse_pulled([data])
    assert str(caught.value) == why


MANY: dict[str, Encodable] = {"channels": ["a", "b"], "http-stream": {"content": "A"}}


@pytest.mark.parametrize("data", [encode_tnetstring(MANY), b"J" + json.dumps(MANY).encode()])
def test_x02_an_item_for_many_channels_is_one_for_each(data: bytes) -> None:
    assert [each.channel for each in parse_pulled([data])] == ["a", "b"]


@pytest.mark.parametrize(
    "data",
    [
        BARE,
        JSON,
        encode_tnetstring({"http-stream": {"content": "A"}}),
        encode_tnetstring(MANY),
        b"J" + json.dumps(MANY).encode(),
    ],
)
def test_the_channel_in_front_of_an_item_is_its_channel(data: bytes) -> None:
    for part, channel in ((b"other", "other"), (b"", ""), (b"\xff", "\udcff")):
        assert [each.channel for each in parse_subscribed([part, data])] == [channel]


@pytest.mark.parametrize("data", [b"J5", encode_tnetstring(5)])
def test_a_channel_in_front_of_no_item_makes_none(data: bytes) -> None:
    with pytest.raises(ItemError, match=r"^publish item object is not an object$"):
        parse_subscribed([b"c", data])


def test_a_message_of_another_number_of_parts_is_refused() -> None:
    for parts in ([b"a", BARE], [BARE, b""]):
        with pytest.raises(ItemError, match=r"^parts != 1$"):
            parse_pulled(parts)
    for parts in ([BARE], [b"c", BARE, b"x"]):
        with pytest.raises(ItemError, match=r"^parts != 2$"):
            parse_subscribed(parts)


@given(st.binary(max_size=80))
def test_any_bytes_are_an_item_or_the_error(data: bytes) -> None:
    with contextlib.suppress(ItemError):
        parse_item_message(data, channel=b"c")
