from __future__ import annotations

import json
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import ItemError
from handlers.protocol.item_json import FORMATS, encode_publish, parse_item, parse_publish
from handlers.protocol.items import (
    Action,
    HttpResponseFormat,
    HttpStreamFormat,
    Item,
    MessageKind,
    WsMessageFormat,
)
from handlers.protocol.names import Channel, ItemId

STREAM = {"http-stream": {"content": "x"}}
ITEM = Item(channel=Channel("c"), http_stream=HttpStreamFormat(content=b"x"))
# Deeper than the interpreter's recursion limit, whatever a test runner has set it to.
DEEP = 200_000


def refusal(body: bytes) -> str:
    with pytest.raises(ItemError) as caught:
        parse_publish(body)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "items"),
    [
        ({"items": []}, ()),
        ({"items": [{"channel": "c", "formats": STREAM}]}, (ITEM,)),
        ({"items": [{"channel": "c"} | STREAM] * 2}, (ITEM, ITEM)),
        ({"items": [], "channel": "c"}, ()),
        ({"channel": "c"} | STREAM, (ITEM,)),
        ({"channel": "c", "formats": STREAM}, (ITEM,)),
    ],
)
def test_a_body_has_a_list_of_items_or_is_one(body: object, items: tuple[Item, ...]) -> None:
    assert parse_publish(json.dumps(body).encode()) == items


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"formats": STREAM}, ITEM),
        (STREAM, ITEM),
        (STREAM | {"http-response": None}, ITEM),
        ({"formats": None} | STREAM, ITEM),
        ({"formats": STREAM, "http-response": 5}, ITEM),
        ({"formats": {"unknown": 5}}, Item(channel=Channel("c"))),
        (
            STREAM | {"id": "1", "prev-id": "0"},
            Item(channel=Channel("c"), id=ItemId("1"), prev_id=ItemId("0"), http_stream=ITEM.http_stream),
        ),
        (STREAM | {"id": None, "prev-id": None, "meta": None}, ITEM),
        (STREAM | {"id": "", "prev-id": ""}, ITEM),
        (STREAM | {"no-seq": True}, Item(channel=Channel("c"), no_seq=True, http_stream=ITEM.http_stream)),
        (STREAM | {"size": 7}, Item(channel=Channel("c"), size=7, http_stream=ITEM.http_stream)),
        (
            STREAM | {"meta": {"b": "1", "a": ""}},
            Item(channel=Channel("c"), meta=(("b", "1"), ("a", "")), http_stream=ITEM.http_stream),
        ),
        (
            {"formats": {"http-response": {"body": "r"}, "ws-message": {"content": "w"}}},
            Item(
                channel=Channel("c"),
                http_response=HttpResponseFormat(body=b"r"),
                ws_message=WsMessageFormat(content=b"w"),
            ),
        ),
    ],
)
def test_an_item_is_read(fields: dict[str, object], expected: Item) -> None:
    assert parse_item({"channel": "c"} | fields) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (5, "publish item object is not an object"),
        ({}, "publish item object does not contain 'channel'"),
        ({"channel": 5}, "publish item object contains 'channel' with wrong type"),
        ({"channel": None}, "publish item object contains 'channel' with wrong type"),
        ({"channel": "c", "id": 5} | STREAM, "publish item object contains 'id' with wrong type"),
        ({"channel": "c", "prev-id": 5} | STREAM, "publish item object contains 'prev-id' with wrong type"),
        ({"channel": "c", "formats": []}, "publish item object contains 'formats' with wrong type"),
        ({"channel": "c"}, "no formats specified"),
        ({"channel": "c", "formats": {}}, "no formats specified"),
        ({"channel": "c", "http-stream": None}, "no formats specified"),
        ({"channel": "c", "formats": {"http-stream": None}}, "'http-stream' is not an object"),
        ({"channel": "c", "meta": []} | STREAM, "publish item object contains 'meta' with wrong type"),
        ({"channel": "c", "meta": {"k": 5}} | STREAM, "'meta' contains 'k' with wrong type"),
        ({"channel": "c", "size": "x"} | STREAM, "publish item object contains 'size' with wrong type"),
        ({"channel": "c", "size": -1} | STREAM, "publish item object contains 'size' with invalid value"),
        ({"channel": "c", "no-seq": 1} | STREAM, "publish item object contains 'no-seq' with wrong type"),
        ({"channel": "c", "no-seq": None} | STREAM, "publish item object contains 'no-seq' with wrong type"),
        # Faults are told in the reference's order, not in the body's.
        ({"no-seq": 1, "size": "x", "meta": 5, "id": 5}, "publish item object does not contain 'channel'"),
    ],
)
def test_a_malformed_item_is_refused_with_its_text(value: object, reason: str) -> None:
    with pytest.raises(ItemError) as caught:
        parse_item(value)

    assert str(caught.value) == reason
    assert refusal(json.dumps({"items": [value]}).encode()) == f"Invalid format: {reason}"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Body is not valid JSON."),
        (b"{", "Body is not valid JSON."),
        (b"{} x", "Body is not valid JSON."),
        (b"5", "Body is not valid JSON."),
        (b"null", "Body is not valid JSON."),
        (b'"x"', "Body is not valid JSON."),
        (b"[]", "Invalid format."),
        (b"{}", "Invalid format: object does not contain 'items'"),
        (b'{"items": {}}', "Invalid format: object contains 'items' with wrong type"),
        (b'{"items": null}', "Invalid format: object contains 'items' with wrong type"),
        (b'{"items": [5]}', "Invalid format: publish item object is not an object"),
        (b'{"channel": 5}', "Invalid format: publish item object contains 'channel' with wrong type"),
        (b'{"items": [{"channel": "\xff"}]}', "Body is not valid JSON."),
        (b'{"items": [{"channel": "\\ud800"}]}', "Body is not valid JSON."),
        (b'{"items": [NaN]}', "Body is not valid JSON."),
        (b'{"items": [1e999]}', "Body is not valid JSON."),
        (b'{"items": [' + b"1" * 5000 + b"]}", "Body is not valid JSON."),
        (b"[" * DEEP, "Body is not valid JSON."),
        (b'{"items": ' + b"[" * DEEP + b"]" * DEEP + b"}", "Body is not valid JSON."),
    ],
    ids=range(19),
)
def test_a_malformed_body_is_refused_with_its_text(body: bytes, text: str) -> None:
    assert refusal(body) == text


def test_one_malformed_item_refuses_all() -> None:
    body = {"items": [{"channel": "c"} | STREAM, {"channel": "c", "http-stream": {}}]}

    assert refusal(json.dumps(body).encode()) == (
        "Invalid format: 'http-stream' does not contain 'content' or 'content-bin'"
    )


def test_a_byte_order_mark_is_read_over() -> None:
    assert parse_publish(b'\xef\xbb\xbf{"items": []}') == ()


def test_of_a_member_given_twice_the_last_counts() -> None:
    assert parse_publish(b'{"channel": "a", "channel": "c", "http-stream": {"content": "x"}}') == (ITEM,)


# -- both directions --------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
filled = texts.filter(bool)
filters = st.none() | st.lists(texts, max_size=3).map(tuple)
values = st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts, st.lists, max_leaves=4)
names = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=8).map(str.encode)
# No line ends or other controls: they cannot stand in a header.
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(str.encode)
headers = st.lists(st.tuples(names, lines), max_size=3).map(tuple)
no_content = st.sampled_from([Action.HINT, Action.CLOSE, Action.REFRESH])
responses = st.one_of(
    st.builds(HttpResponseFormat, action=no_content),
    st.builds(
        HttpResponseFormat,
        code=st.integers(200, 999),
        reason=st.none() | lines.filter(bool),
        headers=headers,
        body=st.binary(max_size=8),
        content_filters=filters,
    ),
    st.builds(
        HttpResponseFormat, body_patch=st.lists(values, max_size=3).map(msgspec.json.encode), content_filters=filters
    ),
)
streams = st.one_of(
    st.builds(HttpStreamFormat, action=no_content),
    st.builds(HttpStreamFormat, content=st.binary(max_size=8), content_filters=filters),
)
messages = st.one_of(
    st.builds(WsMessageFormat, action=st.sampled_from([Action.HINT, Action.REFRESH])),
    st.builds(WsMessageFormat, action=st.just(Action.CLOSE), code=st.none() | st.integers(0, 65535), reason=texts),
    st.builds(WsMessageFormat, content=texts.map(str.encode), content_filters=filters),
    st.builds(
        WsMessageFormat,
        kind=st.sampled_from([MessageKind.BINARY, MessageKind.PING, MessageKind.PONG]),
        content=st.binary(max_size=8),
        content_filters=filters,
    ),
)
items = st.builds(
    Item,
    channel=texts.map(Channel),
    id=st.none() | filled.map(ItemId),
    prev_id=st.none() | filled.map(ItemId),
    no_seq=st.booleans(),
    size=st.none() | st.integers(0, 2**31 - 1),
    meta=st.dictionaries(texts, texts, max_size=3).map(lambda meta: tuple(meta.items())),
    http_response=st.none() | responses,
    http_stream=streams,
    ws_message=st.none() | messages,
)


@given(st.lists(items, max_size=3).map(tuple))
def test_what_is_encoded_is_read_back(published: tuple[Item, ...]) -> None:
    assert parse_publish(encode_publish(published)) == published


def is_read_or_refused_with_a_reason(body: bytes) -> bool:
    try:
        parse_publish(body)
    except ItemError as error:
        return bool(str(error))
    return True


@given(st.binary())
def test_any_bytes_are_items_or_a_refusal(body: bytes) -> None:
    assert is_read_or_refused_with_a_reason(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
item_keys = ["channel", "id", "prev-id", "formats", "meta", "no-seq", "size"]
format_keys = [
    "action",
    "type",
    "code",
    "reason",
    "headers",
    "body",
    "body-bin",
    "body-patch",
    "content",
    "content-bin",
]
known_keys = st.sampled_from([*item_keys, *FORMATS, *format_keys, "content-filters"])
shapes = st.recursive(json_values, lambda inner: st.dictionaries(known_keys, inner, max_size=6), max_leaves=12)


@given(st.lists(st.dictionaries(known_keys, shapes, max_size=8), max_size=2))
def test_any_json_is_items_or_a_refusal(published: list[object]) -> None:
    assert is_read_or_refused_with_a_reason(json.dumps({"items": published}).encode())
