"""An ordinary HTTP backend that is live because Holdfast stands in front of it. Standard library only.

A request stays here no longer than its answer takes. `Grip-*` headers ask Holdfast to hold the client, and what is
POSTed to Holdfast's publish port reaches everybody held. `make run` starts both; by hand:

    python examples/demo/backend.py
    holdfast --route '* 127.0.0.1:8000'
"""

from __future__ import annotations

import argparse
import json
import sys
import time
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
PUBLISH_TIMEOUT = 10  # seconds
DIRECT = "Only Holdfast can hold a client, and you have come past it. Open http://localhost:7999/ instead.\n"


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said. The id is the time in milliseconds: it goes on growing when this process starts anew."""

    id: int
    text: str

    def as_event(self) -> str:
        """Return it as one event of an event stream."""
        return f"id: {self.id}\ndata: {json.dumps(asdict(self))}\n\n"


def as_json(messages: tuple[Message, ...]) -> str:
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
                    # All the latest: others may have been said while the next poll of a client was on its way.
                    "http-response": {"body": as_json(self._latest)},
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


class Backend(ThreadingHTTPServer):
    """Answers each connection in a thread of its own."""

    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], room: Room) -> None:
        super().__init__(address, Handler)
        self.room = room


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Backend
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one piece

    def do_GET(self) -> None:
        """Answer with the page, or with what Holdfast is to hold."""
        url = urlsplit(self.path)
        if url.path == "/":
            self.answer(200, PAGE.read_text(encoding="utf-8"), {"Content-Type": "text/html; charset=utf-8"})
        elif url.path in {"/events", "/poll"} and "Grip-Feature" not in self.headers:
            self.answer(501, DIRECT)
        elif url.path == "/events":
            self.stream(known=number(self.headers.get("Last-Event-ID", "")))
        elif url.path == "/poll":
            self.poll(known=number(parse_qs(url.query).get("after", [""])[0]))
        elif url.path == "/messages":
            self.answer(405, "POST messages here, and read them at /events or /poll.\n", {"Allow": "POST"})
        else:
            self.answer(404, "There are /, /events, /poll and /messages.\n")

    do_HEAD = do_GET

    def stream(self, known: int) -> None:
        """Begin an event stream with what its client does not know yet; Holdfast goes on with what is published."""
        welcome = f"event: welcome\ndata: You are held on channel {CHANNEL}.\n\n"
        events = "".join(message.as_event() for message in self.server.room.newer_than(known))
        headers = {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "Grip-Hold": "stream",
            "Grip-Channel": CHANNEL,
            "Grip-Keep-Alive": r": still here\n\n; format=cstring; timeout=20",
        }
        self.answer(200, welcome + events, headers)

    def poll(self, known: int) -> None:
        """Answer with what the client does not know yet. Nothing is the answer only if 25 seconds bring nothing."""
        messages = self.server.room.newer_than(known)
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if not messages:
            headers |= {"Grip-Hold": "response", "Grip-Channel": CHANNEL, "Grip-Timeout": "25"}
        self.answer(200, as_json(messages), headers)

    def do_POST(self) -> None:
        """Take a message and publish it."""
        body = self.read_body()
        if self.path != "/messages":
            return self.answer(404, "Messages go to /messages.\n")
        if len(body) > LONGEST_BODY:
            return self.answer(413, f"Too long: a message may have {LONGEST_BODY} bytes.\n")
        try:
            text = json.loads(body)["text"].strip()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return self.answer(400, 'A message is JSON, like {"text": "Hello"}.\n')
        if not text:
            return self.answer(400, "The message is empty.\n")
        try:
            message = self.server.room.say(text)
        except (OSError, HTTPException) as error:
            return self.answer(502, f"Holdfast did not take the message: {error}\n")
        return self.answer(201, json.dumps(asdict(message)) + "\n", {"Content-Type": "application/json"})

    def read_body(self) -> bytes:
        """Read the body to its end, but return no more of it than shows that it is too long."""
        length = number(self.headers.get("Content-Length", ""))
        body = self.rfile.read(min(length, LONGEST_BODY + 1))
        left = length - len(body)
        while left and (piece := self.rfile.read(min(left, LONGEST_BODY))):
            left -= len(piece)
        return body

    def answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        """Send one whole answer."""
        body = text.encode()
        self.send_response(status)
        fields = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Leave it to Holdfast, which logs every request."""


def number(text: str) -> int:
    """Return a number that a client sent; 0 for what is none."""
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="The demo backend, to be put behind Holdfast.")
    parser.add_argument("address", nargs="?", default="127.0.0.1:8000", help="[HOST:]PORT to listen on (%(default)s)")
    parser.add_argument("--publish", metavar="URL", default="http://127.0.0.1:5561", help="publish port (%(default)s)")
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    try:
        backend = Backend((host or "127.0.0.1", int(port)), Room(options.publish))
    except (OSError, OverflowError, ValueError) as error:
        sys.exit(f"demo backend: cannot listen on {options.address}: {error}")
    print(f"The demo backend listens on {host or '127.0.0.1'}:{backend.server_port}", flush=True)
    try:
        backend.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
