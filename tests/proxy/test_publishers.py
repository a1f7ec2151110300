from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from handlers.counters import Counters
from handlers.protocol.address import Address
from handlers.protocol.tnetstring import encode_tnetstring
from handlers.timers import LoopClock
from proxy.errors import SettingsError
from proxy.hub.assembly import make_hub
from proxy.listening import SocketOptions, listen
from proxy.publishers import BACKLOG, Publishers, make_publish_server, make_publishing
from tests.support.client import RawClient
from tests.support.publish_port import ListSink
from tests.support.settings import settings_from
from tests.support.turns import until
from tests.support.zeromq import zeromq_peer


def nothing() -> None:
    """Recover nobody."""


def make(
    sink: ListSink,
    *assignments: str,
    shown: Counters | None = None,
    joins: bool = False,
) -> Publishers:
    """Make them; `shown` are the counters of all processes together."""
    counters = Counters()
    return make_publish_server(
        settings_from(assignments, routes=()),
        sink,
        clock=LoopClock(asyncio.get_running_loop()),
        counters=counters,
        publishing=None,
        count=lambda: shown or counters,
        recover=nothing,
        joins=joins,
    )


async def start(publishers: Publishers) -> None:
    await publishers.start(listen(Address(host="127.0.0.1", port=0), SocketOptions(backlog=BACKLOG)))


def test_without_a_hub_nothing_takes_publications_to_it() -> None:
    assert make_publishing(None) is None


async def test_the_publish_port_alone_is_what_there_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast")
    publishers = make(ListSink())
    await start(publishers)
    _, writer = await asyncio.open_connection(*publishers.address)
    writer.close()
    await publishers.stop()
    assert "ZeroMQ" not in caplog.text


async def test_the_metrics_are_those_of_all_processes() -> None:
    publishers = make(ListSink(), shown=Counters(deliveries=17))
    await start(publishers)
    async with await RawClient.connect(publishers.address) as client:
        assert b"holdfast_deliveries_total 17.0" in (await client.fetch("/metrics")).body
    await publishers.stop()


async def test_with_a_hub_its_path_is_known_to_the_publish_port() -> None:
    counters, clock = Counters(), LoopClock(asyncio.get_running_loop())
    settings = settings_from(["mercure.publisher_key=" + "k" * 32, "mercure.history="], routes=())
    hub = make_hub(settings.hub, clock=clock, counters=counters)
    hub.open()
    publishers = make_publish_server(
        settings,
        ListSink(),
        clock=clock,
        counters=counters,
        publishing=make_publishing(hub),
        count=lambda: counters,
        recover=nothing,
    )
    await start(publishers)
    async with await RawClient.connect(publishers.address) as client:
        answer = await client.fetch(settings.hub.path, method="POST", body=b"topic=x")
        assert answer.status == 401
    await publishers.stop()
    await hub.close()


async def test_zeromq_sockets_are_served_beside_it_until_it_stops(tmp_path: Path) -> None:
    sink = ListSink()
    publishers = make(sink, f"zeromq.pull=ipc://{tmp_path}/pull")
    await start(publishers)
    async with zeromq_peer() as peer:
        await peer.push(f"ipc://{tmp_path}/pull", encode_tnetstring({"channel": "c", "http-stream": {"content": "x"}}))
        await until(lambda: sink.items)
    await publishers.stop()
    again = make(sink, f"zeromq.pull=ipc://{tmp_path}/pull")
    await start(again)
    await again.stop()


@pytest.mark.parametrize("joins", [False, True])
async def test_zeromq_too_publishes_for_several_in_one_call_only_where_the_sink_takes_that(
    joins: bool, tmp_path: Path
) -> None:
    sink, message = ListSink(), encode_tnetstring({"channel": "c", "http-stream": {"content": "x"}})
    publishers = make(sink, f"zeromq.pull=ipc://{tmp_path}/pull", joins=joins)
    await start(publishers)
    async with zeromq_peer() as peer:
        for _ in range(1000):
            await peer.push(f"ipc://{tmp_path}/pull", message)
        await until(lambda: len(sink.items) == 1000)
    await publishers.stop()
    assert (len(sink.calls) < 1000) == joins


async def test_where_an_endpoint_is_taken_nothing_is_left_open(tmp_path: Path) -> None:
    first, second = (make(ListSink(), f"zeromq.pull=ipc://{tmp_path}/pull") for _ in range(2))
    await start(first)
    sockets = listen(Address(host="127.0.0.1", port=0), SocketOptions(backlog=BACKLOG))
    with pytest.raises(OSError, match="Address already in use"):
        await second.start(sockets)
    assert [sock.fileno() for sock in sockets] == [-1]
    await first.stop()


async def test_a_key_that_cannot_be_read_is_the_operators_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^publish\.token: "):
        make(ListSink(), f"publish.token=file:{tmp_path}/nothing")
