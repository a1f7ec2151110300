"""What watches Holdfast sees: Pushpin's metrics on a port of their own, latencies, and whether it serves (row P10)."""

from __future__ import annotations

import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.holding import open_stream
from tests.support.answers import grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient, crowd
from tests.support.publisher import publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = ("metrics.listen=127.0.0.1:0", "metrics.prefix=edge_")


async def where_shown(app: AppProcess) -> tuple[str, int]:
    line = await app.log_line(r"showing metrics on ")
    host, _, port = line.rpartition(" ")[2].rpartition(":")
    return host, int(port)


async def scrape(address: tuple[str, int], path: str = "/metrics") -> dict[str, float]:
    """Return the samples there, those of a histogram under the name with `le` behind it.

    The parser knows counters only by names that end in `_total`, and calls Pushpin's so.
    """
    async with await RawClient.connect(address) as client:
        response = await client.fetch(path)
    assert response.status == 200
    families = text_string_to_metric_families(response.body.decode())
    return {sample.name + sample.labels.get("le", ""): sample.value for family in families for sample in family.samples}


async def test_p10_what_pushpin_counts_has_its_names(backend: ScriptedBackend) -> None:
    async with AppProcess(f"* {backend.address}", settings=SETTINGS) as app, crowd(app.proxy_address, 3) as clients:
        for client in clients:
            await open_stream(client, backend, "/", grip_stream("room"))
        await publish(app, stream_item("room", "news"))
        for client in clients:
            assert await client.chunk() == b"news"
        await app.advance(50)
        await app.counters()  # with workers: what each has counted is here
        shown = await scrape(await where_shown(app), "/any/path")
        assert {name: value for name, value in shown.items() if name.startswith("edge_")} == {
            "edge_request_received_total": 3,
            "edge_connection_connected": 3,
            "edge_connection_minute_total": 2,
            "edge_message_received_total": 1,
            "edge_message_sent_total": 3,
        }
        assert shown == await scrape(app.publish_address)


async def test_latencies_have_one_for_each_request_and_each_fan_out(backend: ScriptedBackend) -> None:
    async with (
        AppProcess(f"* {backend.address}", settings=("proxy.workers=1",)) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await client.fetch("/plain")
        await open_stream(client, backend, "/held", grip_stream("room"))
        await publish(app, stream_item("room", "news"))
        assert await client.chunk() == b"news"
        shown = await scrape(app.publish_address)
        assert (shown["holdfast_backend_seconds_count"], shown["holdfast_fanout_seconds_count"]) == (2, 1)


async def test_probes_are_told_that_it_serves_and_that_it_stops(backend: ScriptedBackend) -> None:
    async with (
        AppProcess(f"* {backend.address}", settings=("publish.token=secret", "proxy.workers=1")) as app,
        await RawClient.connect(app.proxy_address) as client,
        await RawClient.connect(app.publish_address) as probe,
    ):
        await open_stream(client, backend, "/held", grip_stream("room"))
        keep = [("Connection", "keep-alive")]
        for path in ("/healthz", "/readyz"):
            answer = await probe.fetch(path, headers=keep)
            assert (answer.status, answer.body) == (200, b"ok\n")
        app.signal(signal.SIGTERM)
        await app.log_line("stopping: 1 held")
        answer = await probe.fetch("/readyz", headers=keep)
        assert (answer.status, answer.body) == (503, b"stopping\n")
        assert (await probe.fetch("/healthz", headers=keep)).status == 200
        await app.advance(60)
