"""Publications as JSON, which hubs that speak more than 1.0 take: one update or a list of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers.errors import HubRefusal
from handlers.hub.settings import HubSettings
from handlers.protocol.mercure.publishing import PublishRequest, read_publication
from handlers.protocol.names import Topic

JSON = b"application/json; charset=utf-8"
BOTH = HubSettings()
M19 = HubSettings(protocols=("2019",))

PRIVATE: list[tuple[object, bool]] = [(None, False), (False, False), (True, True), (0, True), ("", True), ({}, True)]


def asked(**fields: Any) -> PublishRequest:
    return PublishRequest(**{"topics": (Topic("a"),), **fields})


def refused(body: bytes, settings: HubSettings = BOTH) -> str:
    with pytest.raises(HubRefusal) as caught:
        read_publication(JSON, body, settings)
    assert caught.value.status == 400
    return caught.value.text


@pytest.mark.parametrize(
    ("members", "request_"),
    [
        pytest.param({"topic": "a"}, asked(), id="a topic"),
        pytest.param({"topic": ["a", "b"]}, asked(topics=("a", "b")), id="topics"),
        pytest.param(
            {"topic": "a", "data": "x", "id": "i", "type": "t", "retry": 5},
            asked(data="x", id="i", type="t", retry="5"),
            id="all",
        ),
        pytest.param({"topic": "a", "data": ""}, asked(data=""), id="empty data"),
        pytest.param({"topic": "a", "retry": "007"}, asked(retry="007"), id="retry as text"),
        pytest.param({"topic": "a", "retry": 2**64 - 1}, asked(retry="18446744073709551615"), id="retry at most"),
        *[
            pytest.param({"topic": "a", "private": value}, asked(private=is_private), id=f"private {value!r}")
            for value, is_private in PRIVATE
        ],
        pytest.param(
            dict.fromkeys(["data", "private", "id", "type", "retry", "target"]) | {"topic": "a"}, asked(), id="nulls"
        ),
        pytest.param({"topic": "a", "foo": [1], "target": 5}, asked(), id="other members"),
    ],
)
def test_an_object_is_read_like_a_form(members: dict[str, object], request_: PublishRequest) -> None:
    assert read_publication(JSON, json.dumps(members).encode(), BOTH) == (request_,)
    number = 1000 // len(request_.topics)
    assert read_publication(JSON, json.dumps([members] * number).encode(), BOTH) == (request_,) * number


@pytest.mark.parametrize("target", ["u", ["u", "v"]])
def test_targets_are_read_where_2019_is_spoken(target: object) -> None:
    body = json.dumps({"topic": "a", "data": "x", "target": target}).encode()
    assert read_publication(JSON, body, M19)[0].targets == tuple(target if isinstance(target, list) else [target])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Bad Request"),
        (b"topic=a", "Bad Request"),
        (b'{"topic":"a"}}', "Bad Request"),
        (b'{"topic":"\xff"}', "Bad Request"),
        (b"[" * 100_000, "Bad Request"),
        (b"1", "an update must be a JSON object"),
        (b"[[]]", "an update must be a JSON object"),
        (b'[{"topic":"a"},null]', "an update must be a JSON object"),
        (b"[]", "the list of updates is empty"),
        (b"[" + b",".join([b'{"topic":"a"}'] * 1001) + b"]", "too many updates in list (max 1000)"),
        (b"{}", 'Missing "topic" parameter'),
        (b'{"topic":[]}', 'Missing "topic" parameter'),
        (b'[{"topic":"a"},{"topic":null}]', 'Missing "topic" parameter'),
        (b'{"topic":1}', '"topic" field must be a string or a list of strings'),
        (b'{"topic":["a",1]}', '"topic" field must be a string or a list of strings'),
        (b'{"topic":"a","data":{"x":1}}', '"data" field must be a string'),
        (b'{"topic":"a","id":1}', '"id" field must be a string'),
        (b'{"topic":"a","type":true}', '"type" field must be a string'),
        (b'{"topic":"a\\u0000"}', '"a\\x00": topic contains a forbidden control character or invalid UTF-8'),
        (json.dumps({"topic": ["a"] * 1001}).encode(), "too many topics in update"),
        (json.dumps([{"topic": ["a"] * 334}] * 3).encode(), "too many topics in update"),
        *[
            (b'{"topic":"a","retry":' + value + b"}", 'Invalid "retry" parameter')
            for value in (b"-1", b"1.5", b"1.0", b"true", b"[]", b'" 5"', b"18446744073709551616")
        ],
    ],
)
def test_bad_json_is_refused(body: bytes, text: str) -> None:
    assert refused(body) == text


def test_a_list_may_have_as_many_targets_as_an_update() -> None:
    for number, text in ((500, ""), (501, "too many targets in update")):
        body = json.dumps([{"topic": "a", "data": "x", "target": ["u"] * number}] * 2).encode()
        if text:
            assert refused(body, M19) == text
        else:
            assert len(read_publication(JSON, body, M19)) == 2


def test_p12_a_strict_hub_takes_no_json() -> None:
    assert refused(b'{"topic":"a"}', HubSettings(protocols=("1.0",))) == 'Missing "topic" parameter'
