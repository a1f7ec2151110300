from __future__ import annotations

import asyncio
import json
import logging
import time

import jwt
import pytest

from handlers.counters import Counters
from handlers.protocol.items import HttpStreamFormat, Item
from handlers.protocol.names import Channel
from publish_api.http import PublishServer
from publish_api.settings import PublishSettings
from tests.support.clock import ManualClock
from tests.support.publish_port import ListSink, publish_port, request
from tests.support.turns import until

GOOD = {"channel": "c", "http-stream": {"content": "x"}}
BODY = json.dumps({"items": [GOOD]}).encode()
ITEM = Item(channel=Channel("c"), http_stream=HttpStreamFormat(content=b"x"))


def answer(
    status: str, body: bytes, *, version: str = "1.1", headers: str = "", content_type: str = "text/plain"
) -> bytes:
    head = f"HTTP/{version} {status}\r\n{headers}Content-Type: {content_type}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


OK = answer("200 OK", b"Published\n")
OK_JSON = answer("200 OK", b'{"message":"Published"}\n', content_type="application/json")
API = answer("200 OK", b"Pushpin API\n")
NOT_FOUND = answer("404 Not Found", b"Not Found\n")
LENGTH_REQUIRED = answer("411 Length Required", b"Request requires Content-Length.\n")
NOT_ACCEPTABLE = answer(
    "406 Not Acceptable", b"Not Acceptable. Supported formats are text/plain and application/json.\n"
)


def bad_request(text: str) -> bytes:
    return answer("400 Bad Request", f"{text}\n".encode())


def wrong_method(method: str, allow: str = "POST") -> bytes:
    return answer("405 Method Not Allowed", f"Method not allowed: {method}.\n".encode(), headers=f"Allow: {allow}\r\n")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (request(None, method="GET", path="/"), API),
        (request(None, method="HEAD", path="/"), API),
        (request(b"", path="/"), API),
        (request(None, method="OPTIONS", path="/"), API),
        (request(None, method="GET"), wrong_method("GET")),
        (request(None, method="GET", path="/publish"), wrong_method("GET")),
        (request(None, method="DELETE"), wrong_method("DELETE")),
        (request(None, method="OPTIONS"), wrong_method("OPTIONS")),
        (request(BODY, method="PUT"), wrong_method("PUT")),
        (request(None, method="GET", path="/nope"), NOT_FOUND),
        (request(b"", path="/nope/"), NOT_FOUND),
        (request(BODY, path="/publish/x"), NOT_FOUND),
        (request(BODY, path="/publish?x"), NOT_FOUND),
        (request(BODY, path="/publish/?x=1"), NOT_FOUND),
        (request(BODY, path="/publish//"), NOT_FOUND),
        (request(BODY, path="//"), NOT_FOUND),
        (request(None, method="OPTIONS", path="*"), NOT_FOUND),
        (request(None, method="GET", path="/metrics"), NOT_FOUND),
        (request(None, path="/publish"), LENGTH_REQUIRED),
        (request(None, method="PUT", path="/nope"), LENGTH_REQUIRED),
        (request(None, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n", LENGTH_REQUIRED),
        (request(None, "Transfer-Encoding: chunked", method="GET") + b"0\r\n\r\n", LENGTH_REQUIRED),
        (request(BODY, "Accept: text/html"), NOT_ACCEPTABLE),
        (request(None, "Accept: text/html", method="GET", path="/"), NOT_ACCEPTABLE),
        (request(b"x"), bad_request("Body is not valid JSON.")),
        (request(b"5"), bad_request("Body is not valid JSON.")),
        (request(b""), bad_request("Body is not valid JSON.")),
        (request(b"[]"), bad_request("Invalid format.")),
        (request(b"{}"), bad_request("Invalid format: object does not contain 'items'")),
        (request(b'{"items":1}'), bad_request("Invalid format: object contains 'items' with wrong type")),
        (request(b'{"items":[{}]}'), bad_request("Invalid format: publish item object does not contain 'channel'")),
        (request(b"\x1f\x8b\x08", "Content-Encoding: gzip"), bad_request("Body is not valid JSON.")),
        (request(b"", path="/recover"), answer("200 OK", b"Updated\n")),
        (request(None, path="/recover"), answer("200 OK", b"Updated\n")),
        (request(None, method="GET", path="/recover/"), wrong_method("GET")),
    ],
    ids=range(35),
)
async def test_a_request_that_publishes_nothing_has_its_answer(sent: bytes, expected: bytes) -> None:
    async with publish_port() as port:
        assert await port.send(sent) == expected
        assert port.sink.items == []


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (request(BODY), OK),
        (request(BODY, path="/publish"), OK),
        (request(BODY, "Content-Type: text/plain"), OK),
        (request(BODY, "Accept: */*"), OK),
        (request(BODY, "Accept: application/json"), OK_JSON),
        (request(BODY, "Authorization: Bearer whatever"), OK),
        (request(json.dumps(GOOD).encode()), OK),
        (request(BODY, "Content-Encoding: gzip"), OK),
        (request(BODY, "Expect: 100-continue"), b"HTTP/1.1 100 Continue\r\n\r\n" + OK),
        (
            b"POST /publish/ HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
            answer("200 OK", b"Published\n", version="1.0"),
        ),
    ],
    ids=range(10),
)
async def test_a_well_formed_publish_reaches_the_sink(sent: bytes, expected: bytes) -> None:
    async with publish_port() as port:
        assert await port.send(sent) == expected
        assert port.sink.items == [ITEM]


async def test_an_empty_list_of_items_is_fine() -> None:
    async with publish_port() as port:
        assert await port.publish(b'{"items": []}') == OK
        assert port.sink.items == []


async def test_one_malformed_item_keeps_all_from_the_sink() -> None:
    body = json.dumps({"items": [GOOD, {"channel": "c", "http-stream": {}}]}).encode()

    async with publish_port() as port:
        assert await port.publish(body) == bad_request(
            "Invalid format: 'http-stream' does not contain 'content' or 'content-bin'"
        )
        assert port.sink.items == []


async def test_a_body_that_comes_in_pieces_is_put_together() -> None:
    sent = request(BODY)

    async with publish_port() as port:
        assert await port.send(sent[:10], sent[10:-20], sent[-20:]) == OK
        assert port.sink.items == [ITEM]


async def test_a_sink_that_fails_is_answered_with_500_and_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    async with publish_port() as port:
        port.sink.failure = RuntimeError("disk full")
        assert await port.publish(BODY) == answer("500 Internal Server Error", b"Internal server error.\n")
        port.sink.failure = None
        assert await port.publish(BODY) == OK

    failed, published = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert failed == ("ERROR", "control: POST /publish/ code=500 23 error=RuntimeError('disk full')")
    assert published == ("INFO", "control: POST /publish/ code=200 10 items=1")
    assert all(record.exc_info is None for record in caplog.records)


async def test_a_refusal_is_one_log_line_that_nobody_can_forge(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    async with publish_port() as port:
        await port.publish(json.dumps({"items": [{"channel": "c", "ws-message": {"action": "\nx" * 999}}]}).encode())
        await port.send(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n")

    refused, odd = [record.getMessage() for record in caplog.records]
    assert refused.startswith("control: POST /publish/ code=400 ")
    assert "\n" not in refused
    assert len(refused) < 600
    assert odd.isascii()


# -- bounds -----------------------------------------------------------------------------------------------------


async def test_a_body_of_the_greatest_size_is_taken_and_one_more_byte_refused_unread() -> None:
    async with publish_port(PublishSettings(max_body=len(BODY))) as port:
        assert await port.publish(BODY) == OK
        assert await port.send(request(b"").replace(b"Length: 0", b"Length: %d" % (len(BODY) + 1))) == bad_request(
            "Request body too large."
        )


@pytest.mark.parametrize("excess", [0, 1])
async def test_a_head_may_have_so_many_bytes_and_no_more(excess: int) -> None:
    bare = request(None, "A: ", method="GET", path="/")
    sent = bare.replace(b"A: ", b"A: " + b"a" * (2048 - len(bare) + excess))

    async with publish_port(PublishSettings(max_head=2048)) as port:
        assert await port.send(sent) == (bad_request("Request header too large.") if excess else API)


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    clock = ManualClock()
    settings = PublishSettings(request_timeout=7, linger_timeout=0)
    async with publish_port(settings, clock=clock) as port:
        sending = asyncio.create_task(port.send(request(BODY)[:-1]))
        await until(lambda: clock.next_due() == clock.now() + 7)
        clock.advance(7)
        assert await sending == answer("408 Request Timeout", b"Request body not received in time.\n")
        assert port.sink.items == []


async def test_a_publisher_that_leaves_in_the_middle_of_its_body_publishes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    async with publish_port() as port:
        assert await port.send(request(BODY)[:-1], half_close=True) == b""
        assert port.sink.items == []

    assert [record.getMessage() for record in caplog.records] == [
        "control: POST /publish/ code=400 25 error='Request body incomplete.'"
    ]


# -- authorisation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "text", "challenge"),
    [
        ((), "Authorization required.", "Bearer"),
        (("Authorization: Basic dDp0",), "Authorization required.", "Bearer"),
        (("Authorization: Bearer x",), "Invalid token.", 'Bearer error="invalid_token"'),
    ],
)
async def test_without_the_token_nothing_is_published(headers: tuple[str, ...], text: str, challenge: str) -> None:
    async with publish_port(PublishSettings(token="t")) as port:
        assert await port.publish(BODY, *headers) == answer(
            "401 Unauthorized", f"{text}\n".encode(), headers=f"WWW-Authenticate: {challenge}\r\n"
        )
        assert port.sink.items == []


async def test_with_the_token_or_a_signed_one_it_is() -> None:
    key = "k" * 32
    signed = jwt.encode({"iss": "me", "exp": int(time.time()) + 60}, key, algorithm="HS256")

    async with publish_port(PublishSettings(token="t", jwt_key=key)) as port:
        assert await port.publish(BODY, "Authorization: Bearer t") == OK
        assert await port.publish(BODY, f"Authorization: Bearer {signed}") == OK
        assert port.sink.items == [ITEM, ITEM]


async def test_a_publisher_without_the_token_need_not_send_its_body() -> None:
    async with publish_port(PublishSettings(token="t")) as port:
        answered = await port.send(request(BODY, "Expect: 100-continue").removesuffix(BODY))

    assert answered.startswith(b"HTTP/1.1 401 ")


# -- the rest ---------------------------------------------------------------------------------------------------


async def test_metrics_are_shown_whatever_the_scraper_accepts() -> None:
    async with publish_port(metrics=lambda: b"up 1\n") as port:
        shown = await port.send(request(None, "Accept: application/openmetrics-text", method="GET", path="/metrics"))
        posted = await port.send(request(b"", path="/metrics"))

    assert shown.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=")
    assert shown.endswith(b"\r\n\r\nup 1\n")
    assert posted == wrong_method("POST", allow="GET, HEAD")


async def test_it_can_be_stopped_without_having_been_started() -> None:
    server = PublishServer(PublishSettings(), ListSink(), counters=Counters())

    await server.stop()

    with pytest.raises(RuntimeError, match="not started"):
        _ = server.address


async def test_recover_is_done_for_who_may_publish_and_before_it_is_answered() -> None:
    done: list[str] = []
    settings = PublishSettings(token="secret")
    async with publish_port(settings, recover=lambda: done.append("recovered")) as port:
        assert b" 401 " in await port.send(request(None, path="/recover"))
        assert done == []
        asked = request(None, "Authorization: Bearer secret", "Accept: application/json", path="/recover/")
        assert (await port.send(asked)).endswith(b'{"message":"Updated"}\n')
        assert done == ["recovered"]


async def test_who_asks_for_a_recovery_that_fails_is_told() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async with publish_port(recover=fail) as port:
        assert b" 500 " in await port.send(request(None, path="/recover"))
