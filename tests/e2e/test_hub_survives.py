"""A hub that is killed over and over, under publishers that retry and a subscriber that comes and goes.

Holdfast as operators run it: a process of its own, real time, its history in a file. What a publisher was told is
stored must reach the subscriber exactly once and in order; what it was told nothing of, because the hub died under it,
once at most. Nobody forgives the hub anything: the subscriber drops no duplicate, and asks for nothing twice.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.support.app_process import ConsoleProcess
from tests.support.client import RawClient
from tests.support.hub_site import (
    FORM,
    HOST,
    HUB,
    OLD_KEYS,
    EventStream,
    bearer,
    old_publisher,
    post,
    subscribed,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLISHERS = 4
NUMBERS = 200
"""Numbers that each publisher has to get acknowledged."""
KILLS = 6
COMINGS = 100
"""How often the subscriber has to have been killed, at least."""
MOST_READ = 12
"""Events that it reads before it is."""


class Site:
    """The hub's process, its address, and a way to wait until there is one again."""

    def __init__(self, history: Path) -> None:
        self.up = asyncio.Event()
        self.acknowledged = 0
        self._wanted = 0
        self._reached = asyncio.Event()
        self._settings = (
            *OLD_KEYS,
            "mercure.anonymous=true",
            f"mercure.history={history}",
            "proxy.sig_key=changeme",
        )
        self._address = f"127.0.0.1:{quiet_port()}"

    def process(self) -> ConsoleProcess:
        """Return the next process: always on the same port and with the same history."""
        settings = (argument for each in self._settings for argument in ("--set", each))
        arguments = ("--listen", self._address, "--publish", "127.0.0.1:0", "--route", "* test")
        return ConsoleProcess(*arguments, *settings)

    def acknowledge(self) -> None:
        """Count an update that the hub has said to have."""
        self.acknowledged += 1
        if self.acknowledged >= self._wanted:
            self._reached.set()

    async def until_acknowledged(self, count: int) -> None:
        """Wait until so many are."""
        self._wanted = count
        self._reached.clear()
        if self.acknowledged < count:
            await self._reached.wait()

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self._address.partition(":")
        return host, int(port)

    @property
    def proxy_addresses(self) -> tuple[tuple[str, int], ...]:
        return (self.address,)

    @property
    def publish_address(self) -> tuple[str, int]:
        raise AssertionError("nobody here publishes there")


def quiet_port() -> int:
    """Return a free port that no outgoing connection is given: while the hub is down, one could take it."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in Random().sample(range(low // 2, low), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


class Publisher:
    """Sends its numbers one after the other, each until it is acknowledged. Each attempt has an id of its own."""

    def __init__(self, name: str, site: Site) -> None:
        self.site = site
        self.attempts: list[str] = []
        self.acknowledged: list[str] = []
        self._name = name

    async def run(self) -> None:
        number = 0
        while number < NUMBERS:
            await self.site.up.wait()
            with suppress(ConnectionError, EOFError):
                async with await RawClient.connect(self.site.address) as client:
                    while number < NUMBERS:
                        await self._attempt(client, number)
                        number += 1

    async def _attempt(self, client: RawClient, number: int) -> None:
        attempt = f"{self._name}-{number}-{len(self.attempts)}"
        self.attempts.append(attempt)
        headers = [bearer(old_publisher("*")), ("Content-Type", FORM)]
        body = f"topic=https://example.com/{self._name}&id={attempt}&data={number}".encode()
        answer = await client.fetch(HUB, method="POST", host=HOST, headers=headers, body=body)
        assert (answer.status, answer.body.decode()) == (200, attempt)
        self.acknowledged.append(attempt)
        self.site.acknowledge()


class Subscriber:
    """Comes with the id of the last event that it has read, reads a few, and is killed. It never sees a loss told."""

    def __init__(self, site: Site, random: Random) -> None:
        self.site = site
        self.seen: list[str] = []
        self.comings = 0
        self._random = random

    async def run_until(self, last: str) -> None:
        while last not in self.seen[-1:]:
            await self.site.up.wait()
            with suppress(ConnectionError, EOFError):
                await self._come(last)

    async def _come(self, last: str) -> None:
        cursor = self.seen[-1] if self.seen else "earliest"
        headers, query = [("Last-Event-ID", cursor)], f"{HUB}?topic=https://example.com/%7Bname%7D"
        if self._random.random() < 0.5:
            headers, query = [], f"{query}&lastEventID={cursor}"
        async with await RawClient.connect(self.site.address) as client:
            await client.send_request(query, host=HOST, headers=headers)
            head = await client.head()
            assert (head.status, head.values(b"last-event-id")) == (200, (cursor.encode(),)), head
            stream = EventStream(client, head)
            self.comings += 1
            for _ in range(self._random.randint(1, MOST_READ)):
                self.seen.append(await stream.id())
                if self.seen[-1] == last:
                    return
            if self._random.random() < 0.5:
                client.reset()


async def test_what_was_acknowledged_is_seen_exactly_once_and_in_order(tmp_path: Path) -> None:
    site = Site(tmp_path / "hub.db")
    publishers = [Publisher(name, site) for name in "abcd"[:PUBLISHERS]]
    reader = Subscriber(site, Random(7))
    part = PUBLISHERS * NUMBERS // (KILLS + 1)
    async with asyncio.TaskGroup() as tasks:
        storm = [tasks.create_task(publisher.run()) for publisher in publishers]
        reading = tasks.create_task(reader.run_until("last"))
        for killed in range(1, KILLS + 1):
            async with site.process() as hub:
                site.up.set()
                await site.until_acknowledged(killed * part)
                site.up.clear()
                hub.signal(signal.SIGKILL)
                assert await hub.exit_status() == -signal.SIGKILL
        async with site.process():
            site.up.set()
            await asyncio.wait(storm)
            found = await post(site.address, "topic=https://example.com/last&id=last", token=old_publisher("*"))
            assert found.status == 200
            await reading
            async with subscribed(site, "topic=https://example.com/%7Bname%7D&lastEventID=earliest") as stream:
                stored = await stream.ids(len(reader.seen))

    assert reader.seen == stored, "what came piece by piece is what the history has, in its order"
    assert reader.comings >= COMINGS
    assert max(Counter(reader.seen).values()) == 1
    for publisher in publishers:
        own = [each for each in reader.seen if each in publisher.attempts]
        assert own == [each for each in publisher.attempts if each in own], "in the order of sending"
        assert [each for each in own if each in publisher.acknowledged] == publisher.acknowledged
        assert len(publisher.acknowledged) == NUMBERS
    assert set(reader.seen) == {"last", *(each for publisher in publishers for each in publisher.attempts)} & set(
        stored
    )
