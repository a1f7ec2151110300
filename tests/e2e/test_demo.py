"""The demo as `make run` starts it: Holdfast and its backend come together, deliver what is said, and go together."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
from websockets.frames import Frame, Opcode

from tests.e2e.hub_talking import open_events, query
from tests.support.app_process import ROOT, ChildProcess
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.client import RawClient
from tests.support.http import Response
from tests.support.patience import bounded
from tests.support.websocket import websocket

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOPBACK = "127.0.0.1"
NEWS = "/socket?after=9999999999999"  # a WebSocket that gets nothing of what was said before


class DemoProcess(ChildProcess):
    """`examples/demo/run.py` on free ports. Ready when it has said what to do next."""

    def __init__(
        self,
        *,
        listen: str = "",
        publish: str = "",
        backend: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.proxy_address = (LOOPBACK, closed_port())
        self.backend_address = (LOOPBACK, int(backend or closed_port()))
        arguments = (
            str(ROOT / "examples/demo/run.py"),
            "--listen", listen or f"{LOOPBACK}:{self.proxy_address[1]}",
            "--publish", publish or f"{LOOPBACK}:{closed_port()}",
            "--backend", str(self.backend_address[1]),
        )  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        super().__init__(arguments, environment={**inherited, "PYTHONPATH": str(ROOT), **(environment or {})})
        self.said = ""

    async def ready(self) -> None:
        """Read what it says, up to its last line or its end."""
        assert self.process.stdout is not None
        async with bounded():
            while "Ctrl-C" not in self.said and (line := await self.process.stdout.readline()):
                self.said += line.decode()

    async def stop(self) -> None:
        """Let it end its children, which know nothing of a SIGKILL."""
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
            await self.exit_status()
        await super().stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo() -> AsyncIterator[DemoProcess]:
    """One demo for the tests that leave it running."""
    async with DemoProcess() as demo:
        yield demo


@pytest_asyncio.fixture(loop_scope="module")
async def client(demo: DemoProcess) -> AsyncIterator[RawClient]:
    """A connected client."""
    async with await RawClient.connect(demo.proxy_address) as client:
        yield client


async def say(demo: DemoProcess, text: str) -> Response:
    """Send a message as the page does, on a connection of its own."""
    async with await RawClient.connect(demo.proxy_address) as client:
        return await client.fetch("/messages", method="POST", body=json.dumps({"text": text}).encode())


async def test_it_says_what_to_do_next(demo: DemoProcess) -> None:
    url = f"http://{LOOPBACK}:{demo.proxy_address[1]}"
    assert f"Open {url}/" in demo.said
    assert f"curl -N {url}/events" in demo.said
    assert f"curl -N '{url}/.well-known/mercure?match=demo'" in demo.said


async def test_the_page_is_served(client: RawClient) -> None:
    response = await client.fetch("/")
    assert response.status == 200
    assert response.values(b"content-type") == (b"text/html; charset=utf-8",)
    assert response.body == (ROOT / "examples/demo/page.html").read_bytes()
    head = await client.fetch("/", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    for answer in (response, head):
        assert answer.values(b"link") == (b'</.well-known/mercure>; rel="mercure"',)


async def test_a_message_arrives_on_the_stream_and_on_the_long_poll(demo: DemoProcess, client: RawClient) -> None:
    async with await RawClient.connect(demo.proxy_address) as poller:
        await client.send_request("/events")
        assert (await client.head()).values(b"content-type") == (b"text/event-stream",)
        await client.read_until(b"You are held on channel demo.\n\n")
        await poller.send_request("/poll")
        await demo.log_line("subscribe .*/poll channel=demo")
        answer = await say(demo, "Grüße")
        assert answer.status == 201
        message = json.loads(answer.body)
        assert message["text"] == "Grüße"
        event = await client.read_until(f"id: {message['id']}\ndata: ".encode())
        assert event.endswith(b"data: ")
        assert json.loads(await client.read_until(b"\n\n")) == message
        polled = await poller.response()
        assert polled.values(b"content-type") == (b"application/json",)
        assert json.loads(polled.body)["messages"][-1] == message


async def test_a_message_arrives_from_the_hub_which_keeps_no_history(demo: DemoProcess, client: RawClient) -> None:
    await say(demo, "before")
    stream = await open_events(client, query(("match", "demo")))
    answer = await say(demo, "Grüße")
    assert json.loads((await stream.event()).data) == json.loads(answer.body)


async def test_a_message_arrives_by_websocket(demo: DemoProcess) -> None:
    async with websocket(demo.proxy_address, NEWS) as socket:
        answer = await say(demo, "Grüße")
        assert json.loads(await socket.heard()) == json.loads(answer.body)


async def test_what_is_said_by_websocket_reaches_everybody(demo: DemoProcess, client: RawClient) -> None:
    async with websocket(demo.proxy_address, NEWS) as speaker, websocket(demo.proxy_address, NEWS) as listener:
        await speaker.say(" Grüße ")
        message = json.loads(await speaker.heard())
        assert message["text"] == "Grüße"
        assert json.loads(await listener.heard()) == message
        polled = await client.fetch(f"/poll?after={message['id'] - 1}")
        assert json.loads(polled.body) == {"messages": [message]}


async def test_a_websocket_is_told_of_what_it_said_wrong_and_its_pings_and_close_are_answered(
    demo: DemoProcess,
) -> None:
    async with websocket(demo.proxy_address, NEWS) as socket:
        for wrong, problem in (
            (" ", "The message is empty.\n"),
            ("x" * 4001, "Too long: a message may have 4000 bytes.\n"),
        ):
            await socket.say(wrong)
            assert json.loads(await socket.heard()) == {"problem": problem}
        await socket.put(Frame(Opcode.PING, b"there?"))
        assert await socket.frame() == Frame(Opcode.PONG, b"there?")
        await socket.put_close(4001)
        assert (await socket.closed()).code == 4001


async def test_who_comes_back_gets_what_was_said_meanwhile(demo: DemoProcess, client: RawClient) -> None:
    first, second = [json.loads((await say(demo, text)).body) for text in ("first", "second")]
    polled = await client.fetch(f"/poll?after={first['id']}")
    assert json.loads(polled.body) == {"messages": [second]}
    await client.send_request("/events", headers=[("Last-Event-ID", str(first["id"]))])
    begun = await client.read_until(b'"second"}\n\n')
    assert b'"first"' not in begun
    async with websocket(demo.proxy_address, f"/socket?after={first['id']}") as socket:
        assert json.loads(await socket.heard()) == second


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        pytest.param("POST", "/messages", b"", 400, b"JSON", id="no body"),
        pytest.param("POST", "/messages", b'{"text": ', 400, b"JSON", id="broken JSON"),
        pytest.param("POST", "/messages", b"[" * 3000, 400, b"JSON", id="deep JSON"),
        pytest.param("POST", "/messages", b'["text"]', 400, b"JSON", id="a list"),
        pytest.param("POST", "/messages", b"{}", 400, b"JSON", id="no text"),
        pytest.param("POST", "/messages", b'{"text": 5}', 400, b"JSON", id="a number for text"),
        pytest.param("POST", "/messages", b'{"text": "\xff"}', 400, b"JSON", id="not UTF-8"),
        pytest.param("POST", "/messages", b'{"text": " "}', 400, b"empty", id="blank"),
        pytest.param("POST", "/messages", b" " * 4001, 413, b"4000 bytes", id="too long"),
        pytest.param("POST", "/messages", b" " * 5_000_000, 413, b"4000 bytes", id="much too long"),
        pytest.param("GET", "/messages", None, 404, b"POST /messages", id="the wrong method"),
        pytest.param("GET", "/socket", None, 400, b"WebSockets", id="not a WebSocket"),
        pytest.param("POST", "/socket?after=1", b"OPEN\r\n", 400, b"WebSockets", id="not of a WebSocket"),
        pytest.param("GET", "/favicon.ico", b"GET / HTTP/1.1\r\n\r\n", 404, b"GET /events", id="the wrong path"),
    ],
)
async def test_wrong_input_is_told_what_is_wrong(
    client: RawClient, method: str, path: str, body: bytes | None, status: int, text: bytes
) -> None:
    """And the next request on the same connection is answered as if nothing had been."""
    response = await client.fetch(path, method=method, body=body)
    assert response.status == status
    assert text in response.body
    assert response.body.endswith(b"\n")
    assert (await client.fetch("/")).status == 200


async def test_a_body_in_chunks_is_read_to_its_end(client: RawClient) -> None:
    """Holdfast passes on long ones as they are; what is left of one would be the backend's next request."""
    chunk = b"20000\r\n" + b" " * 0x20000 + b"\r\n"
    await client.send(b"POST /messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.send(chunk * 3 + b"0\r\n\r\n")
    assert (await client.response()).status == 413
    assert (await client.fetch("/")).status == 200


async def test_the_backend_asked_directly_says_where_to_go(demo: DemoProcess) -> None:
    async with await RawClient.connect(demo.backend_address) as client:
        for path in ("/events", "/poll", "/socket"):
            response = await client.fetch(path)
            assert response.status == 501
            assert b"http://localhost:7999/" in response.body
        assert (await client.fetch("/")).status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_both_in_good_order(number: signal.Signals) -> None:
    async with DemoProcess() as demo, await RawClient.connect(demo.proxy_address) as client:
        await client.send_request("/events")
        await client.read_until(b"held on channel demo.\n\n")
        demo.signal(number)
        await client.read_until(b"0\r\n\r\n")
        assert await demo.exit_status() == 0
        for address in (demo.proxy_address, demo.backend_address):
            with pytest.raises(ConnectionRefusedError):
                await RawClient.connect(address)


@pytest.mark.parametrize("taken", ["listen", "publish", "backend"])
async def test_a_port_that_is_taken_is_one_line_and_ends_both(backend: ScriptedBackend, taken: str) -> None:
    async with DemoProcess(
        listen=backend.address if taken == "listen" else "",
        publish=backend.address if taken == "publish" else "",
        backend=str(backend.port) if taken == "backend" else "",
    ) as demo:
        assert await demo.exit_status() == 1
        assert demo.said == ""
        complaints = [line for line in demo.log if not line.startswith("[INFO]")]
        assert len(complaints) == 1
        assert "Address already in use" in complaints[0]
        if taken != "backend":
            with pytest.raises(ConnectionRefusedError):
                await RawClient.connect(demo.backend_address)


async def test_a_message_that_cannot_be_published_is_kept_and_the_sender_is_told() -> None:
    async with (
        DemoProcess(environment={"HOLDFAST_PUBLISH_TOKEN": "secret"}) as demo,
        await RawClient.connect(demo.proxy_address) as client,
    ):
        answer = await say(demo, "unheard")
        assert answer.status == 502
        assert b"401 Authorization required." in answer.body
        async with websocket(demo.proxy_address, NEWS) as socket:
            await socket.say("unheard, too")
            assert "401 Authorization required." in json.loads(await socket.heard())["problem"]
        polled = await client.fetch("/poll?after=0")
        assert [message["text"] for message in json.loads(polled.body)["messages"]] == ["unheard", "unheard, too"]
