"""A backend's answer with a slip that can be read in one way only passes, and what the client gets has none."""

from __future__ import annotations

import pytest

from handlers.protocol.http1 import is_token
from tests.e2e.holding import open_stream
from tests.support.answers import Answer, answer
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.publisher import publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

OK = b"HTTP/1.1 200 OK\r\n"
BODY = b"Content-Length: 2\r\n\r\nok"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "is_kept"),
    [
        (OK + b"Content-Length: 2\r\n" + BODY, True),
        (OK + b"Content-Length: 7\r\n" + CHUNKS, False),
        (OK + b"X-A : b\r\n" + BODY, True),
        (OK + b"Bad Header: x\r\n" + BODY, True),
        (OK + b"X(a): x\r\n: x\r\n" + BODY, True),
        (b"HTTP/2 200 OK\r\n" + BODY, False),
    ],
    ids=["length twice", "length and chunks", "space before the colon", "two words", "no names", "HTTP/2"],
)
async def test_an_answer_with_a_slip_passes_without_it(
    client: RawClient, backend: ScriptedBackend, data: bytes, is_kept: bool
) -> None:
    backend.answers("/slip", answer(data))
    response = await client.fetch("/slip")
    assert (response.status, response.body) == (200, b"ok")
    assert response.values(b"content-length") + response.values(b"transfer-encoding") in ((b"2",), (b"chunked",))
    assert all(is_token(name) for name, _ in response.head.headers)
    connection = (await backend.request()).connection
    if not is_kept:
        await backend.disconnected(connection)
    assert (await client.fetch("/next")).body == b"hello\n"
    assert ((await backend.request()).connection == connection) is is_kept


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_no_framing(
    client: RawClient, backend: ScriptedBackend, status: int
) -> None:
    head = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % status
    backend.answers("/none", answer(head))
    response = await client.fetch("/none")
    assert (response.status, response.body) == (status, b"")
    assert response.values(b"content-length") + response.values(b"transfer-encoding") == ()
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_what_is_left_out_of_an_instruct_is_counted_and_logged(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    before = (await app.counters())["headers_dropped"]
    script: Answer = answer(
        OK + b"X-Powered By: PHP\r\nGrip-Hold : stream\r\nGrip-Channel: slip\r\nContent-Length: 0\r\n\r\n"
    )
    head = await open_stream(client, backend, "/held", script)
    assert head.is_chunked()
    await publish(app, stream_item("slip", "hello\n"))
    assert await client.chunk() == b"hello\n"
    assert (await app.counters())["headers_dropped"] == before + 1
    await app.log_line("headers left out, their names are none: ")
