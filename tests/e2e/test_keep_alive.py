"""Keep-alives and the end of silent streams, on the test clock (reference 3.3, 3.7; rows H09 to H11, H48).

The clock's companion, the source of randomness, always says 0 here: keep-alives come on the second.
"""

from __future__ import annotations

import pytest

from tests.e2e.holding import open_stream
from tests.support.answers import grip_instruct, grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.publisher import publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_keep_alive_comes_after_each_idle_timeout(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H09: not before the timeout less a second, and again and again."""
    await open_stream(client, backend, "/h09", grip_stream("h09", headers=[("Grip-Keep-Alive", "beat; timeout=10")]))
    for _ in range(5):
        await app.advance(8.9)
        assert client.pending() == b""
        await app.advance(1.2)
        assert await client.chunk() == b"beat"


async def test_a_publication_restarts_an_idle_keep_alive(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H09."""
    await open_stream(
        client, backend, "/restart", grip_stream("restart", headers=[("Grip-Keep-Alive", "beat; timeout=10")])
    )
    for _ in range(5):
        await app.advance(8)
        await publish(app, stream_item("restart", "news"))
        assert await client.chunk() == b"news"
    await app.advance(8.9)
    assert client.pending() == b""
    await app.advance(1.3)
    assert await client.chunk() == b"beat"


@pytest.mark.parametrize("form", ["header", "body"])
async def test_an_interval_keep_alive_does_not_wait_for_silence(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, form: str
) -> None:
    """H10: publications do not put it off. The body form has no mode and is idle (D17: sane, not as Pushpin)."""
    if form == "header":
        script = grip_stream("h10", headers=[("Grip-Keep-Alive", "beat; timeout=10; mode=interval")])
    else:
        hold = {"mode": "stream", "channels": [{"name": "h10"}], "keep-alive": {"content": "beat", "timeout": 10}}
        script = grip_instruct({"hold": hold})
    await open_stream(client, backend, "/h10", script)
    await app.advance(6)
    await publish(app, stream_item("h10", "news"))
    assert await client.chunk() == b"news"
    await app.advance(4.2)
    if form == "header":
        assert await client.chunk() == b"beat"
    else:
        assert client.pending() == b""


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        pytest.param(r"a\nb", rb"a\nb", id="raw is the default: two characters"),
        pytest.param(r"a\nb; format=raw", rb"a\nb", id="raw"),
        pytest.param(r"\n; format=cstring", b"\n", id="cstring: a line end"),
        pytest.param(
            r"event: keep-alive\r\ndata: \x00\\\n\n; format=cstring",
            b"event: keep-alive\r\ndata: \0\\\n\n",
            id="cstring",
        ),
        pytest.param("AP+A; format=base64", b"\x00\xff\x80", id="base64"),
        pytest.param("a, b; timeout=5", b"a, b", id="a comma is data"),
    ],
)
async def test_keep_alive_data_has_three_formats(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, value: str, sent: bytes
) -> None:
    """H11."""
    await open_stream(client, backend, "/h11", grip_stream("h11", headers=[("Grip-Keep-Alive", value)]))
    await app.advance(55.2)
    assert await client.chunk() == sent


async def test_an_http_1_0_client_gets_its_keep_alive_bare(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H09, R36: without chunk framing."""
    backend.answers("/old", grip_stream("old", headers=[("Grip-Keep-Alive", r"\n; timeout=10; format=cstring")]))
    await client.send(b"GET /old HTTP/1.0\r\nHost: a\r\n\r\n")
    await client.head()
    await app.advance(20.4)
    assert await client.read_exactly(2) == b"\n\n"


async def test_a_silent_stream_is_cut_after_the_idle_timeout(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H48: `hold.idle_timeout`, 1800 seconds without a byte; counted and logged."""
    await open_stream(client, backend, "/h48", grip_stream("h48"))
    await app.advance(1799)
    await publish(app, stream_item("h48", "still"))
    assert await client.chunk() == b"still"
    await app.advance(1799)
    assert client.pending() == b""
    closed = (await app.counters())["idle_closed"]
    await app.advance(2)
    assert await client.until_cut() == b""
    assert (await app.counters())["idle_closed"] == closed + 1
    await app.log_line("no bytes for 1800 seconds")


async def test_a_keep_alive_keeps_a_stream_from_being_cut(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """H48: keep-alives are bytes."""
    await open_stream(client, backend, "/kept", grip_stream("kept", headers=[("Grip-Keep-Alive", "x; timeout=600")]))
    await app.advance(7200)
    await publish(app, stream_item("kept", "end"))
    received = b""
    while not received.endswith(b"end"):
        received += await client.chunk()
    assert received in (b"x" * 11 + b"end", b"x" * 12 + b"end")
