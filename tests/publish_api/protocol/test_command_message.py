"""Replies were recorded of Pushpin 1.36, whose order of keys is that of a hash and changes from start to start."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.tnetstring import Encodable, encode_tnetstring, parse_tnetstring
from publish_api.protocol.command_message import Reply, Request, RequestError, encode_reply, parse_request


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        ({"method": "recover"}, Request(method="recover")),
        ({"method": "", "id": ""}, Request(method="", id=b"")),
        ({"method": "m", "id": b"\xff", "from": "me"}, Request(method="m", id=b"\xff")),
        ({"id": "1", "method": "m", "args": {"a": [1]}}, Request(method="m", id=b"1", args={"a": [1]})),
        ({"method": b"\xff"}, Request(method="\N{REPLACEMENT CHARACTER}")),
    ],
)
def test_a_request_is_read(fields: dict[str, Encodable], request_: Request) -> None:
    data = encode_tnetstring(fields)
    assert parse_request(data) == request_
    assert parse_request(data + b"xxx") == request_
    for length in range(len(data)):
        with pytest.raises(RequestError, match=r"^tnetstring parse failed: "):
            parse_request(data[:length])


@pytest.mark.parametrize(
    "value",
    [
        "x",
        [],
        None,
        {},
        {"id": "1"},
        {"method": 1},
        {"method": None},
        {"method": "m", "id": 5},
        {"method": "m", "id": None},
        {"method": "m", "args": None},
        {"method": "m", "args": "x"},
        {"method": "m", "args": []},
    ],
)
def test_a_value_that_is_no_request_is_refused(value: Encodable) -> None:
    with pytest.raises(RequestError, match=r"^parse failed$"):
        parse_request(encode_tnetstring(value))


@pytest.mark.parametrize("data", [b"", b"garbage", b"T24:6:method,10:get-zmq-uris,}", b'J{"method":"recover"}'])
def test_bytes_that_are_no_bare_tagged_netstring_are_refused(data: bytes) -> None:
    with pytest.raises(RequestError, match=r"^tnetstring parse failed: "):
        parse_request(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_the_error(data: bytes) -> None:
    with contextlib.suppress(RequestError):
        parse_request(data)


@pytest.mark.parametrize(
    ("reply", "request_id", "data"),
    [
        (Reply(), b"1", b"37:2:id,1:1,7:success,4:true!5:value,0:~}"),
        (Reply(), None, b"28:7:success,4:true!5:value,0:~}"),
        (Reply(value=[]), b"1", b"37:2:id,1:1,7:success,4:true!5:value,0:]}"),
        (
            Reply(condition="method-not-found"),
            b"1",
            b"59:2:id,1:1,7:success,5:false!9:condition,16:method-not-found,}",
        ),
        (
            Reply(condition="bad-request", value="Invalid format: no formats specified"),
            b"1",
            (
                b"102:2:id,1:1,7:success,5:false!5:value,36:Invalid format: no formats specified,"
                b"9:condition,11:bad-request,}"
            ),
        ),
        (
            Reply(value={"command": "tcp://127.0.0.1:25563", "publish-pull": "tcp://127.0.0.1:25560"}),
            b"abc",
            (
                b"116:2:id,3:abc,7:success,4:true!5:value,76:7:command,21:tcp://127.0.0.1:25563,"
                b"12:publish-pull,21:tcp://127.0.0.1:25560,}}"
            ),
        ),
    ],
)
def test_a_reply_has_its_bytes(reply: Reply, request_id: bytes | None, data: bytes) -> None:
    assert encode_reply(reply, request_id=request_id) == data
    assert parse_tnetstring(data)[1] == b""
