"""Items as tagged netstrings hold them. Values and texts were recorded of Pushpin 1.36 where nothing else is said."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import ItemError
from handlers.protocol.item_json import encode_item, parse_item
from handlers.protocol.item_tnet import as_json, parse_tnet_item, read_plain
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel, ItemId

CHANNEL: dict[str, object] = {"channel": b"c"}
STREAM: dict[str, object] = {"http-stream": {"content": b"Z"}}
BAD = b"a\x00\xff\n"


def item(**fields: Any) -> Item:
    return Item(channel=Channel("c"), **fields)


def refusal(fields: object) -> str:
    with pytest.raises(ItemError) as caught:
        parse_tnet_item(fields)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": BAD}, HttpStreamFormat(content=BAD)),
        ({"content": b""}, HttpStreamFormat()),
        ({"content": b"plain", "content-bin": b"QUJD"}, HttpStreamFormat(content=b"plain")),
        ({"content": BAD, "content-bin": 5}, HttpStreamFormat(content=BAD)),
        ({"action": b"hint"}, HttpStreamFormat(action=Action.HINT)),
        ({"action": None, "content": b"A"}, HttpStreamFormat(content=b"A")),
        ({"content": b"A", "content-filters": [b"a"]}, HttpStreamFormat(content=b"A", content_filters=("a",))),
    ],
)
def test_a_stream_format_has_its_content_as_bytes(fields: dict[str, object], expected: HttpStreamFormat) -> None:
    for named in ({"formats": {"http-stream": fields}}, {"http-stream": fields}):
        assert parse_tnet_item(CHANNEL | named) == item(http_stream=expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"body": BAD}, HttpResponseFormat(body=BAD)),
        ({"body": b"plain", "body-bin": b"QUJD"}, HttpResponseFormat(body=b"plain")),
        ({"body": b"x", "code": b"201"}, HttpResponseFormat(code=201, body=b"x")),
        ({"body": b"x", "code": 203.0}, HttpResponseFormat(code=203, body=b"x")),
        (
            {"body": b"x", "code": 202, "reason": b"Fine", "headers": [[b"A", b"b"]]},
            HttpResponseFormat(code=202, reason=b"Fine", headers=((b"A", b"b"),), body=b"x"),
        ),
        ({"body": b"x", "headers": {"K": b"v"}}, HttpResponseFormat(headers=((b"K", b"v"),), body=b"x")),
        (
            {"body": b"x", "headers": [[b"A", b"\xff"]]},
            HttpResponseFormat(headers=((b"A", "\N{REPLACEMENT CHARACTER}".encode()),), body=b"x"),
        ),
        (
            {"body-patch": [{"op": b"add", "path": b"/a", "value": 1}]},
            HttpResponseFormat(body_patch=b'[{"op":"add","path":"/a","value":1}]'),
        ),
    ],
)
def test_a_response_format_has_its_body_as_bytes(fields: dict[str, object], expected: HttpResponseFormat) -> None:
    for named in ({"formats": {"http-response": fields}}, {"http-response": fields}):
        assert parse_tnet_item(CHANNEL | named) == item(http_response=expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": b"hey"}, WsMessageFormat(content=b"hey")),
        ({"content-bin": b"\x01\xff"}, WsMessageFormat(kind=MessageKind.BINARY, content=b"\x01\xff")),
        ({"content-bin": b"QUJD"}, WsMessageFormat(kind=MessageKind.BINARY, content=b"QUJD")),
        (
            {"content": b"t", "content-bin": b"\x01\xff"},
            WsMessageFormat(kind=MessageKind.BINARY, content=b"\x01\xff"),
        ),
        ({"type": b"text", "content-bin": b"abc"}, WsMessageFormat(content=b"abc")),
        ({"type": b"binary", "content": BAD}, WsMessageFormat(kind=MessageKind.BINARY, content=BAD)),
        ({"type": b"binary", "content": b"text"}, WsMessageFormat(kind=MessageKind.BINARY, content=b"text")),
        ({"type": b"ping"}, WsMessageFormat(kind=MessageKind.PING)),
        ({"type": b"pong", "content": BAD}, WsMessageFormat(kind=MessageKind.PONG, content=BAD)),
        ({"content": b"t", "content-bin": None}, WsMessageFormat(content=b"t")),
        (
            {"action": b"close", "code": 1001, "reason": b"off"},
            WsMessageFormat(action=Action.CLOSE, code=1001, reason="off"),
        ),
        ({"action": b"refresh"}, WsMessageFormat(action=Action.REFRESH)),
    ],
)
def test_a_message_format_has_both_kinds_of_content(fields: dict[str, object], expected: WsMessageFormat) -> None:
    for named in ({"formats": {"ws-message": fields}}, {"ws-message": fields}):
        assert parse_tnet_item(CHANNEL | named) == item(ws_message=expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"id": b"1"}, {"id": ItemId("1")}),
        ({"id": b"\xff"}, {"id": ItemId("\udcff")}),
        ({"id": b"\xff", "meta": {}}, {"id": ItemId("\udcff")}),
        ({"id": None}, {}),
        ({"id": b""}, {}),
        ({"prev-id": b"0"}, {"prev_id": ItemId("0")}),
        ({"meta": {"a": b"b"}}, {"meta": (("a", "b"),)}),
        ({"meta": None}, {}),
        ({"no-seq": True}, {"no_seq": True}),
        ({"size": 5}, {"size": 5}),
        ({"size": b"5"}, {"size": 5}),
        ({"unknown": [BAD, {"x": math.inf}]}, {}),
    ],
)
def test_the_other_members_are_those_of_json(fields: dict[str, object], expected: dict[str, object]) -> None:
    parsed = parse_tnet_item(CHANNEL | {"formats": STREAM} | fields)
    assert parsed == item(http_stream=HttpStreamFormat(content=b"Z"), **expected)


def test_formats_within_formats_count_and_those_beside_them_do_not() -> None:
    assert parse_tnet_item(CHANNEL | STREAM | {"formats": {"ws-message": {"content": b"w"}}}) == item(
        ws_message=WsMessageFormat(content=b"w")
    )
    assert parse_tnet_item(CHANNEL | STREAM | {"formats": None}) == item(http_stream=HttpStreamFormat(content=b"Z"))
    assert parse_tnet_item(CHANNEL | {"formats": {"other": {"content": BAD}}}) == item()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([], "publish item object is not an object"),
        (b"x", "publish item object is not an object"),
        (STREAM, "publish item object does not contain 'channel'"),
        (STREAM | {"channel": 1}, "publish item object contains 'channel' with wrong type"),
        (STREAM | {"channel": None}, "publish item object contains 'channel' with wrong type"),
        (CHANNEL, "no formats specified"),
        (CHANNEL | {"formats": {}}, "no formats specified"),
        (CHANNEL | {"http-stream": None}, "no formats specified"),
        (CHANNEL | {"formats": b"x"}, "publish item object contains 'formats' with wrong type"),
        (CHANNEL | STREAM | {"id": 1}, "publish item object contains 'id' with wrong type"),
        (CHANNEL | STREAM | {"id": 1.5}, "publish item object contains 'id' with wrong type"),
        (CHANNEL | STREAM | {"prev-id": 1}, "publish item object contains 'prev-id' with wrong type"),
        (CHANNEL | STREAM | {"meta": {"a": 1}}, "'meta' contains 'a' with wrong type"),
        (CHANNEL | STREAM | {"meta": b"x"}, "publish item object contains 'meta' with wrong type"),
        (CHANNEL | STREAM | {"no-seq": 1}, "publish item object contains 'no-seq' with wrong type"),
        (CHANNEL | STREAM | {"no-seq": None}, "publish item object contains 'no-seq' with wrong type"),
        (CHANNEL | STREAM | {"size": -5}, "publish item object contains 'size' with invalid value"),
        (CHANNEL | {"http-stream": {}}, "'http-stream' does not contain 'content'"),
        (CHANNEL | {"http-stream": {"content-bin": b"QUJD"}}, "'http-stream' does not contain 'content'"),
        (CHANNEL | {"http-stream": {"content": 4}}, "'http-stream' contains 'content' with wrong type"),
        (CHANNEL | {"http-stream": {"content": None}}, "'http-stream' contains 'content' with wrong type"),
        (CHANNEL | {"http-stream": b"x"}, "'http-stream' is not an object"),
        (CHANNEL | {"http-stream": {"action": 1}}, "'http-stream' contains 'action' with wrong type"),
        (CHANNEL | {"http-response": {}}, "'http-response' does not contain 'body' or 'body-patch'"),
        (CHANNEL | {"http-response": {"body-bin": b"QUJD"}}, "'http-response' does not contain 'body' or 'body-patch'"),
        (
            CHANNEL | {"http-response": {"body": b"x", "code": 1000}},
            "'http-response' contains 'code' with invalid value",
        ),
        (
            CHANNEL | {"http-response": {"body": b"x", "headers": [b"x"]}},
            "headers contains element with wrong type",
        ),
        (CHANNEL | {"ws-message": {}}, "'ws-message' does not contain 'content' or 'content-bin'"),
        (
            CHANNEL | {"ws-message": {"type": b"zz", "content": b"x"}},
            "'ws-message' contains 'type' with unknown value",
        ),
        (
            CHANNEL | {"http-stream": {"content": b"x", "content-filters": [1]}},
            "content-filters contains element with wrong type",
        ),
    ],
)
def test_what_is_no_item_is_refused_with_pushpins_text(fields: object, why: str) -> None:
    assert refusal(fields) == why


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"content": BAD}, "'ws-message' contains 'content' with invalid value"),
        ({"type": b"text", "content": BAD}, "'ws-message' contains 'content' with invalid value"),
        ({"type": b"text", "content-bin": BAD}, "'ws-message' contains 'content-bin' with invalid value"),
        ({"type": b"ping", "content": b"x" * 126}, "'ws-message' contains 'content' with invalid value"),
        ({"content-bin": 5}, "'ws-message' contains 'content-bin' with wrong type"),
    ],
)
def test_a_message_that_no_client_may_accept_is_refused_as_json_is(fields: dict[str, object], why: str) -> None:
    assert refusal(CHANNEL | {"ws-message": fields}) == why


# -- against the JSON road --------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
ids = st.none() | st.text(min_size=1, max_size=5).filter(lambda text: text.isprintable()).map(ItemId)
items = st.builds(
    Item,
    channel=texts.map(Channel),
    id=ids,
    prev_id=ids,
    no_seq=st.booleans(),
    size=st.none() | st.integers(0, 1000),
    meta=st.dictionaries(texts, texts, max_size=2).map(lambda meta: tuple(meta.items())),
    http_response=st.builds(
        HttpResponseFormat,
        code=st.integers(200, 999),
        headers=st.sampled_from([(), ((b"A", b"b"),)]),
        body=st.binary(max_size=20),
    ),
    http_stream=st.none() | st.builds(HttpStreamFormat, content=st.binary(max_size=20)),
    ws_message=st.none()
    | st.builds(WsMessageFormat, content=texts.map(str.encode))
    | st.builds(WsMessageFormat, kind=st.just(MessageKind.BINARY), content=st.binary(max_size=20)),
)


def as_tnet(value: object) -> object:
    """Return plain JSON values as a tagged netstring holds them: text as bytes."""
    match value:
        case str():
            return value.encode()
        case [*each]:
            return [as_tnet(one) for one in each]
        case {**fields}:
            return {key: as_tnet(one) for key, one in fields.items()}
        case _:
            return value


@given(items)
def test_an_item_is_the_same_by_either_road(published: Item) -> None:
    fields: Any = as_tnet(msgspec.to_builtins(encode_item(published), builtin_types=(bytes,)))
    formats = fields["formats"]
    for name, key in (("http-response", "body"), ("http-stream", "content")):
        if f"{key}-bin" in formats.get(name, ()):
            formats[name][key] = formats[name].pop(f"{key}-bin")
    assert parse_tnet_item(fields) == published
    assert parse_item(as_json(fields)) == published


@given(items)
def test_the_short_road_reads_what_the_long_one_reads(published: Item) -> None:
    fields: Any = {"channel": published.channel.encode(), "no-seq": published.no_seq}
    if published.id is not None:
        fields["id"] = published.id.encode()
    if published.http_stream is not None:
        fields["http-stream"] = {"content": published.http_stream.content}
    if published.ws_message is not None:
        fields["ws-message"] = {"content": published.ws_message.content}
    assert published.http_response is not None
    fields["http-response"] = {"body": published.http_response.body, "code": published.http_response.code}
    plain = read_plain(fields)
    if plain is not None:
        assert plain == parse_item(as_json(fields))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["channel", "formats", "http-stream", "ws-message", "content", "content-bin", "type", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(anything)
def test_any_value_is_an_item_or_the_error(value: object) -> None:
    with contextlib.suppress(ItemError):
        parse_tnet_item(value)
