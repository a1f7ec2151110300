"""The signalling example: two pages meet by one PHP script behind Holdfast, and then talk past both."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.interop import example
from tests.interop.program import LOOPBACK, NODE_FOLDER, Program, free_ports, installed, node

EXAMPLE = "webrtc-signalling-php"


@pytest.fixture(scope="module")
def signal_url() -> Iterator[str]:
    installed("php", "Debian's php-cli")
    listen, publish = free_ports(2)
    with example.started(EXAMPLE, listen, publish):
        yield f"ws://{LOOPBACK}:{listen}/signal"


@pytest.fixture
def room_url(signal_url: str) -> str:
    """Return a room of the test's own."""
    return f"{signal_url}?room={uuid.uuid4().hex}"


class Peer(example.Client):
    """A client that knows its id."""

    async def __aenter__(self) -> Peer:
        await super().__aenter__()
        self.id = (await self.hear(type="you"))["id"]
        return self


async def test_a_signal_reaches_the_other_and_not_its_sender(room_url: str) -> None:
    async with Peer(room_url) as first, Peer(room_url) as second:
        assert first.id != second.id
        await first.send({"type": "offer", "description": {"sdp": "grüße ✓\r\n" * 1000}, "from": "forged"})
        heard = await second.hear()
        assert heard == {"from": first.id, "type": "offer", "description": {"sdp": "grüße ✓\r\n" * 1000}}
        await second.send({"type": "answer"})
        assert await first.hear() == {"from": second.id, "type": "answer"}


async def test_signals_keep_their_order(room_url: str) -> None:
    async with Peer(room_url) as first, Peer(room_url) as second:
        for number in range(20):
            await first.send({"type": "candidate", "number": number})
        assert [(await second.hear())["number"] for _ in range(20)] == list(range(20))


async def test_the_other_hears_of_a_close_and_of_a_lost_connection(room_url: str) -> None:
    async with Peer(room_url) as first:
        async with Peer(room_url) as second:
            await second.connection.close(4001, "enough")
            assert (second.connection.close_code, second.connection.close_reason) == (4001, "enough")
        assert await first.hear() == {"from": second.id, "type": "bye"}
        async with Peer(room_url) as third:
            third.drop()
            assert await first.hear() == {"from": third.id, "type": "bye"}


async def test_another_room_hears_nothing(signal_url: str, room_url: str) -> None:
    elsewhere = f"{signal_url}?room={uuid.uuid4().hex}"
    async with Peer(room_url) as first, Peer(room_url) as second, Peer(elsewhere) as other, Peer(elsewhere) as another:
        await first.send({"type": "hello"})
        await second.hear(type="hello")
        await other.send({"type": "welcome"})
        assert await another.hear() == {"from": other.id, "type": "welcome"}


@pytest.mark.parametrize("text", ["nonsense", "5", "", "[" * 100], ids=["no JSON", "no object", "empty", "deep"])
async def test_what_is_no_signal_is_passed_over(room_url: str, text: str) -> None:
    async with Peer(room_url) as first, Peer(room_url) as second:
        await first.connection.send(text)
        await first.send({"type": "hello"})
        assert await second.hear() == {"from": first.id, "type": "hello"}


async def test_a_clients_ping_is_answered(room_url: str) -> None:
    async with Peer(room_url) as peer:
        await (await peer.connection.ping(b"there?"))


@pytest.mark.parametrize("query", ["", "?room=", "?room=a+b", "?room[]=a"])
async def test_a_room_without_a_proper_name_is_refused(signal_url: str, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with example.Client(f"{signal_url}{query}"):
            pass
    assert refused.value.response.status_code == 400
    assert b"Open a WebSocket at /signal?room=NAME" in refused.value.response.body


def test_two_browsers_open_a_data_channel_and_keep_it_without_a_server(tmp_path: Path) -> None:
    installed("php", "Debian's php-cli")
    listen, publish = free_ports(2)
    command = [node(), str(NODE_FOLDER / "signalling_pages.mjs"), f"http://{LOOPBACK}:{listen}"]
    command += [installed("chromium", "Debian's chromium"), str(tmp_path / "page.png")]
    with ExitStack() as stack:
        with example.started(EXAMPLE, listen, publish):
            browsers = stack.enter_context(Program("browsers", command))
            for step in ("alone", "connected", "grüße ✓", '<img src="" onerror="alert(1)">', "full", "here again"):
                assert browsers.line() == step
            assert browsers.line() == "stop it"
        assert browsers.line() == "without a server"
        assert browsers.await_end() == 0
