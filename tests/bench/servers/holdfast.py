"""Holdfast itself, started as its users start it: the console script, with the `test` target behind every request."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import jwt

from tests.bench.servers.process import Server, read_ports, running
from tests.bench.servers.way import CONTENT_SIZE, STREAM_PAYLOAD, Kind, Way, get, post, upgrade

HUB = "/.well-known/mercure"
KEY = "a key for the benchmark alone, 32 bytes"
TOKEN = jwt.encode({"mercure": {"publish": ["*"], "subscribe": ["*"]}}, KEY)
BEARER = f"Authorization: Bearer {TOKEN}"
FORM = "Content-Type: application/x-www-form-urlencoded"
TOPIC = "https://bench.example/1"

EVENT = b"data: {payload}\n\n"
UPDATE = b"id: urn:uuid:????????-????-????-????-????????????\ndata: {payload}\n\n"


@contextmanager
def start(*settings: str) -> Iterator[Server]:
    """Run it with these settings (`section.key=value`), with a history in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        hub = [f"mercure.publisher_key={KEY}", f"mercure.subscriber_key={KEY}", f"mercure.history={folder}/history.db"]
        words = [word for setting in (*hub, *settings) for word in ("--set", setting)]
        command: list[str | Path] = [
            Path(sys.executable).parent / "holdfast",
            "run",
            "--route",
            "* test",
            "--listen",
            "127.0.0.1:0",
        ]
        with running([*command, "--publish", "127.0.0.1:0", *words], cwd=Path(folder)) as process:
            client_port, publish_port = read_ports(process)
            yield Server(name="holdfast", pid=process.pid, ways=ways(client_port, publish_port))


def ways(client_port: int, publish_port: int) -> Mapping[Kind, Way]:
    """Return how it holds and publishes."""
    return {
        Kind.STREAM: Way(
            client_port=client_port,
            publish_port=publish_port,
            request=get("/stream?channel=bench"),
            message=EVENT,
            publication=publish_item("http-stream", "data: {payload}\\n\\n", STREAM_PAYLOAD),
            payload_size=STREAM_PAYLOAD,
        ),
        Kind.WEBSOCKET: Way(
            client_port=client_port,
            publish_port=publish_port,
            request=upgrade("/ws?channel=bench"),
            message=b"{payload}",
            publication=publish_item("ws-message", "{payload}", CONTENT_SIZE),
            payload_size=CONTENT_SIZE,
        ),
        Kind.MERCURE: mercure_way(client_port),
    }


def publish_item(format_name: str, content: str, payload_size: int) -> bytes:
    """Return the request that publishes an item with this content (JSON inside its quotes); Pushpin's is the same."""
    body = f'{{"items":[{{"channel":"bench","formats":{{"{format_name}":{{"content":"{content}"}}}}}}]}}'
    return post("/publish/", body, payload_size, "Content-Type: application/json")


def mercure_way(port: int, *, matcher: str = f"topic={quote(TOPIC, safe='')}", topic: str = TOPIC) -> Way:
    """Return how a Mercure hub has subscribers, with their token, and how a private update on `topic` is published."""
    form = f"topic={quote(topic, safe='{}')}&private=on&data={{payload}}"
    return Way(
        client_port=port,
        publish_port=port,
        request=get(f"{HUB}?{matcher}", BEARER),
        message=UPDATE,
        publication=post(HUB, form, CONTENT_SIZE, FORM, BEARER),
        payload_size=CONTENT_SIZE,
    )
