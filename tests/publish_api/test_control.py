"""The control paths of the publish port. What is found among real connections is in tests/e2e/test_control.py."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import jwt
import pytest

from handlers.protocol.survey import (
    ChannelRow,
    CloseConnection,
    CountChannel,
    FindConnections,
    Findings,
    ListChannels,
    ListConnections,
)
from publish_api.control import describe
from publish_api.settings import PublishSettings
from tests.support.publish_port import PublishPort, publish_port, request
from tests.support.surveying import ScriptedSurveyor, connection
from tests.support.turns import settle, until

KEY = "k" * 32
ONE = Findings(channels=(ChannelRow("news", stream=1),), connections=(connection("ws-id", 5),))


def parse(answer: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return int(first.split()[1]), dict(line.split(b": ", 1) for line in lines), body


async def ask(port: PublishPort, path: str, *headers: str, method: str = "GET") -> tuple[int, dict[bytes, bytes], Any]:
    status, head, body = parse(await port.send(request(None, *headers, path=path, method=method)))
    assert head[b"Content-Type"] == b"application/json"
    return status, head, json.loads(body) if body else None


def bearer(*scopes: str) -> str:
    claims = {"exp": int(time.time()) + 60, "holdfast": list(scopes)}
    return f"Authorization: Bearer {jwt.encode(claims, KEY, algorithm='HS256')}"


async def test_a_question_is_asked_and_what_is_found_is_told() -> None:
    surveyor = ScriptedSurveyor(ONE)
    async with publish_port(surveyor=surveyor) as port:
        status, _, page = await ask(port, "/channels/?prefix=n")
        assert (status, [each["channel"] for each in page["channels"]]) == (200, ["news"])
        assert (await ask(port, "/channels/news/"))[2] == page["channels"][0]
        assert (await ask(port, "/connections"))[2]["connections"][0]["id"] == "ws-id"
        assert (await ask(port, "/connections/ws-id/"))[2]["id"] == "ws-id"
        assert (await ask(port, "/connections/ws-id/", method="DELETE"))[2] == {"message": "Closed"}
    assert surveyor.asked == [
        ListChannels(prefix="n", limit=101),
        CountChannel("news"),
        ListConnections(limit=101),
        FindConnections(("ws-id",)),
        CloseConnection("ws-id"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/channels/x/", 404, "Nobody is on this channel."),
        ("GET", "/connections/x/", 404, "No such connection."),
        ("DELETE", "/connections/x/", 404, "No such connection."),
        ("GET", "/channels/?x=1", 400, "Unknown parameter: x."),
        ("DELETE", "/channels/", 405, "Method not allowed: DELETE."),
        ("DELETE", "/openapi.json", 405, "Method not allowed: DELETE."),
    ],
)
async def test_errors_are_json_too(method: str, path: str, status: int, message: str) -> None:
    async with publish_port(surveyor=ScriptedSurveyor()) as port:
        told = await ask(port, path, "Accept: text/html", method=method)
    assert (told[0], told[2]) == (status, {"message": message})


async def test_a_head_alone_is_answered_as_such() -> None:
    async with publish_port(surveyor=ScriptedSurveyor(ONE)) as port:
        got = await port.send(request(None, "Connection: keep-alive", path="/channels/", method="HEAD") + b"\r\n" * 2
                              + request(None, path="/channels/", method="GET"))  # fmt: skip
    assert got.count(b"HTTP/1.1 200 OK") == 2
    assert got.count(b'"channels"') == 1


async def test_a_worker_that_is_missing_is_told_with_when_to_come_again() -> None:
    async with publish_port(surveyor=ScriptedSurveyor(Findings(missing=(2,)))) as port:
        status, head, body = await ask(port, "/channels/")
    assert (status, head[b"Retry-After"], body) == (503, b"1", {"message": "Not answered yet by worker 2."})


async def test_who_may_not_is_told_before_anything_is_asked() -> None:
    surveyor = ScriptedSurveyor(ONE)
    async with publish_port(PublishSettings(token="t", jwt_key=KEY), surveyor=surveyor) as port:
        status, head, body = await ask(port, "/channels/")
        assert (status, head[b"WWW-Authenticate"], body) == (401, b"Bearer", {"message": "Authorization required."})
        assert (await ask(port, "/connections/x/", "Authorization: Bearer u", method="DELETE"))[0] == 401
        reads, closes, publishes = bearer("read"), bearer("close"), bearer("publish")
        for header in (publishes, closes):
            status, head, body = await ask(port, "/connections/", header)
            assert (status, body) == (403, {"message": "The token is not for this: read."})
            assert head[b"WWW-Authenticate"] == b'Bearer error="insufficient_scope"'
        assert (await ask(port, "/connections/ws-id/", reads, method="DELETE"))[0] == 403
        assert b" 403 " in await port.publish(b'{"items":[]}', reads)
        assert surveyor.asked == []
        assert (await ask(port, "/connections/", reads))[0] == 200
        assert (await ask(port, "/connections/ws-id/", closes, method="DELETE"))[0] == 200
        assert b" 200 " in await port.publish(b'{"items":[]}', publishes)
        assert (await ask(port, "/connections/", "Authorization: Bearer t"))[0] == 200


async def test_without_a_surveyor_the_paths_are_unknown() -> None:
    async with publish_port() as port:
        for path in ("/channels/", "/connections/", "/channels/a", "/openapi.json"):
            assert (parse(await port.send(request(None, path=path, method="GET"))))[::2] == (404, b"Not Found\n")


async def test_the_description_needs_no_token() -> None:
    async with publish_port(PublishSettings(token="t"), surveyor=ScriptedSurveyor()) as port:
        status, _, document = await ask(port, "/openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")
    assert json.loads(describe().body) == document


async def test_what_is_not_asked_for_in_a_body_is_not_read() -> None:
    async with publish_port(surveyor=ScriptedSurveyor(ONE)) as port:
        got = await port.send(request(b"{}", path="/channels/", method="GET"), half_close=True)
        assert parse(got)[0] == 200


async def test_a_long_answer_is_read_before_the_next_question_is_asked() -> None:
    surveyor = ScriptedSurveyor(ONE)
    surveyor.waits = True
    one = request(None, "Connection: keep-alive", path="/channels/", method="GET")
    async with publish_port(surveyor=surveyor) as port:
        reader, writer = await asyncio.open_connection(*port.server.address)
        writer.write(one * 2 + request(b'{"items":[{"channel":"c","http-stream":{"content":"x"}}]}'))
        await until(lambda: surveyor.waiting)
        await settle()
        assert len(surveyor.waiting) == 1
        surveyor.waiting[0].set_result(ONE)
        await until(lambda: len(surveyor.waiting) == 2)
        assert port.sink.items == []
        surveyor.waiting[1].set_result(ONE)
        got = await reader.read()
        writer.close()
        assert (got.count(b"200 OK"), got.endswith(b"Published\n"), len(port.sink.items)) == (3, True, 1)


async def test_a_publisher_that_has_left_does_not_get_an_answer() -> None:
    surveyor = ScriptedSurveyor(ONE)
    surveyor.waits = True
    async with publish_port(surveyor=surveyor) as port:
        _, writer = await asyncio.open_connection(*port.server.address)
        writer.write(request(None, path="/channels/", method="GET"))
        await until(lambda: surveyor.waiting)
        writer.transport.abort()
        await settle()
        surveyor.waiting[0].set_result(ONE)
        await settle()
        assert b" 200 " in await port.publish(b'{"items":[]}')


async def test_a_fault_is_told_as_one(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(ScriptedSurveyor):
        def ask(self, question: object) -> asyncio.Future[Findings]:
            raise RuntimeError("broken")

    async with publish_port(surveyor=Broken()) as port:
        status, _, body = await ask(port, "/channels/")
    assert (status, body) == (500, {"message": "Internal server error."})
    assert "broken" in caplog.text
