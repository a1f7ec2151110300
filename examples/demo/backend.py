"""An ordinary HTTP backend that is live because Holdfast stands in front of it. Standard library only.

A request stays here no longer than its answer takes. `Grip-*` headers ask Holdfast to hold the client, and what is
POSTed to Holdfast's publish port reaches everybody held. What a WebSocket's client does comes as requests, too.
Subscribers of the Mercure hub never come here: the bridge gives them what is published for event streams.
`make run` starts both; by hand:

    python examples/demo/backend.py
    holdfast --route '*,mercure_link 127.0.0.1:8000,over_http' --set mercure.anonymous=true --set mercure.history= \
        --set mercure.bridge=public --set mercure.bridge_items=public
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qs, urlsplit

PAGE = Path(__file__).with_name("page.html")
CHANNEL = "demo"
KEPT = 10  # messages
LONGEST_BODY = 4000  # bytes
LONGEST_BATCH = 250_000  # bytes, of events of a WebSocket
TOO_LONG = f"Too long: a message may have {LONGEST_BODY} bytes.\n"
PUBLISH_TIMEOUT = 10  # seconds
PATHS = "There are GET /, GET /events, GET /poll, POST /messages and the WebSocket /socket.\n"
DIRECT = "Only Holdfast can hold a client, and you have come past it. Open http://localhost:7999/ instead.\n"
NO_EVENTS = "This is for WebSockets, of which a route with `over_http` makes requests.\n"
EVENTS_TYPE = "application/websocket-events"


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said. The id is the time in milliseconds: it goes on growing when this process starts anew."""

    id: int
    text: str

    def as_json(self) -> str:
        """Return it as a WebSocket's client gets it."""
        return json.dumps(asdict(self))

    def as_event(self) -> str:
        """Return it as one event of an event stream."""
        return f"id: {self.id}\ndata: {self.as_json()}\n\n"


def as_answer(messages: tuple[Message, ...]) -> str:
    """Return the answer to a long poll."""
    return json.dumps({"messages": [asdict(message) for message in messages]}) + "\n"


class Room:
    """The latest messages, and the way to everybody who waits for the next one."""

    def __init__(self, publish_url: str) -> None:
        self._publish_port = urlsplit(publish_url).netloc
        self._latest: tuple[Message, ...] = ()
        self._lock = Lock()  # messages are published in the order of their ids

    def newer_than(self, known: int) -> tuple[Message, ...]:
        """Return those of the latest messages whose id is above `known`."""
        return tuple(message for message in self._latest if message.id > known)

    def say(self, text: str) -> Message:
        """Keep a message, then publish it. Raises OSError or HTTPException when Holdfast does not take it."""
        with self._lock:
            last_id = self._latest[-1].id if self._latest else 0
            message = Message(max(last_id + 1, time.time_ns() // 1_000_000), text)
            self._latest = (*self._latest, message)[-KEPT:]
            self._publish(
                str(message.id),
                {
                    "http-stream": {"content": message.as_event()},
                    "ws-message": {"content": message.as_json()},
                    # All the latest: others may have been said while the next poll of a client was on its way.
                    "http-response": {"body": as_answer(self._latest)},
                },
            )
        return message

    def _publish(self, item_id: str, formats: dict[str, dict[str, str]]) -> None:
        connection = HTTPConnection(self._publish_port, timeout=PUBLISH_TIMEOUT)
        try:
            item = {"channel": CHANNEL, "id": item_id, "formats": formats}
            connection.request("POST", "/publish/", json.dumps({"items": [item]}))
            answer = connection.getresponse()
            if answer.status != 200:
                raise HTTPException(f"{answer.status} {answer.read().decode().strip()}")
        finally:
            connection.close()


class Server(ThreadingHTTPServer):
    """One thread for each of Holdfast's connections."""

    request_queue_size = 1024  # the default is 5; a thousand clients may come at once


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    room: Room  # set by main, the same for all
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one piece

    def do_GET(self) -> None:
        """Answer with the page, or with what Holdfast is to hold."""
        self.read_body()
        url = urlsplit(self.path)
        if url.path == "/":
            self.answer(200, PAGE.read_text(encoding="utf-8"), {"Content-Type": "text/html; charset=utf-8"})
        elif url.path not in {"/events", "/poll", "/socket"}:
            self.answer(404, PATHS)
        elif "Grip-Feature" not in self.headers:
            self.answer(501, DIRECT)
        elif url.path == "/events":
            self.stream(known=number(self.headers.get("Last-Event-ID", "")))
        elif url.path == "/socket":
            self.answer(400, NO_EVENTS)
        else:
            self.poll(after=parse_qs(url.query).get("after", []))

    def do_HEAD(self) -> None:
        """Answer as GET does, without the body."""
        self.do_GET()

    def stream(self, known: int) -> None:
        """Begin an event stream with what its client does not know yet; Holdfast goes on with what is published."""
        welcome = f"event: welcome\ndata: You are held on channel {CHANNEL}.\n\n"
        events = "".join(message.as_event() for message in self.room.newer_than(known))
        headers = {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "Grip-Hold": "stream",
            "Grip-Channel": CHANNEL,
            "Grip-Keep-Alive": r": still here\n\n; format=cstring; timeout=20",
        }
        self.answer(200, welcome + events, headers)

    def poll(self, after: list[str]) -> None:
        """Answer with what is newer than the id in `after`. If nothing is, have the client wait for what comes next."""
        messages = self.room.newer_than(number(after[0])) if after else ()
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if not messages:
            headers |= {"Grip-Hold": "response", "Grip-Channel": CHANNEL, "Grip-Timeout": "25"}
        self.answer(200, as_answer(messages), headers)

    def do_POST(self) -> None:
        """Take a message and publish it, or take what a WebSocket's client has done."""
        url = urlsplit(self.path)
        is_socket = url.path == "/socket" and self.headers.get("Content-Type") == EVENTS_TYPE
        body = self.read_body(LONGEST_BATCH if is_socket else LONGEST_BODY)
        if url.path not in {"/messages", "/socket"}:
            self.answer(404, PATHS)
        elif body is None:
            self.answer(413, TOO_LONG)
        elif is_socket:
            self.converse(body, after=parse_qs(url.query).get("after", ["0"]))
        elif url.path == "/socket":
            self.answer(400, NO_EVENTS)
        else:
            self.take(body)

    def take(self, body: bytes) -> None:
        """Take a message that comes by an ordinary request."""
        try:
            text = json.loads(body)["text"].strip()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return self.answer(400, 'A message is JSON, like {"text": "Hello"}.\n')
        status, answer = self.say(text)
        return self.answer(status, answer, {"Content-Type": "application/json"} if status == 201 else None)

    def say(self, text: str) -> tuple[int, str]:
        """Have a message published. Return the status and text of an answer."""
        if not text:
            return 400, "The message is empty.\n"
        if len(text.encode()) > LONGEST_BODY:
            return 413, TOO_LONG
        try:
            return 201, self.room.say(text).as_json() + "\n"
        except (OSError, HTTPException) as error:
            return 502, f"The message is kept, but was not pushed. Publish port: {error}\n"

    def converse(self, body: bytes, after: list[str]) -> None:
        """Answer what a WebSocket's client has done since the last request.

        What begins with `m:` is for the client, and what begins with `c:` for Holdfast.
        """
        answers = b""
        for kind, content in read_events(body):
            if kind == "OPEN":
                answers += event("OPEN") + event("TEXT", "c:" + json.dumps({"type": "subscribe", "channel": CHANNEL}))
                for message in self.room.newer_than(number(after[0])):
                    answers += event("TEXT", "m:" + message.as_json())
            elif kind == "TEXT":
                status, answer = self.say(content.decode().strip())
                if status != 201:
                    answers += event("TEXT", "m:" + json.dumps({"problem": answer}))
            elif kind == "PING":
                answers += event("PONG", content)
            elif kind == "CLOSE":
                answers += event("CLOSE", content)
        self.answer(200, answers, {"Content-Type": EVENTS_TYPE, "Sec-WebSocket-Extensions": "grip"})

    def read_body(self, longest: int = LONGEST_BODY) -> bytes | None:
        """Read the body, all of it, so that its rest is not taken for the next request. None if it is too long."""
        if "Transfer-Encoding" in self.headers:  # from Holdfast, a body of more than 100,000 bytes
            while size := int(self.rfile.readline() or b"0", 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
            return None
        length = number(self.headers.get("Content-Length", ""))
        if length <= longest:
            return self.rfile.read(length)
        while length and (piece := self.rfile.read(min(length, LONGEST_BODY))):
            length -= len(piece)
        return None

    def answer(self, status: int, text: str | bytes, headers: dict[str, str] | None = None) -> None:
        """Send one whole answer."""
        body = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        fields = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Leave it to Holdfast, which logs every request."""


def event(kind: str, content: str | bytes = b"") -> bytes:
    """Write an event of a WebSocket."""
    data = content.encode() if isinstance(content, str) else content
    return b"%b %x\r\n%b\r\n" % (kind.encode(), len(data), data)


def read_events(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Read events of a WebSocket, each a line with its kind and the length of its content."""
    while body:
        line, _, body = body.partition(b"\r\n")
        kind, _, size = line.decode().partition(" ")
        length = int(size or "0", 16)
        yield kind, body[:length]
        body = body[length + 2 :] if size else body


def number(text: str) -> int:
    """Return a number that a client sent; 0 for what is none."""
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="The demo backend, to be put behind Holdfast.")
    parser.add_argument("port", nargs="?", type=int, default=8000, help="port of 127.0.0.1 (%(default)s)")
    parser.add_argument("--publish", metavar="URL", default="http://127.0.0.1:5561", help="publish port (%(default)s)")
    options = parser.parse_args()
    Handler.room = Room(options.publish)
    try:
        server = Server(("127.0.0.1", options.port), Handler)
    except (OSError, OverflowError) as error:
        sys.exit(f"demo backend: cannot listen on port {options.port}: {error}")
    sys.stdout.write(f"demo backend: listening on 127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()  # run.py waits for it
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
