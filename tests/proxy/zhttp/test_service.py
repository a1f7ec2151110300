from __future__ import annotations

import asyncio
from typing import Any

import pytest
import tnetstring

from handlers.counters import Counters
from proxy.backend import ConnectFailed
from proxy.backend_answer import OwnAnswer
from proxy.protocol.zhttp import RequestStart
from proxy.request_body import NO_BODY
from proxy.zhttp.service import RETRY_SECONDS, SETTLE_SECONDS, Service
from proxy.zhttp.wire import Owner
from tests.support.clock import ManualClock
from tests.support.turns import settle

START = RequestStart(method=b"GET", uri=b"http://h/", headers=(), stream=True)


class Wire:
    """Takes `room` first messages, and later ones while it is open."""

    def __init__(self) -> None:
        self.room = 0
        self.is_open = True
        self.pushed: list[dict[bytes, Any]] = []
        self.sent: list[tuple[bytes, dict[bytes, Any]]] = []

    def push(self, data: bytes) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.pushed.append(tnetstring.loads(data[1:]))
        return True

    def send(self, peer: bytes, data: bytes) -> bool:
        if self.is_open:
            self.sent.append((peer, tnetstring.loads(data[1:])))
        return self.is_open

    def close(self) -> None:
        self.is_open = False


class Place:
    """A service on such a wire."""

    def __init__(self, clock: ManualClock) -> None:
        self.wire = Wire()
        self.counters = Counters()
        self.service = Service(self._make, name="zhttp/x", sender=b"me", clock=clock, counters=self.counters)

    def _make(self, owner: Owner) -> Wire:
        return self.wire

    def ask(self, *, wait: float = 60) -> asyncio.Task[OwnAnswer]:
        asking = self.service.ask(START, b"", NO_BODY, limit=0, wait=wait, silence=60)
        return asyncio.create_task(asking)

    def say(self, name: object, **fields: object) -> None:
        named = {key.encode(): value for key, value in fields.items()}
        self.service.take(b"T" + tnetstring.dumps({b"from": b"w", b"id": name, **named}))


@pytest.fixture
def place(clock: ManualClock) -> Place:
    return Place(clock)


async def test_a_message_goes_to_the_request_that_it_names(place: Place) -> None:
    place.wire.room = 2
    one, two = place.ask(), place.ask()
    await settle()
    first, second = (each[b"id"] for each in place.wire.pushed)
    assert first != second
    place.say(second, seq=0, code=202)
    place.say(first, seq=0, code=201)
    assert ((await one).status, (await two).status) == (201, 202)
    assert place.service.is_idle


async def test_whoever_waits_for_a_worker_is_served_in_turn_a_moment_after_it_has_come(
    place: Place, clock: ManualClock
) -> None:
    tasks = [place.ask() for _ in range(3)]
    await settle()
    place.wire.room = 2
    place.service.may_push()
    assert place.wire.pushed == []
    clock.advance(SETTLE_SECONDS)
    await settle()
    assert len(place.wire.pushed) == 2
    place.wire.room = 2
    late = place.ask()
    await settle()
    assert len(place.wire.pushed) == 2, "whoever comes later stands behind those who wait"
    place.service.may_push()
    clock.advance(SETTLE_SECONDS)
    await settle()
    assert len(place.wire.pushed) == 4
    for task in (*tasks, late):
        task.cancel()
    await settle()


async def test_whoever_has_gone_waits_no_more(place: Place, clock: ManualClock) -> None:
    gone, here = place.ask(), place.ask()
    await settle()
    gone.cancel()
    await settle()
    place.wire.room = 2
    place.service.may_push()
    clock.advance(SETTLE_SECONDS)
    assert len(place.wire.pushed) == 1
    await settle()
    place.say(place.wire.pushed[0][b"id"], seq=0, code=200)
    assert (await here).status == 200


async def test_without_a_worker_the_request_is_given_back(
    place: Place, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    task = place.ask(wait=5)
    await settle()
    clock.advance(5)
    with pytest.raises(ConnectFailed, match="zhttp/x: no worker takes the request"):
        await task
    assert "zhttp/x: no worker has come within 5 seconds" in caplog.text
    assert place.service.is_idle


async def test_what_cannot_be_sent_is_tried_again_when_it_may(place: Place, clock: ManualClock) -> None:
    place.wire.room = 1
    task = place.ask()
    await settle()
    name = place.wire.pushed[0][b"id"]
    place.say(name, seq=0, code=200, body=b"abc", more=True)
    answer = await task
    place.wire.is_open = False
    await answer.read()
    place.service.may_send()
    assert place.wire.sent == []
    place.wire.is_open = True
    place.service.may_send()
    assert place.wire.sent == [], "each failure is news to the port, which would try again at once, for ever"
    clock.advance(RETRY_SECONDS)
    clock.advance(RETRY_SECONDS)
    ((peer, credit),) = place.wire.sent
    assert (peer, credit[b"credits"]) == (b"w", 3)
    answer.close()


@pytest.mark.parametrize(
    ("fields", "cancelled"),
    [
        ({"more": True}, True),
        ({"type": b"keep-alive"}, True),
        ({"type": b"credit"}, True),
        ({}, False),
        ({"type": b"cancel", "more": True}, False),
        ({"type": b"error"}, False),
    ],
)
async def test_a_worker_that_goes_on_for_nobody_is_stopped(
    place: Place, fields: dict[str, object], cancelled: bool
) -> None:
    place.say(b"unknown", seq=3, **fields)
    assert [(peer, each[b"type"], each[b"id"]) for peer, each in place.wire.sent] == (
        [(b"w", b"cancel", b"unknown")] if cancelled else []
    )


async def test_what_is_no_message_is_counted(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.service.take(b"J{}")
    assert place.counters.zhttp_malformed == 1
    assert "zhttp/x: a worker's message cannot be read: not a map of tagged netstrings" in caplog.text


async def test_an_end_closes_the_wire(place: Place) -> None:
    place.service.may_push()
    place.service.close()
    assert not place.wire.is_open
