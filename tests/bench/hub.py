"""What the hub costs: CPU time of the server per delivery to Mercure subscribers with a token, memory, and publishing.

    python -m tests.bench.hub [CLIENTS] [PUBLICATIONS]

Starts Holdfast in a process of its own with a history on disk, connects CLIENTS to one topic, each with its token, and
publishes one update after the other. A first look, as `fanout`; comparing with peers is the benchmark suite's work.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import jwt

KEY = "a key for the benchmark alone, 32 bytes"
TOPIC = "https://bench.example/1"
ADDRESSES = re.compile(rb"clients on [^ ]*?:(\d+), for publishers on [^ ]*?:(\d+)")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
DATA = "x" * 100


def main() -> None:
    """Run the measurement and print one line of JSON."""
    words = sys.argv[1:]
    clients, publications = (int(word) for word in (*words, *("1000", "300")[len(words) :]))
    with tempfile.TemporaryDirectory() as folder:
        server, port = start(Path(folder))
        try:
            print(json.dumps(measure(server.pid, port, clients, publications)))
        finally:
            server.kill()
            server.wait()


def start(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start Holdfast; return its process and the clients' port."""
    settings = [f"mercure.publisher_key={KEY}", f"mercure.subscriber_key={KEY}", f"mercure.history={folder}/history.db"]
    arguments = [sys.executable, "-m", "proxy", "run", "--route", "* test", "--listen", "127.0.0.1:0"]
    arguments += ["--publish", "127.0.0.1:0", "--log-level", "info"]
    arguments += [word for setting in settings for word in ("--set", setting)]
    server = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    assert server.stderr is not None
    for line in server.stderr:
        found = ADDRESSES.search(line)
        if found:
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return server, int(found[1])
    raise RuntimeError("the server did not start")


def measure(pid: int, port: int, clients: int, publications: int) -> dict[str, float]:
    """Connect, publish, and account."""
    token = jwt.encode({"mercure": {"publish": ["*"], "subscribe": ["*"]}}, KEY)
    before = memory(pid)
    readers = [connect(port, token) for _ in range(clients)]
    held = memory(pid)
    counting = threading.Thread(target=drain, args=(readers, publications), daemon=True)
    publisher = socket.create_connection(("127.0.0.1", port))
    body = urllib.parse.urlencode({"topic": TOPIC, "data": DATA, "private": "on"}).encode()
    request = b"".join(
        (
            b"POST /.well-known/mercure HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\n",
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n" % (token.encode(), len(body)),
            body,
        )
    )
    counting.start()
    cpu, wall = processor(pid), time.perf_counter()
    for _ in range(publications):
        publisher.sendall(request)
        answer(publisher)
    counting.join(60)
    seconds = time.perf_counter() - wall
    spent = processor(pid) - cpu
    return {
        "clients": clients,
        "publications": publications,
        "us_per_delivery": round(spent * 1e6 / (clients * publications), 2),
        "kb_per_subscriber": round((held - before) / clients / 1024, 2),
        "publications_per_second": round(publications / seconds, 1),
    }


def connect(port: int, token: str) -> socket.socket:
    """Subscribe, and read up to the first bytes of the stream."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(
        f"GET /.well-known/mercure?topic={urllib.parse.quote(TOPIC, safe='')} HTTP/1.1\r\nHost: bench\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    data = b""
    while not data.endswith(b"2\r\n:\n\r\n"):
        data += sock.recv(4096)
    return sock


def drain(readers: list[socket.socket], publications: int) -> None:
    """Read until every client has had every update."""
    selector = selectors.DefaultSelector()
    left = dict.fromkeys(readers, publications)
    for sock in readers:
        selector.register(sock, selectors.EVENT_READ)
    while left:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            connection = key.fileobj
            left[connection] -= connection.recv(1 << 20).count(b"\ndata: ")
            if left[connection] <= 0:
                del left[connection]
                selector.unregister(connection)


def answer(sock: socket.socket) -> None:
    """Read one answer."""
    data = b""
    while b"\r\n\r\nurn:uuid:" not in data or len(data.partition(b"\r\n\r\n")[2]) < 45:
        data += sock.recv(4096)


def processor(pid: int) -> float:
    """Seconds of CPU the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> int:
    """Bytes of memory the process has resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


if __name__ == "__main__":
    main()
