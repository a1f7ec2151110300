"""What a request is given and an answer comes to; the rest, with a real service behind it, is tested end to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from handlers.counters import Counters
from handlers.edge import Edge
from handlers.protocol.zmq_spec import parse_spec
from handlers.settings import HoldSettings
from handlers.timers import TimerWheel
from proxy.grip_session.tracking import GripSessions
from proxy.incoming import Incoming
from proxy.request_body import NO_BODY, RequestBody
from proxy.upstream import BackendRequest
from tests.support.clock import ManualClock
from tests.support.state_service import StateService, state_service

INCOMING = Incoming(
    authority=b"h.example:80", path=b"/p/x?q", is_tls=False, is_trusted=False, uri="http://h.example/p/x?q", client=""
)
RULE = {b"domain": b"h.example", b"path-prefix": b"/p", b"sid-ptr": b"/s"}


class Place:
    """Sessions, the edge they are on, and what is counted."""

    def __init__(self, endpoint: str, clock: ManualClock) -> None:
        self.counters = Counters()
        self.edge = Edge(clock=clock, wheel=TimerWheel(clock), counters=self.counters, settings=HoldSettings())
        self.sessions = GripSessions(
            parse_spec(endpoint), sender=b"me", edge=self.edge, clock=clock, counters=self.counters
        )
        self.sessions.open()


@pytest.fixture
async def place(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Place]:
    place = Place(f"ipc://{tmp_path}/state", clock)
    yield place
    place.sessions.close()


@pytest.fixture
async def service(place: Place, tmp_path: Path) -> AsyncGenerator[StateService]:
    """A service at the one endpoint there is, whatever the tests end to end have."""
    async with state_service(f"ipc://{tmp_path}/state", is_alone=True) as service:
        while not service.called("session-detect-rules-get"):  # until it is known to be connected
            await place.sessions.recognise(request(b"{}"), INCOMING)
            await asyncio.sleep(0)
        service.calls.clear()
        place.counters.state_failures = 0
        yield service


def request(body: bytes) -> BackendRequest:
    sent = RequestBody.of(body) if body else NO_BODY
    return BackendRequest(method=b"POST", path=b"/", host=b"h", headers=((b"Host", b"h"),), body=sent)


async def test_a_request_is_given_what_its_session_has_seen(place: Place, service: StateService) -> None:
    service.rules.append(RULE)
    service.last_ids[b"1"] = {b"a": b"7"}
    found = await place.sessions.recognise(request(b'{"s": "1"}'), INCOMING)
    assert found.headers[1:] == ((b"Grip-Session-Id", b"1"), (b"Grip-Last", b"a; last-id=7"))
    assert service.calls[0] == ("session-detect-rules-get", {b"domain": b"h.example", b"path": b"/p/x"})


async def test_a_request_without_a_body_is_not_asked_about(place: Place, service: StateService) -> None:
    asked = request(b"")
    assert await place.sessions.recognise(asked, INCOMING) is asked
    assert service.calls == []


@pytest.mark.parametrize("rules", [[7], [{b"domain": b"h.example"}]])
async def test_what_a_service_says_may_make_no_sense(place: Place, service: StateService, rules: list[Any]) -> None:
    service.answers["session-detect-rules-get"] = rules
    asked = request(b'{"s": "1"}')
    assert await place.sessions.recognise(asked, INCOMING) is asked
    assert place.counters.state_failures == 1


async def test_last_ids_that_make_no_sense_are_none(place: Place, service: StateService) -> None:
    service.rules.append(RULE)
    service.answers["session-get-last-ids"] = [b"x"]
    found = await place.sessions.recognise(request(b'{"s": "1"}'), INCOMING)
    assert found.headers[1:] == ((b"Grip-Session-Id", b"1"),)
    assert place.counters.state_failures == 1


async def test_an_answer_that_says_nothing_of_sessions_is_not_told_of(place: Place, service: StateService) -> None:
    assert await place.sessions.learn(((b"Grip-Hold", b"stream"),), INCOMING) == ""
    assert service.calls == []


async def test_what_is_published_is_looked_at_only_while_it_is_open(place: Place) -> None:
    assert place.edge.on_items == place.sessions.note
