from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import tnetstring
import zmq

from handlers.counters import Counters
from handlers.protocol.zmq_spec import parse_spec
from proxy.grip_session.state import StateError, StateService
from tests.support.clock import ManualClock
from tests.support.turns import settle, until


class Place:
    """The way to a service, and a REP socket that is one."""

    def __init__(self, endpoint: str, clock: ManualClock) -> None:
        self.endpoint = endpoint
        self.counters = Counters()
        self.state = StateService(parse_spec(endpoint), sender=b"me", clock=clock, counters=self.counters)
        self.state.open()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.REP)

    async def connect(self) -> None:
        """Connect, and answer calls until one comes, so that it is known to be connected; none is on its way then."""
        self.socket.connect(self.endpoint)
        calls: list[asyncio.Task[object]] = []
        while not self.socket.poll(0):
            calls.append(asyncio.create_task(self.state.call("hello", {})))
            await settle()
        for _ in [call for call in calls if not call.done()]:
            await self.serve(success=True)
        await asyncio.gather(*calls, return_exceptions=True)

    async def serve(self, **fields: object) -> dict[bytes, object]:
        """Answer the next call."""
        await until(lambda: self.socket.poll(0))
        call: dict[bytes, object] = tnetstring.loads(self.socket.recv())
        named = {name.encode(): value for name, value in fields.items()}
        self.socket.send(tnetstring.dumps({b"id": call[b"id"], **named}))
        return call

    def close(self) -> None:
        self.socket.close(linger=0)
        self._context.term()
        self.state.close()
        self.state.close()


@pytest.fixture
async def place(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Place]:
    place = Place(f"ipc://{tmp_path}/state", clock)
    yield place
    place.close()
    await settle()


async def test_a_call_has_its_reply(place: Place) -> None:
    await place.connect()
    task = asyncio.create_task(place.state.call("m", {"sid": "s"}))
    call = await place.serve(success=True, value={b"a": b"1"})
    assert (call[b"from"], call[b"method"], call[b"args"]) == (b"me", b"m", {b"sid": b"s"})
    assert await task == {"a": b"1"}


async def test_a_call_may_be_refused(place: Place) -> None:
    await place.connect()
    task = asyncio.create_task(place.state.call("m", {}))
    await place.serve(success=False, condition=b"item-not-found")
    with pytest.raises(StateError, match="m: item-not-found") as caught:
        await task
    assert caught.value.condition == "item-not-found"


async def test_a_call_has_a_second(place: Place, clock: ManualClock) -> None:
    await place.connect()
    task = asyncio.create_task(place.state.call("m", {}))
    await settle()
    clock.advance(1)
    with pytest.raises(StateError, match="m: no reply in 1 second"):
        await task
    late = await place.serve(success=True)
    assert late[b"method"] == b"m"
    await settle()


async def test_without_a_service_a_call_fails_at_once(place: Place) -> None:
    with pytest.raises(StateError, match="m: nobody is connected"):
        await place.state.call("m", {})


async def test_what_is_only_told_is_counted_when_it_fails(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.state.tell("m", {})
    await settle()
    assert place.counters.state_failures == 1
    assert "session state service: m: nobody is connected" in caplog.text


async def test_what_is_no_reply_is_counted(place: Place) -> None:
    await place.connect()
    before = place.counters.state_failures
    place.state.tell("m", {})
    await until(lambda: place.socket.poll(0))
    place.socket.recv()
    place.socket.send(b"nonsense")
    await until(lambda: place.counters.state_failures == before + 1)


async def test_its_end_is_the_end_of_its_calls(tmp_path: Path, clock: ManualClock) -> None:
    place = Place(f"ipc://{tmp_path}/state", clock)
    await place.connect()
    task = asyncio.create_task(place.state.call("m", {}))
    await settle()
    place.close()
    with pytest.raises(StateError, match="m: closed"):
        await task


async def test_an_endpoint_in_use_is_an_error(place: Place, clock: ManualClock) -> None:
    other = StateService(parse_spec(place.endpoint), sender=b"me", clock=clock, counters=Counters())
    with pytest.raises(OSError, match="Address already in use"):
        other.open()
