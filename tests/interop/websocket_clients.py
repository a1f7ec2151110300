"""WebSocket clients of other people's, unmodified, behind one shape: open a URL, then send, receive and close."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import pytest
import websocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.interop.grip_site import TIMEOUT
from tests.interop.program import NODE_FOLDER, Program, installed, node

CTRL_C = "\x03"

Closed = tuple[int, str]
"""The code and the reason that a client was closed with, as it shows them."""


class Socket(Protocol):
    """A client, connected."""

    def send(self, message: str | bytes) -> None:
        """Send a whole message."""

    def receive(self) -> str | bytes:
        """Return the next message; the test fails when the connection ends instead."""

    def close(self, code: int) -> Closed:
        """Close, and return what the other side has answered."""

    def closed(self) -> Closed:
        """Wait for the other side's close, with no message before it."""


Open = Callable[[str], AbstractContextManager[Socket]]
"""Connects a client to a URL."""


# -- Python -------------------------------------------------------------------------------------------------------


class ByWebsockets:
    """The synchronous client of `websockets`; tests of the asynchronous one are in modules of their own."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def send(self, message: str | bytes) -> None:
        self._connection.send(message)

    def receive(self) -> str | bytes:
        message: str | bytes = self._connection.recv(TIMEOUT[1])
        return message

    def close(self, code: int) -> Closed:
        self._connection.close(code)
        return self.closed()

    def closed(self) -> Closed:
        with pytest.raises(ConnectionClosed) as closed:
            self.receive()
        assert closed.value.rcvd is not None, "closed without a close frame"
        return closed.value.rcvd.code, closed.value.rcvd.reason


@contextmanager
def by_websockets(url: str) -> Generator[Socket]:
    with connect(url, proxy=None) as connection:
        yield ByWebsockets(connection)


class ByWebsocketClient:
    """PyPI's `websocket-client`. It answers pings and closes while it receives."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection

    def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._connection.send(message)
        else:
            self._connection.send_binary(message)

    def receive(self) -> str | bytes:
        opcode, data = self._connection.recv_data()
        assert opcode in (websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY), (opcode, data)
        return data.decode() if opcode == websocket.ABNF.OPCODE_TEXT else bytes(data)

    def close(self, code: int) -> Closed:
        self._connection.send_close(code)
        return self.closed()

    def closed(self) -> Closed:
        opcode, data = self._connection.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE, (opcode, data)
        return int.from_bytes(data[:2], "big"), data[2:].decode()


@contextmanager
def by_websocket_client(url: str) -> Generator[Socket]:
    connection = websocket.create_connection(url, timeout=TIMEOUT[1], http_no_proxy=["*"])
    try:
        yield ByWebsocketClient(connection)
    finally:
        connection.shutdown()  # type: ignore[no-untyped-call]


# -- Node.js ------------------------------------------------------------------------------------------------------


class ByNode:
    """What `node/websocket_client.mjs` makes of a library."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def send(self, message: str | bytes) -> None:
        self._tell(message if isinstance(message, str) else {"bytes": message.hex()})

    def receive(self) -> str | bytes:
        match said := json.loads(self._program.line()):
            case {"text": str(text)}:
                return text
            case {"bytes": str(digits)}:
                return bytes.fromhex(digits)
        pytest.fail(f"no message but {said}")

    def close(self, code: int) -> Closed:
        self._tell({"close": [code]})
        return self.closed()

    def closed(self) -> Closed:
        match said := json.loads(self._program.line()):
            case {"closed": [int(code), str(reason)]}:
                return code, reason
        pytest.fail(f"not closed but {said}")

    def opened(self) -> None:
        assert json.loads(self._program.line()) == "open"

    def _tell(self, what: object) -> None:
        self._program.say(json.dumps(what))


def by_ws(url: str) -> AbstractContextManager[Socket]:
    return by_node("ws", url)


def by_nodes_own(url: str) -> AbstractContextManager[Socket]:
    return by_node("node", url)


def by_reconnecting_websocket(url: str) -> AbstractContextManager[ByNode]:
    return by_node("reconnecting-websocket", url)


@contextmanager
def by_node(library: str, url: str) -> Generator[ByNode]:
    command = [node(), str(NODE_FOLDER / "websocket_client.mjs"), library, url]
    with Program(library, command, listens=True) as program:
        client = ByNode(program)
        client.opened()
        yield client


class ByWscat:
    """The command `wscat`, in a terminal. It sends text only, and ends when it is closed."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.is_closed = False

    def send(self, message: str | bytes) -> None:
        assert isinstance(message, str)
        self._program.say(message)

    def receive(self) -> str | bytes:
        return self._line().removeprefix("< ")

    def close(self, code: int) -> Closed:
        self._program.say(f"/close {code}")
        return self.closed()

    def closed(self) -> Closed:
        line = self._line()
        found = re.search(r'Disconnected \(code: (\d+), reason: "(.*)"\)', line)
        assert found, line
        self.is_closed = True
        return int(found[1]), found[2]

    def connected(self) -> None:
        assert self._line() == "Connected (press CTRL+C to quit)"

    def _line(self) -> str:
        """Return the next line of its output: not of the terminal's, which also shows the prompt and what is typed."""
        while True:
            shown = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self._program.line()).split("\r")[-1]
            if shown and not shown.startswith((">", "/")):
                return shown


@contextmanager
def by_wscat(url: str) -> Generator[Socket]:
    terminal = installed("script", "Debian's bsdutils")
    command = shlex.join([node(), str(NODE_FOLDER / "node_modules/wscat/bin/wscat"), "--slash", "--connect", url])
    with Program("wscat", [terminal, "-qec", command, "/dev/null"], listens=True) as program:
        client = ByWscat(program)
        client.connected()
        yield client
        # Told to end by a signal, `script` would take two seconds.
        if not client.is_closed:
            program.say(CTRL_C)
        program.await_end()
