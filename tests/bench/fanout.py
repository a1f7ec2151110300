"""What one delivery costs: CPU time of the server per delivery of 150 bytes, and memory per held connection.

    python -m tests.bench.fanout [stream | websocket] [CLIENTS] [PUBLICATIONS]

Starts Holdfast in a process of its own in front of the `test` target, holds CLIENTS of a kind, publishes one message at
a time and reads the operating system's account of the server. Every client's bytes are counted. This is a first look;
comparing with a floor in C and with other servers is the benchmark suite's work.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

CONTENT = "x" * 149 + "\n"
ADDRESSES = re.compile(rb"clients on [^ ]*?:(\d+), for publishers on [^ ]*?:(\d+)")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to be held: what asks for it, what ends the answer, and what a message looks like."""

    request: bytes
    answered: bytes
    published: str
    message: bytes


KINDS = {
    "stream": Kind(
        request=b"GET /stream?channel=bench HTTP/1.1\r\nHost: bench\r\n\r\n",
        answered=b"[stream opened]\n\r\n",
        published="http-stream",
        message=f"{len(CONTENT):x}\r\n{CONTENT}\r\n".encode(),
    ),
    "websocket": Kind(
        request=b"GET /ws?channel=bench HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        answered=b"\r\n\r\n",
        published="ws-message",
        message=b"\x81\x7e" + len(CONTENT).to_bytes(2, "big") + CONTENT.encode(),
    ),
}


def main() -> None:
    """Run the measurement and print one line of JSON."""
    words = sys.argv[1:]
    kind = KINDS[words.pop(0) if words and words[0] in KINDS else "stream"]
    clients, publications = (int(word) for word in (*words, *("1000", "200")[len(words) :]))
    options = ("--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--route", "* test", "--log-level", "info")
    server = subprocess.Popen([sys.executable, "-m", "proxy", "run", *options], stderr=subprocess.PIPE)
    try:
        proxy_port, publish_port = read_ports(server)
        with socket.create_connection(("127.0.0.1", publish_port)) as publisher:
            before = memory(server.pid)
            held = [hold(proxy_port, kind) for _ in range(clients)]
            bytes_each = (memory(server.pid) - before) / clients
            begin = cpu_seconds(server.pid)
            for _ in range(publications):
                publish(publisher, kind)
                drain(held, kind)
            cpu = cpu_seconds(server.pid) - begin
        microseconds = cpu * 1e6 / (clients * publications)
        result = {"clients": clients, "us_per_delivery": round(microseconds, 2), "bytes_each": round(bytes_each)}
        print(json.dumps(result))
    finally:
        server.terminate()
        server.wait()


def read_ports(server: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Wait for the line that says where it listens, then go on reading: a full pipe would stop the server."""
    log = server.stderr
    assert log is not None
    for line in log:
        if found := ADDRESSES.search(line):
            threading.Thread(target=lambda: deque(log, maxlen=0), daemon=True).start()
            return int(found[1]), int(found[2])
    raise SystemExit("the server did not start")


def hold(port: int, kind: Kind) -> socket.socket:
    """Have one connection held and read the answer."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(kind.request)
    seen = b""
    while kind.answered not in seen:
        seen += client.recv(4096)
    return client


def publish(publisher: socket.socket, kind: Kind) -> None:
    """Publish one message and wait for the 200."""
    body = json.dumps({"items": [{"channel": "bench", "formats": {kind.published: {"content": CONTENT}}}]}).encode()
    head = (
        f"POST /publish/ HTTP/1.1\r\nHost: p\r\nConnection: keep-alive\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    publisher.sendall(head + body)
    seen = b""
    while not seen.endswith(b"Published\n"):
        data = publisher.recv(4096)
        if not data:
            raise SystemExit(f"the publish port closed: {seen!r}")
        seen += data


def drain(held: list[socket.socket], kind: Kind) -> None:
    """Read one whole message from every connection."""
    for client in held:
        seen = b""
        while len(seen) < len(kind.message):
            data = client.recv(len(kind.message) - len(seen))
            if not data:
                raise SystemExit("a connection was closed")
            seen += data
        if seen != kind.message:
            raise SystemExit(f"not the message that was published: {seen!r}")


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> int:
    """Return the resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


if __name__ == "__main__":
    main()
