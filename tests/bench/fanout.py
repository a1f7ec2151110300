"""What one delivery costs: CPU time of the server per delivery of 150 bytes, and memory per held stream.

    python -m tests.bench.fanout [CLIENTS] [PUBLICATIONS]

Starts Holdfast in a process of its own in front of the `test` target, holds CLIENTS streams, publishes one message at
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
from pathlib import Path

CONTENT = "x" * 149 + "\n"
REQUEST = b"GET /stream?channel=bench HTTP/1.1\r\nHost: bench\r\n\r\n"
ADDRESSES = re.compile(rb"clients on [^ ]*?:(\d+), for publishers on [^ ]*?:(\d+)")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Run the measurement and print one line of JSON."""
    clients, publications = (int(word) for word in (*sys.argv[1:], "1000", "200")[:2])
    options = ("--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--route", "* test", "--log-level", "info")
    server = subprocess.Popen([sys.executable, "-m", "proxy", "run", *options], stderr=subprocess.PIPE)
    try:
        proxy_port, publish_port = read_ports(server)
        with socket.create_connection(("127.0.0.1", publish_port)) as publisher:
            before = memory(server.pid)
            streams = [open_stream(proxy_port) for _ in range(clients)]
            per_stream = (memory(server.pid) - before) / clients
            begin = cpu_seconds(server.pid)
            for _ in range(publications):
                publish(publisher)
                drain(streams)
            cpu = cpu_seconds(server.pid) - begin
        microseconds = cpu * 1e6 / (clients * publications)
        result = {"clients": clients, "us_per_delivery": round(microseconds, 2), "bytes_per_stream": round(per_stream)}
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


def open_stream(port: int) -> socket.socket:
    """Hold one stream and read its head."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(REQUEST)
    seen = b""
    while b"[stream opened]\n\r\n" not in seen:
        seen += client.recv(4096)
    return client


def publish(publisher: socket.socket) -> None:
    """Publish one message and wait for the 200."""
    body = json.dumps({"items": [{"channel": "bench", "formats": {"http-stream": {"content": CONTENT}}}]}).encode()
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


def drain(streams: list[socket.socket]) -> None:
    """Read one whole message from every stream."""
    size = len(f"{len(CONTENT):x}\r\n{CONTENT}\r\n")
    for stream in streams:
        left = size
        while left:
            data = stream.recv(left)
            if not data:
                raise SystemExit("a stream was closed")
            left -= len(data)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> int:
    """Return the resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


if __name__ == "__main__":
    main()
