"""The port that only shows. What the metrics say is in test_metrics."""

from __future__ import annotations

import asyncio

import pytest

from handlers.counters import Counters
from handlers.protocol.address import Address
from handlers.timers import LoopClock
from proxy.listening import SocketOptions, listen
from publish_api.http import PublishServer
from publish_api.plan import Kind, Planner
from publish_api.scraping import ScrapePlanner
from publish_api.settings import PublishSettings
from tests.support.client import RawClient
from tests.support.publish_port import ListSink, request


def planner() -> Planner:
    return ScrapePlanner(PublishSettings(token="secret"), has_metrics=True, is_hub=lambda _: False)


@pytest.mark.parametrize("path", ["/", "/metrics", "/publish/", "/any?x=1"])
def test_p10_every_path_shows_the_metrics_to_everybody(path: str) -> None:
    made = planner().plan(request(None, method="GET", path=path))
    assert (made.kind, made.is_protected) == (Kind.METRICS, False)


@pytest.mark.parametrize(("path", "kind"), [("/healthz", Kind.FIXED), ("/readyz/", Kind.READY)])
def test_but_those_of_probes(path: str, kind: Kind) -> None:
    assert planner().plan(request(None, method="HEAD", path=path)).kind is kind


@pytest.mark.parametrize("path", ["/publish/", "/recover", "/"])
def test_nothing_can_be_done_there(path: str) -> None:
    made = planner().plan(request(b"{}", path=path))
    assert made.answer is not None
    assert (made.kind, made.answer.status) == (Kind.FIXED, 405)


async def test_it_is_served_beside_the_publish_port_until_that_stops() -> None:
    server = PublishServer(
        PublishSettings(),
        ListSink(),
        counters=Counters(),
        clock=LoopClock(asyncio.get_running_loop()),
        metrics=lambda: b"shown 1\n",
        find_fault=lambda: "asleep",
    )
    publishing, showing = (listen(Address(host="127.0.0.1", port=0), SocketOptions(backlog=1)) for _ in range(2))
    await server.start(publishing)
    await server.show(showing)
    async with await RawClient.connect(showing[0].getsockname()) as client:
        assert (await client.fetch("/", headers=[("Connection", "keep-alive")])).body == b"shown 1\n"
        answer = await client.fetch("/readyz")
        assert (answer.status, answer.body) == (503, b"asleep\n")
    async with await RawClient.connect(server.address) as client:
        assert (await client.fetch("/")).body == b"Pushpin API\n"
    await server.stop()
    assert all(sock.fileno() == -1 for sock in showing)
