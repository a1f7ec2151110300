"""SockJS with several workers: any of them may get a session's next request, and one has the session."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.e2e.conversing import message_item, told
from tests.e2e.sockjs import SockJs
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd, encode_request
from tests.support.events import OPEN, control, echo, events
from tests.support.publisher import publish

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = 30


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    names = ("many", "long", "pipe", "log")
    return tuple(f"*,path_beg=/{name},sockjs=/{name} {backend.address},over_http" for name in names)


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return ("proxy.workers=3",)


async def test_every_request_finds_its_session(app: AppProcess, backend: ScriptedBackend) -> None:
    """Each on a connection of its own, which the kernel gives to any worker."""
    backend.answers("/many", *[events(OPEN, control("subscribe", channel="many"))] * SESSIONS, echo)

    async with crowd(app.proxy_address, SESSIONS) as first, crowd(app.proxy_address, SESSIONS) as second:
        sessions = [SockJs(app, client, "/many", f"n{number}") for number, client in enumerate(first)]
        assert await asyncio.gather(*(session.heard() for session in sessions)) == ["o"] * SESSIONS
        for number, session in enumerate(sessions):
            assert (await session.say(f"to {number}")).status == 204
        for session, client in zip(sessions, second, strict=True):
            session.client = client
        expected = [f'a["to {number}"]' for number in range(SESSIONS)]
        assert await asyncio.gather(*(session.heard() for session in sessions)) == expected
        for session, client in zip(sessions, first, strict=True):
            session.client = client
            await session.begin()
        await app.settle()
        await publish(app, message_item("many", "all"))
        for session in sessions:
            assert (await session.client.response()).body == b'a["all"]\n'
    assert (await app.counters())["sockjs_passed"] > SESSIONS


async def test_a_long_body_in_chunks_is_passed_on_whole(app: AppProcess, backend: ScriptedBackend) -> None:
    for number in range(6):
        backend.answers("/long", events(OPEN), echo)
        async with await RawClient.connect(app.proxy_address) as client:
            session = SockJs(app, client, "/long", f"long{number}")
            assert await session.heard() == "o"
            text = "x" * 190_000
            body = json.dumps([text]).encode()
            async with await RawClient.connect(app.proxy_address) as other:
                chunked = [("Transfer-Encoding", "chunked")]
                await other.send_request(f"{session.url}/xhr_send", method="POST", headers=chunked)
                for start in range(0, len(body), 50_000):
                    piece = body[start : start + 50_000]
                    await other.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                await other.send(b"0\r\n\r\n")
                assert (await other.response()).status == 204
            assert await session.heard() == f'a["{text}"]'


async def test_what_is_pipelined_behind_a_request_goes_with_it(app: AppProcess, backend: ScriptedBackend) -> None:
    for number in range(6):
        backend.answers("/pipe", events(OPEN), events())
        async with await RawClient.connect(app.proxy_address) as client:
            poll = encode_request(f"/pipe/000/pipe{number}/xhr", method="POST", body=b"")
            await client.send(poll + encode_request("/pipe") + encode_request("/pipe/info"))
            assert (await client.response()).body == b"o\n"
            assert (await client.response()).body == b"Welcome to SockJS!\n"
            assert b"entropy" in (await client.response()).body
            assert (await told(backend, "/pipe")).body == OPEN


async def test_a_request_that_is_passed_on_has_one_line_in_the_log(app: AppProcess) -> None:
    """By the worker that answers it."""
    passed = (await app.counters())["sockjs_passed"]
    for number in range(12):
        async with await RawClient.connect(app.proxy_address) as client:
            sent = await client.fetch(f"/log/000/log{number}/xhr_send", method="POST", body=b'["x"]')
            assert sent.status == 404
    await app.until(lambda counters: counters["sockjs_passed"] > passed)
    await app.settle()
    for number in range(12):
        (line,) = app.log_lines(f"POST [^ ]*/log/000/log{number}/xhr_send ")
        assert " code=404 " in line
