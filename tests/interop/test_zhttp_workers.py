"""Other people's ZHTTP workers behind Holdfast: Debian's Pushpin, whose two processes are workers, and Debian's zurl.

Pushpin connects to the sockets that Holdfast binds as it does to those of its own front. Its built-in test backend
holds streams and polls, for which its proxy hands the request over to its handler. zurl makes HTTP requests of what it
gets; it binds, as Holdfast does, so a relay stands between them.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import zmq

from tests.interop.grip_site import TIMEOUT, Held, start_holdfast
from tests.interop.program import LOOPBACK, START_LIMIT, Program, free_ports, installed

PUSHPIN = """\
[global]
include={{libdir}}/internal.conf
rundir={folder}
ipc_prefix=p-
[proxy]
routesfile={folder}/routes
condure_in_specs=ipc://{folder}/z-out
condure_in_stream_specs=ipc://{folder}/z-out-stream
condure_out_specs=ipc://{folder}/z-in
m2a_in_specs=
m2a_in_stream_specs=
m2a_out_specs=
[handler]
condure_in_stream_specs=ipc://{folder}/z-out-stream
condure_out_specs=ipc://{folder}/z-in
m2a_in_stream_specs=ipc://{folder}/none-stream
m2a_out_specs=ipc://{folder}/none
push_in_http_addr=127.0.0.1
push_in_http_port={port}
"""

ZURL = """\
[General]
instance_id=zurl
in_req_spec=ipc://{folder}/zurl-req
in_spec=ipc://{folder}/zurl-in
in_stream_spec=ipc://{folder}/zurl-in-stream
out_spec=ipc://{folder}/zurl-out
defpolicy=allow
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the sockets are: a short path, as those of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="hf-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def publish_url(folder: Path) -> str:
    """Pushpin's own publish port, of which Holdfast knows nothing."""
    (port,) = free_ports(1)
    (folder / "pushpin.conf").write_text(PUSHPIN.format(folder=folder, port=port))
    (folder / "routes").write_text("* test\n")
    return f"http://{LOOPBACK}:{port}/publish/"


@pytest.fixture(scope="module")
def pushpin_url(folder: Path, publish_url: str) -> Iterator[str]:
    """Holdfast, with Pushpin's two processes as its worker."""
    config = str(folder / "pushpin.conf")
    with ExitStack() as stack:
        listen, publish = free_ports(2)
        holdfast = stack.enter_context(
            start_holdfast(listen, publish, f"zhttp/ipc://{folder}/z", ["proxy.debug=true"], ["*,no_grip"])
        )
        holdfast.await_port(listen)
        for name in ("pushpin-proxy", "pushpin-handler"):
            tool = installed(name, "Debian's pushpin")
            stack.enter_context(Program(name, [tool, "--config", config])).await_line("started")
        yield f"http://{LOOPBACK}:{listen}"


@pytest.fixture(scope="module")
def zurl_url(folder: Path, pushpin_url: str) -> Iterator[str]:
    """Holdfast, with zurl as its worker, which asks the Holdfast whose worker is Pushpin."""
    (folder / "zurl.conf").write_text(ZURL.format(folder=folder))
    with ExitStack() as stack:
        listen, publish = free_ports(2)
        host = pushpin_url.removeprefix("http://")
        holdfast = stack.enter_context(
            start_holdfast(listen, publish, f"zhttp/ipc://{folder}/r,host={host}", [], ["*"])
        )
        holdfast.await_port(listen)
        tool = installed("zurl", "Debian's zurl")
        stack.enter_context(Program("zurl", [tool, f"--config={folder}/zurl.conf"])).await_line("started")
        relay = Relay(f"ipc://{folder}/r", f"ipc://{folder}/zurl")
        stack.callback(relay.stop)
        relay.start()
        yield f"http://{LOOPBACK}:{listen}"


class Relay:
    """Passes messages between Holdfast's sockets and those of a zurl, in a thread of its own."""

    def __init__(self, ours: str, zurls: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._answers = self._socket(zmq.XPUB, f"{ours}-in")
        self._pairs = [
            (self._socket(zmq.SUB, f"{zurls}-out"), self._answers),
            (self._socket(zmq.DEALER, f"{ours}-out-stream"), self._socket(zmq.DEALER, f"{zurls}-in-stream")),
        ]
        self._ours, self._zurls = ours, zurls
        self._is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin, once answers have a way back."""
        assert self._answers.poll(int(1000 * START_LIMIT)), "Holdfast has not subscribed"
        self._pairs.append((self._socket(zmq.PULL, f"{self._ours}-out"), self._socket(zmq.PUSH, f"{self._zurls}-in")))
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._is_over = True
        if self._thread.is_alive():
            self._thread.join()
        self._context.destroy(linger=0)

    def _socket(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.IDENTITY, b"zurl")
        if kind == zmq.SUB:
            socket.subscribe(b"")
        socket.connect(endpoint)
        return socket

    def _run(self) -> None:
        while not self._is_over:
            for source, target in self._pairs:
                if source.poll(10):
                    target.send_multipart(source.recv_multipart())


def publish(url: str, channel: str, **formats: dict[str, str]) -> None:
    """Publish at Pushpin."""
    named = {name.replace("_", "-"): value for name, value in formats.items()}
    answer = requests.post(url, json={"items": [{"channel": channel, "formats": named}]}, timeout=TIMEOUT)
    assert answer.text == "Published\n"


def test_r38_pushpin_answers(pushpin_url: str) -> None:
    answer = requests.get(f"{pushpin_url}/", timeout=TIMEOUT)
    assert (answer.status_code, answer.text) == (200, "Hello from the Pushpin test handler!\n")
    assert requests.get(f"{pushpin_url}/none", timeout=TIMEOUT).status_code == 404


def test_r38_a_body_is_streamed_to_pushpin(pushpin_url: str) -> None:
    """So large that Pushpin has answered before its end: where both fall together it keeps its answer to itself."""
    answer = requests.post(f"{pushpin_url}/", data=b"x" * 1_000_000, timeout=TIMEOUT)
    assert (answer.status_code, answer.text) == (400, "request too large\n")


def test_r38_pushpin_hands_a_stream_over_and_goes_on_with_it(pushpin_url: str, publish_url: str, channel: str) -> None:
    with Held(f"{pushpin_url}/stream?channel={channel}", {}) as stream:
        stream.expect("[stream opened]\n")
        for number in range(3):
            publish(publish_url, channel, http_stream={"content": f"{number}\n"})
            stream.expect(f"{number}\n")
        publish(publish_url, channel, http_stream={"action": "close"})
        stream.expect_end()


def test_r38_pushpin_holds_a_poll(pushpin_url: str, publish_url: str, channel: str) -> None:
    answers: list[requests.Response] = []

    def ask() -> None:
        answers.append(requests.get(f"{pushpin_url}/response?channel={channel}", timeout=TIMEOUT))

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        publish(publish_url, channel, http_response={"body": "polled\n"})
        asking.join(0.1)
    assert answers[0].text == "polled\n"


def test_r38_zurl_makes_http_requests_of_what_it_gets(zurl_url: str) -> None:
    answer = requests.get(f"{zurl_url}/", timeout=TIMEOUT)
    assert (answer.status_code, answer.text) == (200, "Hello from the Pushpin test handler!\n")
    answer = requests.post(f"{zurl_url}/", data=b"x" * 300_000, timeout=TIMEOUT)
    assert (answer.status_code, answer.text) == (400, "request too large\n")
