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
from collections import deque
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qs, urlsplit

PAGE = Path(__file__).with_name("page.html")
CHANNEL = "demo"
LONGEST_BODY = 4000  # bytes
PUBLISH_TIMEOUT = 10  # seconds
DIRECT = "I cannot hold you, Holdfast can: open http://localhost:7999/, which it serves in front of me.\n"

Message = dict[str, int | str]


class Room:
    """The latest messages, and the way to everybody who waits for the next one."""

    def __init__(self, publish_url: str) -> None:
        self._publishers_door = urlsplit(publish_url).netloc
        self._latest: deque[Message] = deque([{"id": 0, "text": "Whoever is held sees this."}], maxlen=10)
        self._lock = Lock()  # messages are published in the order of their ids

    def newer_than(self, known: int) -> list[Message]:
        """Return those of the latest messages that have an id above `known`."""
        return [message for message in tuple(self._latest) if int(message["id"]) > known]

    def say(self, text: str) -> Message:
        """Keep a message and publish it. Raises OSError or HTTPException if Holdfast does not take it."""
        with self._lock:
            # The time in milliseconds, so that ids go on growing when this process starts anew.
            message_id = max(int(self._latest[-1]["id"]) + 1, time.time_ns() // 1_000_000)
            message: Message = {"id": message_id, "text": text}
            self._latest.append(message)
            self._publish(
                {
                    "channel": CHANNEL,
                    "id": str(message_id),
                    "formats": {
                        "http-stream": {"content": as_event(message)},
                        # All the latest, for those whose next long poll was still on its way when others were said.
                        "http-response": {"body": as_json(messages=list(self._latest))},
                    },
                }
            )
        return message

    def _publish(self, item: dict[str, object]) -> None:
        connection = HTTPConnection(self._publishers_door, timeout=PUBLISH_TIMEOUT)
        try:
            connection.request("POST", "/publish/", as_json(items=[item]))
            answer = connection.getresponse()
            if answer.status != 200:
                raise HTTPException(f"{answer.status} {answer.read().decode().strip()}")
        finally:
            connection.close()
