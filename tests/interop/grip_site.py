"""A backend behind Holdfast, and a client's view of a response that Holdfast holds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import pytest
import requests

from tests.interop.program import LOOPBACK, Program, free_ports

SIG_KEY: Final = "changeme"
PUBLISH_KEY: Final = "what publishers sign their tokens with"
TIMEOUT: Final = (5, 15)  # to connect, to read: seconds

_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where to find a backend and the proxy before it. URLs end without a slash."""

    url: str
    """Through the proxy."""
    backend_url: str
    """Around the proxy."""
    publish_url: str
    backend: Program
    _session: requests.Session = field(repr=False)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Ask through the proxy."""
        return self._session.get(self.url + path, headers=headers, timeout=TIMEOUT)

    def socket_url(self, path: str) -> str:
        """Return where a WebSocket is, through the proxy."""
        return self.url.replace("http", "ws", 1) + path

    def ask_backend(self, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Ask the backend itself."""
        return self._session.get(self.backend_url + path, headers=headers, timeout=TIMEOUT)

    def publish(self, path: str, body: str | bytes = b"") -> Any:
        """Have the backend publish, asked through the proxy too. Returns its JSON answer."""
        data = body.encode() if isinstance(body, str) else body
        headers = {"Content-Type": "text/plain"}
        response = self._session.post(f"{self.url}/publish/{path}", data=data, headers=headers, timeout=TIMEOUT)
        assert response.status_code == 200, response.text
        return response.json() if response.headers["Content-Type"].startswith("application/json") else response.text

    def poll(self, path: str, publish: Callable[[], object]) -> requests.Response:
        """Return the answer of a long poll that `publish` answers; the client's next request is answered too.

        Nothing tells a client that its poll is held by now, so `publish` is repeated until there is an answer.
        """
        with _client() as client, ThreadPoolExecutor(1) as executor:
            answer = executor.submit(client.get, self.url + path, timeout=TIMEOUT)
            deadline = time.monotonic() + TIMEOUT[1]
            while not wait([answer], timeout=0.2).done and time.monotonic() < deadline:
                publish()
            response = answer.result()
            # On the same connection, where an answer too many would be taken for this request's.
            assert "signed" in client.get(f"{self.url}/whoami", timeout=TIMEOUT).json()
        return response

    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Held:
        """Open a response that the proxy holds."""
        return Held(self.url + path, headers or {})


class Held:
    """A held response, read as it comes. Use as a context manager: leaving drops the connection."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        with ExitStack() as undo:
            self._session = undo.enter_context(_client())
            self.head = self._session.get(url, headers=dict(headers), stream=True, timeout=TIMEOUT)
            undo.pop_all()
        self._pieces = self.head.iter_content(chunk_size=None)
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.head.close()
        self._session.close()

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, and fail when the response ends before them."""
        while len(self._unread) < size:
            piece = next(self._pieces, None)
            if piece is None:
                pytest.fail(f"ended after {self._unread!r}, {size} bytes were to come")
            self._unread += piece
        read, self._unread = self._unread[:size], self._unread[size:]
        return read

    def expect(self, text: str | bytes) -> None:
        """Read exactly `text`."""
        expected = text.encode() if isinstance(text, str) else text
        assert self.read(len(expected)) == expected

    def expect_end(self) -> None:
        """Read the clean end of the response, and nothing before it."""
        rest = self._unread + b"".join(self._pieces)
        assert rest == b""

    def ask_again(self, url: str) -> requests.Response:
        """Send the next request as the same client; its connection is used again when it is still open."""
        return self._session.get(url, timeout=TIMEOUT)


@contextmanager
def site(
    name: str,
    command: Callable[[int], list[str]],
    settings: Sequence[str] = (),
    *,
    over_http: bool = True,
    conditions: Sequence[str] = ("*",),
) -> Generator[Site]:
    """Start a backend and Holdfast before it.

    `command` makes the backend's command from its port; `settings` are Holdfast's, as `section.key=value`. The backend
    finds in its environment PORT, GRIP_URL with the keys, and PUBLISH (host:port). Unless it speaks WebSocket itself,
    it gets WebSockets `over_http`. `conditions` are those of Holdfast's routes, which all lead to it.
    """
    listen, publish, backend = free_ports(3)
    env = {"PORT": str(backend), "GRIP_URL": grip_url(publish), "PUBLISH": f"{LOOPBACK}:{publish}"}
    target = f"{LOOPBACK}:{backend}{',over_http' if over_http else ''}"
    with (
        Program(name, command(backend), env=env | {"PYTHONPATH": str(_ROOT)}) as backend_program,
        start_holdfast(listen, publish, target, settings, conditions) as holdfast,
        _client() as session,
    ):
        backend_program.await_port(backend)
        holdfast.await_port(listen)
        holdfast.await_port(publish)
        yield Site(
            url=f"http://{LOOPBACK}:{listen}",
            backend_url=f"http://{LOOPBACK}:{backend}",
            publish_url=f"http://{LOOPBACK}:{publish}",
            backend=backend_program,
            _session=session,
        )
    assert "Traceback" not in holdfast.output, holdfast.output


def grip_url(publish: int) -> str:
    """Return the GRIP_URL of a publish port: publish with a JWT, and know a request of Holdfast's by its signature."""
    parameters = {"iss": "interop", "key": PUBLISH_KEY, "verify-iss": "pushpin", "verify-key": SIG_KEY}
    return f"http://{LOOPBACK}:{publish}/?{urlencode(parameters, quote_via=quote)}"


def start_holdfast(
    listen: int, publish: int, target: str, settings: Sequence[str], conditions: Sequence[str] = ("*",)
) -> Program:
    """Start Holdfast from this checkout, in front of one target."""
    command = [sys.executable, "-m", "proxy", "run", "--config", os.devnull]
    command += ["--listen", f"{LOOPBACK}:{listen}", "--publish", f"{LOOPBACK}:{publish}"]
    for condition in conditions:
        command += ["--route", f"{condition} {target}"]
    for setting in [f"proxy.sig_key={SIG_KEY}", *settings]:
        command += ["--set", setting]
    return Program("holdfast", command, env={"PYTHONPATH": str(_ROOT)})


def _client() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxies from the environment
    return session
