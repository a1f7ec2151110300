"""The one line that the log has for a request, however it ended."""

from __future__ import annotations

import logging

import pytest

from proxy.log import AccessRecord, Outcome
from tests.proxy.in_process import client_of, running
from tests.support.answers import Answer, Ending, answer, grip_stream, text
from tests.support.backend import ScriptedBackend
from tests.support.client import encode_request
from tests.support.turns import until

HEADERS = [("Referer", "http://a/b"), ("User-Agent", "tester")]


def records(caplog: pytest.LogCaptureFixture) -> list[AccessRecord]:
    return [record.msg for record in caplog.records if isinstance(record.msg, AccessRecord)]


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (text(b"hello"), Outcome.ANSWERED),
        (grip_stream("a"), Outcome.ACCEPTED),
        (answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut", Ending.CLOSE), Outcome.FAILED),
    ],
    ids=["answered", "held", "cut"],
)
async def test_a_request_is_logged_with_how_it_ended(
    caplog: pytest.LogCaptureFixture, script: Answer, outcome: Outcome
) -> None:
    caplog.set_level(logging.INFO, "holdfast.access")
    async with (
        ScriptedBackend() as backend,
        running(f"*,id=r {backend.address}") as app,
        await client_of(app) as client,
    ):
        backend.answers("/x", script)
        await client.send(encode_request("/x?y", headers=HEADERS))
        await until(lambda: bool(records(caplog)))
        [record] = records(caplog)
    assert record.outcome is outcome
    assert (record.method, record.uri, record.route_id) == ("GET", "http://example.com/x?y", "r")
    assert (record.target, record.client) == (backend.address, "127.0.0.1")
    assert (record.referer, record.user_agent) == ("http://a/b", "tester")
    assert record.code == 200


@pytest.mark.parametrize(("level", "count"), [(0, 0), (1, 0), (2, 1), (4, 1)])
async def test_o07_the_level_of_a_route_decides_whether_its_requests_are_logged(
    caplog: pytest.LogCaptureFixture, level: int, count: int
) -> None:
    caplog.set_level(logging.INFO, "holdfast.access")
    async with (
        ScriptedBackend() as backend,
        running(f"*,id=r,log_level={level} {backend.address}", "other.example,id=last test") as app,
        await client_of(app) as client,
    ):
        await client.fetch("/x")
        await client.fetch("/", host="other.example")
        await until(lambda: records(caplog)[-1:] != [] and records(caplog)[-1].route_id == "last")
        assert len(records(caplog)) == count + 1


async def test_a_request_without_a_route_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "holdfast.access")
    async with running("other.test test") as app, await client_of(app) as client:
        assert (await client.fetch("/")).status == 502
        [record] = records(caplog)
    assert (record.outcome, record.code, record.target, record.route_id) == (Outcome.ANSWERED, 502, "", "")


@pytest.mark.parametrize(
    ("option", "links"),
    [
        ("", ()),
        (",mercure_link", (b'</our/hub>; rel="mercure"',)),
        (",mercure_link=/elsewhere", (b'</elsewhere>; rel="mercure"',)),
        (",mercure_link=https://hub.example/hub?a=b", (b'<https://hub.example/hub?a=b>; rel="mercure"',)),
        (',mercure_link="https://h/a b>, x"', (b'<https://h/a%20b%3E,%20x>; rel="mercure"',)),
    ],
    ids=["none", "own", "path", "elsewhere", "no way out of the brackets"],
)
async def test_a_route_can_tell_clients_where_a_mercure_hub_is(option: str, links: tuple[bytes, ...]) -> None:
    async with (
        ScriptedBackend() as backend,
        running(f"*{option} {backend.address}", settings=["mercure.path=/our/hub"]) as app,
        await client_of(app) as client,
    ):
        assert (await client.fetch("/")).values(b"link") == links
