"""The short road through a publish body: what it takes, what it leaves, and that both roads read the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.errors import ItemError
from handlers.protocol.item_json import parse_in_full
from handlers.protocol.items import HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.plain_item import read_plain

STREAM = {"http-stream": {"content": "x"}}
ITEM = Item(channel=Channel("c"), http_stream=HttpStreamFormat(content=b"x"))


@pytest.mark.parametrize(
    ("body", "items"),
    [
        ({"items": []}, ()),
        ({"items": [{"channel": "c", "formats": STREAM}] * 2}, (ITEM, ITEM)),
        ({"items": [{"channel": "c"} | STREAM]}, (ITEM,)),
        ({"items": [], "channel": "c"}, ()),
        ({"channel": "c"} | STREAM, (ITEM,)),
        ({"channel": "c", "formats": STREAM, "id": "", "prev-id": None, "no-seq": False}, (ITEM,)),
        (
            {"channel": "c", "formats": STREAM, "ws-message": {"content": "not this"}, "id": "1", "prev-id": "0"},
            (Item(channel=Channel("c"), id=ItemId("1"), prev_id=ItemId("0"), http_stream=ITEM.http_stream),),
        ),
        (
            {
                "channel": "ü",
                "no-seq": True,
                "http-stream": {"content": "ü", "action": "send"},
                "http-response": {"body": "", "code": 404, "action": "send"},
                "ws-message": {"content": "\ud83d\ude00", "type": "text", "action": "send"},
            },
            (
                Item(
                    channel=Channel("ü"),
                    no_seq=True,
                    http_stream=HttpStreamFormat(content="ü".encode()),
                    http_response=HttpResponseFormat(code=404, body=b""),
                    ws_message=WsMessageFormat(kind=MessageKind.TEXT, content="\U0001f600".encode()),
                ),
            ),
        ),
    ],
)
def test_plain_items_are_read_as_on_the_long_road(body: object, items: tuple[Item, ...]) -> None:
    encoded = json.dumps(body).encode()
    assert read_plain(encoded) == parse_in_full(encoded) == items


@pytest.mark.parametrize(
    "fields",
    [
        {"meta": {}},
        {"size": 1},
        {"unknown": 1},
        {"formats": {}},
        {"formats": None} | STREAM,
        {"formats": {"unknown": 5}},
        {"http-stream": None},
        {"http-stream": {"content-bin": "eA=="}},
        {"http-stream": {"content": "x", "content-filters": []}},
        {"http-stream": {"content": "x", "action": None}},
        {"http-stream": {"action": "close"}},
        {"http-response": {"body": "x", "headers": []}},
        {"http-response": {"body": "x", "reason": "Fine"}},
        {"http-response": {"body": "x", "code": "200"}},
        {"http-response": {"body": "x", "code": 199}},
        {"ws-message": {"type": "ping"}},
        {"ws-message": {"content": "x", "type": "binary"}},
        {"id": 5} | STREAM,
        {"no-seq": None} | STREAM,
    ],
    ids=range(19),
)
def test_everything_else_is_left_to_the_long_road(fields: dict[str, Any]) -> None:
    assert read_plain(json.dumps({"items": [{"channel": "c"} | fields]}).encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"5",
        b'{"items": null}',
        b'{"items": [{}]}',
        b'{"items": []} x',
        b'{"channel": "\xff"}',
        b'\xef\xbb\xbf{"items": []}',
        b'{"items": ' + b"[" * 200_000,
    ],
    ids=range(11),
)
def test_what_is_malformed_is_left_to_the_long_road(body: bytes) -> None:
    assert read_plain(body) is None


words = st.sampled_from(["", "c", "send", "text", "ü", "\x00", "close"])
members = {
    "content": words,
    "body": words,
    "action": st.sampled_from(["send", "close"]),
    "type": st.just("text"),
    "code": st.sampled_from([200, 999, 199, 1000, 200.0, 2e2, True, "200", 10**30]),
}
odd = st.none() | st.booleans() | st.integers() | words | st.lists(st.integers(), max_size=1)
formats = st.fixed_dictionaries(
    {}, optional={name: values if name == "content" else values | odd for name, values in members.items()}
)
named: dict[str, st.SearchStrategy[Any]] = {"http-stream": formats, "http-response": formats, "ws-message": formats}
items = st.fixed_dictionaries(
    {},
    optional={
        "channel": words,
        "id": words | odd,
        "prev-id": words | st.none(),
        "no-seq": st.booleans(),
        "formats": st.fixed_dictionaries({}, optional=named),
    }
    | named,
)


@given(items | st.fixed_dictionaries({"items": st.lists(items, max_size=2)}, optional={"channel": words}))
@example({"channel": "c", "http-response": {"body": "x", "code": 200.0}})
def test_what_is_read_here_reads_the_same_on_the_long_road(body: dict[str, Any]) -> None:
    encoded = json.dumps(body).encode()
    read = read_plain(encoded)
    if read is not None:
        assert read == parse_in_full(encoded)


@given(st.binary(max_size=20), st.integers(0, 60), st.integers(0, 3))
def test_so_do_bodies_with_bytes_put_in(inserted: bytes, start: int, cut: int) -> None:
    whole = b'{"items":[{"channel":"c","id":"1","http-stream":{"content":"x"}}]}'
    body = whole[:start] + inserted + whole[start + cut :]
    read = read_plain(body)
    if read is None:
        return
    try:
        in_full: tuple[Item, ...] | None = parse_in_full(body)
    except ItemError:
        in_full = None
    assert read == in_full
