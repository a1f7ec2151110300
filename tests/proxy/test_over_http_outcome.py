"""Each outcome of a backend's answer, done to a real session: what its client sees."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from websockets.frames import Opcode

from proxy.app import App
from proxy.over_http_outcome import carry_out
from proxy.protocol.ws_events import Event, EventKind, EventsError
from proxy.protocol.ws_exchange import CloseClient, CutClient, Deliver, EchoClose, FailClient, FailOpening, Opened
from tests.proxy.in_process import running
from tests.proxy.sockets import over_http, session_of
from tests.support.answers import never
from tests.support.backend import ScriptedBackend
from tests.support.events import OPEN, events
from tests.support.turns import until
from tests.support.websocket import WsClient


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    async with running(f"* {backend.address},over_http") as app:
        yield app


@pytest.fixture
async def client(app: App, backend: ScriptedBackend) -> AsyncGenerator[WsClient]:
    async with over_http(app, backend, events(OPEN), never()) as client:
        yield client


def text(content: bytes) -> Event:
    return Event(kind=EventKind.TEXT, content=content)


async def test_what_is_delivered_are_frames_in_order(app: App, client: WsClient) -> None:
    said = (text(b"m:one"), Event(kind=EventKind.PING, content=b"p"), Event(kind=EventKind.BINARY, content=b"m:\xff"))
    carry_out(session_of(app), Deliver(events=said))
    frames = [await client.frame() for _ in said]
    assert [(frame.opcode, frame.data) for frame in frames] == [
        (Opcode.TEXT, b"one"), (Opcode.PING, b"p"), (Opcode.BINARY, b"\xff"),
    ]  # fmt: skip


async def test_an_event_that_no_client_may_get_is_an_error_behind_those_before_it(app: App, client: WsClient) -> None:
    with pytest.raises(EventsError):
        carry_out(session_of(app), Deliver(events=(text(b"m:one"), text(b"\xff"), text(b"m:two"))))
    carry_out(session_of(app), Deliver(events=(text(b"m:three"),)))
    assert [await client.heard(), await client.heard()] == ["one", "three"]


@pytest.mark.parametrize(
    ("content", "code"), [(b"\x0f\xa1bye", 4001), (b"", 1000), (b"\x00\x00", 1000), (b"\x03\xee", 1000)]
)
async def test_a_close_is_one_that_may_be_sent(app: App, client: WsClient, content: bytes, code: int) -> None:
    carry_out(session_of(app), CloseClient(content=content))
    assert (await client.closed()).code == code


async def test_an_echo_is_the_clients_own_close(app: App, client: WsClient) -> None:
    session = session_of(app)
    await client.put_close(4321, "so long")
    await until(lambda: session._client_close)  # noqa: SLF001
    carry_out(session, EchoClose())
    assert (await client.closed()).code == 4321
    assert await client.until_closed() == b""


async def test_a_cut_has_no_close(app: App, client: WsClient) -> None:
    carry_out(session_of(app), CutClient())
    assert await client.until_cut() == b""


async def test_a_failure_is_1011(app: App, client: WsClient) -> None:
    carry_out(session_of(app), FailClient(reason="for the log"))
    closing = await client.closed()
    assert (closing.code, closing.reason) == (1011, "backend failed")


@pytest.mark.parametrize("outcome", [Opened(), FailOpening(reason="x")])
async def test_an_opening_is_not_for_a_session(app: App, client: WsClient, outcome: Opened | FailOpening) -> None:
    with pytest.raises(AssertionError):
        carry_out(session_of(app), outcome)
