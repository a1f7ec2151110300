from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from handlers.errors import ItemError
from handlers.protocol.format_json import (
    encode_http_response,
    encode_http_stream,
    encode_ws_message,
    parse_http_response,
    parse_http_stream,
    parse_ws_message,
)
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, MessageKind, WsMessageFormat

Format = HttpResponseFormat | HttpStreamFormat | WsMessageFormat
Parse = Callable[[object], Format]

BODIES = {"body": "b"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"body": "hé"}, HttpResponseFormat(body="hé".encode())),
        ({"body": ""}, HttpResponseFormat(body=b"")),
        ({"body-bin": "AP8Q"}, HttpResponseFormat(body=b"\x00\xff\x10")),
        ({"body-bin": "YQ==", "body": 5, "body-patch": 5}, HttpResponseFormat(body=b"a")),
        ({"body-bin": None, "body": "b"}, HttpResponseFormat(body=b"b")),
        ({"body": "b", "body-patch": 5}, HttpResponseFormat(body=b"b")),
        (
            {"body-patch": [{"op": "remove", "path": "/a"}]},
            HttpResponseFormat(body_patch=b'[{"op":"remove","path":"/a"}]'),
        ),
        ({"body-patch": [2**63]}, HttpResponseFormat(body_patch=b"[9223372036854775808]")),
        ({"code": 404} | BODIES, HttpResponseFormat(code=404, body=b"b")),
        ({"code": "404"} | BODIES, HttpResponseFormat(code=404, body=b"b")),
        ({"code": 999, "reason": "Odd"} | BODIES, HttpResponseFormat(code=999, reason=b"Odd", body=b"b")),
        ({"reason": ""} | BODIES, HttpResponseFormat(body=b"b")),
        ({"reason": None} | BODIES, HttpResponseFormat(body=b"b")),
        ({"headers": []} | BODIES, HttpResponseFormat(body=b"b")),
        (
            {"headers": [["A", "1"], ["a", "2"]]} | BODIES,
            HttpResponseFormat(headers=((b"A", b"1"), (b"a", b"2")), body=b"b"),
        ),
        (
            {"headers": {"B": "1", "A": "é\t"}} | BODIES,
            HttpResponseFormat(headers=((b"B", b"1"), (b"A", "é\t".encode())), body=b"b"),
        ),
        ({"content-filters": []} | BODIES, HttpResponseFormat(body=b"b", content_filters=())),
        ({"content-filters": ["x"]} | BODIES, HttpResponseFormat(body=b"b", content_filters=("x",))),
        ({"action": "send"} | BODIES, HttpResponseFormat(body=b"b")),
        ({"action": None} | BODIES, HttpResponseFormat(body=b"b")),
        ({"action": "hint"}, HttpResponseFormat(action=Action.HINT)),
        ({"action": "hint", "code": "x", "body": 5}, HttpResponseFormat(action=Action.HINT)),
        ({"action": "refresh"}, HttpResponseFormat(action=Action.REFRESH)),
        ({"action": "close"}, HttpResponseFormat(action=Action.CLOSE)),
    ],
)
def test_an_http_response_is_read(value: object, expected: HttpResponseFormat) -> None:
    assert parse_http_response(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"content": "x\n"}, HttpStreamFormat(content=b"x\n")),
        ({"content": ""}, HttpStreamFormat(content=b"")),
        ({"content-bin": "AP8Q", "content": 5}, HttpStreamFormat(content=b"\x00\xff\x10")),
        ({"content": "x", "content-filters": ["a", "b"]}, HttpStreamFormat(content=b"x", content_filters=("a", "b"))),
        ({"action": "close"}, HttpStreamFormat(action=Action.CLOSE)),
        ({"action": "close", "content": ""}, HttpStreamFormat(action=Action.CLOSE)),
        ({"action": "hint"}, HttpStreamFormat(action=Action.HINT)),
    ],
)
def test_an_http_stream_is_read(value: object, expected: HttpStreamFormat) -> None:
    assert parse_http_stream(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"content": "x"}, WsMessageFormat(content=b"x")),
        ({"content-bin": "AP8Q"}, WsMessageFormat(kind=MessageKind.BINARY, content=b"\x00\xff\x10")),
        ({"content-bin": "YQ==", "type": "text"}, WsMessageFormat(content=b"a")),
        ({"content": "x", "type": "binary"}, WsMessageFormat(kind=MessageKind.BINARY, content=b"x")),
        ({"type": "ping"}, WsMessageFormat(kind=MessageKind.PING)),
        ({"type": "pong", "content": "p" * 125}, WsMessageFormat(kind=MessageKind.PONG, content=b"p" * 125)),
        ({"type": None, "content": "x"}, WsMessageFormat(content=b"x")),
        ({"content": "x", "content-filters": ["a"]}, WsMessageFormat(content=b"x", content_filters=("a",))),
        ({"action": "close"}, WsMessageFormat(action=Action.CLOSE)),
        (
            {"action": "close", "code": 4002, "reason": "bye"},
            WsMessageFormat(action=Action.CLOSE, code=4002, reason="bye"),
        ),
        ({"action": "close", "code": "1001", "reason": ""}, WsMessageFormat(action=Action.CLOSE, code=1001)),
        ({"action": "refresh", "type": "odd"}, WsMessageFormat(action=Action.REFRESH)),
    ],
)
def test_a_ws_message_is_read(value: object, expected: WsMessageFormat) -> None:
    assert parse_ws_message(value) == expected


@pytest.mark.parametrize("value", [None, 1, "x", [], True])
@pytest.mark.parametrize(
    ("parse", "name"),
    [(parse_http_response, "http-response"), (parse_http_stream, "http-stream"), (parse_ws_message, "ws-message")],
)
def test_a_format_that_is_no_object_is_refused(parse: Parse, name: str, value: object) -> None:
    with pytest.raises(ItemError, match=f"^'{name}' is not an object$"):
        parse(value)


@pytest.mark.parametrize(
    ("parse", "name"),
    [(parse_http_response, "http-response"), (parse_http_stream, "http-stream"), (parse_ws_message, "ws-message")],
)
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"action": 5}, "NAME contains 'action' with wrong type"),
        ({"action": "x"}, "NAME contains 'action' with unknown value 'x'"),
        ({"action": ""}, "NAME contains 'action' with unknown value ''"),
        ({"content-filters": "x"}, "NAME contains 'content-filters' with wrong type"),
        ({"content-filters": None}, "NAME contains 'content-filters' with wrong type"),
        ({"content-filters": [1]}, "content-filters contains element with wrong type"),
    ],
)
def test_what_all_formats_have_is_checked(parse: Parse, name: str, members: dict[str, object], reason: str) -> None:
    with pytest.raises(ItemError) as caught:
        parse({"body": "x", "content": "x"} | members)

    assert str(caught.value) == reason.replace("NAME", f"'{name}'")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "'http-response' does not contain 'body', 'body-bin', or 'body-patch'"),
        ({"body": None}, "'http-response' contains 'body' with wrong type"),
        ({"body": 5}, "'http-response' contains 'body' with wrong type"),
        ({"body-bin": 5}, "'http-response' contains 'body-bin' with wrong type"),
        ({"body-bin": "*"}, "'http-response' contains 'body-bin' with invalid value"),
        ({"body-patch": {}}, "'http-response' contains 'body-patch' with wrong type"),
        ({"code": "x"} | BODIES, "'http-response' contains 'code' with wrong type"),
        ({"code": []} | BODIES, "'http-response' contains 'code' with wrong type"),
        ({"code": -1} | BODIES, "'http-response' contains 'code' with invalid value"),
        ({"code": 1000} | BODIES, "'http-response' contains 'code' with invalid value"),
        # The reference takes 0 to 199, which no client can take for an answer.
        ({"code": 0} | BODIES, "'http-response' contains 'code' with invalid value"),
        ({"code": 101} | BODIES, "'http-response' contains 'code' with invalid value"),
        ({"reason": 5} | BODIES, "'http-response' contains 'reason' with wrong type"),
        ({"reason": "a\r\nb"} | BODIES, "'http-response' contains 'reason' with invalid value"),
        ({"headers": "x"} | BODIES, "'http-response' contains 'headers' with wrong type"),
        ({"headers": None} | BODIES, "'http-response' contains 'headers' with wrong type"),
        ({"headers": ["a"]} | BODIES, "headers contains element with wrong type"),
        ({"headers": [["a"]]} | BODIES, "headers contains list with wrong number of elements"),
        ({"headers": [["a", "b", "c"]]} | BODIES, "headers contains list with wrong number of elements"),
        ({"headers": [[1, "b"]]} | BODIES, "header contains name element with wrong type"),
        ({"headers": [["a", 1]]} | BODIES, "header contains value element with wrong type"),
        ({"headers": {"a": 1}} | BODIES, "headers contains 'a' with wrong type"),
        ({"headers": [["a b", "x"]]} | BODIES, "header contains name element with invalid value"),
        ({"headers": [["", "x"]]} | BODIES, "header contains name element with invalid value"),
        ({"headers": [["a", "x\r\nSet-Cookie: y"]]} | BODIES, "header contains value element with invalid value"),
        ({"headers": [["a", "x\0"]]} | BODIES, "header contains value element with invalid value"),
        ({"headers": {"a:": "x"}} | BODIES, "headers contains 'a:' with invalid value"),
        ({"headers": {"a": "x\n"}} | BODIES, "headers contains 'a' with invalid value"),
    ],
)
def test_a_malformed_http_response_is_refused_with_its_text(value: object, reason: str) -> None:
    with pytest.raises(ItemError) as caught:
        parse_http_response(value)

    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "'http-stream' does not contain 'content' or 'content-bin'"),
        ({"content": 5}, "'http-stream' contains 'content' with wrong type"),
        ({"content": None}, "'http-stream' contains 'content' with wrong type"),
        ({"content-bin": 5}, "'http-stream' contains 'content-bin' with wrong type"),
        ({"content-bin": "Y*"}, "'http-stream' contains 'content-bin' with invalid value"),
    ],
)
def test_a_malformed_http_stream_is_refused_with_its_text(value: object, reason: str) -> None:
    with pytest.raises(ItemError) as caught:
        parse_http_stream(value)

    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "'ws-message' does not contain 'content' or 'content-bin'"),
        ({"type": "text"}, "'ws-message' does not contain 'content' or 'content-bin'"),
        ({"type": 5, "content": "x"}, "'ws-message' contains 'type' with wrong type"),
        ({"type": "x", "content": "x"}, "'ws-message' contains 'type' with unknown value"),
        ({"content": 5}, "'ws-message' contains 'content' with wrong type"),
        ({"content-bin": 5}, "'ws-message' contains 'content-bin' with wrong type"),
        ({"action": "close", "code": "x"}, "'ws-message' contains 'code' with wrong type"),
        ({"action": "close", "code": -1}, "'ws-message' contains 'code' with invalid value"),
        ({"action": "close", "code": 65536}, "'ws-message' contains 'code' with invalid value"),
        ({"action": "close", "reason": 5}, "'ws-message' contains 'reason' with wrong type"),
        # Beyond the reference: one such frame makes every client end its connection.
        ({"action": "close", "reason": "é" * 62}, "'ws-message' contains 'reason' with invalid value"),
        ({"type": "ping", "content": "p" * 126}, "'ws-message' contains 'content' with invalid value"),
        ({"type": "text", "content-bin": "/w=="}, "'ws-message' contains 'content-bin' with invalid value"),
    ],
)
def test_a_malformed_ws_message_is_refused_with_its_text(value: object, reason: str) -> None:
    with pytest.raises(ItemError) as caught:
        parse_ws_message(value)

    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (encode_http_response(HttpResponseFormat(body=b"x")), {"code": 200, "body": "x"}),
        (
            encode_http_response(HttpResponseFormat(code=404, reason=b"R", headers=((b"A", b"1"),), body=b"\xff")),
            {"code": 404, "reason": "R", "headers": [["A", "1"]], "body-bin": "/w=="},
        ),
        (encode_http_response(HttpResponseFormat(body_patch=b"[1]")), {"code": 200, "body-patch": [1]}),
        (encode_http_response(HttpResponseFormat(action=Action.HINT)), {"action": "hint"}),
        (encode_http_stream(HttpStreamFormat(content=b"x")), {"content": "x"}),
        (
            encode_http_stream(HttpStreamFormat(content=b"", content_filters=("f",))),
            {"content": "", "content-filters": ["f"]},
        ),
        (encode_http_stream(HttpStreamFormat(action=Action.CLOSE)), {"action": "close"}),
        (encode_ws_message(WsMessageFormat(content=b"x")), {"type": "text", "content": "x"}),
        (
            encode_ws_message(WsMessageFormat(action=Action.CLOSE, code=1001, reason="r")),
            {"action": "close", "code": 1001, "reason": "r"},
        ),
    ],
)
def test_a_format_is_encoded_without_what_is_not_set(encoded: object, expected: object) -> None:
    assert msgspec.json.decode(msgspec.json.encode(encoded)) == expected
