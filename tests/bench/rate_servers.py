"""The servers that the rows of requests per second load: each in processes of its own, gone at the end of its `with`.

All log what they log by default, to /dev/null. Every port is a free one of 127.0.0.1. What stands still costs nothing,
so a row starts all of its servers and loads one after the other.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import mercure
from tests.bench.servers.way import Kind

PATIENCE = 20
"""Seconds that a server may take until it answers."""

PUSHPIN = Path("/etc/pushpin/pushpin.conf")
"""The configuration as Debian ships it. It starts no zurl, which fetches from backends, and looks for it elsewhere than
where its own would listen."""

ZURL = """\
zurl_out_specs=ipc://{rundir}/{ipc_prefix}zurl-in
zurl_out_stream_specs=ipc://{rundir}/{ipc_prefix}zurl-in-stream
zurl_in_specs=ipc://{rundir}/{ipc_prefix}zurl-out
"""

NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log /dev/null;
{modules}
events {{ worker_connections 19900; }}
http {{
  default_type text/plain;
  access_log /dev/null;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{inside}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs."""

    name: str
    pid: int
    """The process whose descendants, with itself, are the server."""
    port: int
    publish_port: int = 0
    """Where publishers go, if that is another port."""


# -- what is measured -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def holdfast(*routes: str, settings: Sequence[str] = ()) -> Generator[Server]:
    """Run Holdfast with these routes, and settings as `section.key=value`."""
    port, publish_port = free_ports(2)
    words = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
    words += ["--publish", f"127.0.0.1:{publish_port}"]
    words += [word for route in routes for word in ("--route", route)]
    words += [word for setting in settings for word in ("--set", setting)]
    with running(words) as process:
        wait_for_port(process, port)
        yield Server(name="holdfast", pid=process.pid, port=port, publish_port=publish_port)


@contextlib.contextmanager
def pushpin(*routes: str) -> Generator[Server | None]:
    """Run Debian's Pushpin, with condure and zurl, or yield None where it is not installed."""
    if any(shutil.which(name) is None for name in ("pushpin", "condure", "zurl")):
        yield None
        return
    port, publish_port = free_ports(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pushpin.conf").write_text(pushpin_configuration(folder, port, publish_port))
        (folder / "routes").write_text("".join(f"{route}\n" for route in routes))
        with running(["pushpin", f"--config={folder}/pushpin.conf", "--merge-output"]) as process:
            wait_for_port(process, publish_port)
            # Its parts find each other only after the port is open.
            wait_for_answer(process, port)
            yield Server(name="pushpin", pid=process.pid, port=port, publish_port=publish_port)


def pushpin_configuration(folder: Path, port: int, publish_port: int) -> str:
    """Return the shipped configuration with ports and folders of our own, zurl, and no limit of messages a second."""
    changes = {
        "services": "condure,zurl,pushpin-proxy,pushpin-handler",
        "rundir": str(folder),
        "logdir": str(folder),
        "http_port": f"127.0.0.1:{port}",
        "client_maxconn": "19000",
        "sig_key": "",
        "push_in_http_port": str(publish_port),
        "push_in_spec": f"ipc://{folder}/push",
        "push_in_sub_specs": f"ipc://{folder}/sub",
        "command_spec": f"ipc://{folder}/command",
        "message_rate": "1000000",
        "message_hwm": "1000000",
    }
    text = PUSHPIN.read_text()
    for setting, value in changes.items():
        text, count = re.subn(rf"(?m)^{setting}=.*$", f"{setting}={value}", text)
        if count != 1:
            raise ValueError(f"{PUSHPIN} has {count} times {setting}")
    return text.replace("[proxy]\n", f"[proxy]\n{ZURL}")


@contextlib.contextmanager
def mercure_hub(program: Path | None) -> Generator[Server | None]:
    """Run a Mercure hub, or yield None where its program was not given."""
    if program is None:
        yield None
        return
    with mercure.start(program) as hub:
        yield Server(name="mercure", pid=hub.pid, port=hub.ways[Kind.MERCURE].publish_port)


@contextlib.contextmanager
def nginx_proxy(upstream: int) -> Generator[Server | None]:
    """Run nginx as a proxy to a port, with one worker that keeps its connections."""
    inside = f"""
  upstream backend {{
    server 127.0.0.1:{upstream};
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:@PORT@;
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}"""
    with nginx("nginx", inside) as server:
        yield server


@contextlib.contextmanager
def nchan() -> Generator[Server | None]:
    """Run nginx with nchan: POST /pub publishes to one channel, GET /sub gets it as events.

    It keeps ten thousand messages. With one, a subscriber that is told of a message misses those that push it out
    before it is given it: a third of all here. It costs a microsecond a publish at most.
    """
    module = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
    if not module.exists():
        yield None
        return
    inside = """
  server {
    listen 127.0.0.1:@PORT@;
    location /pub { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 10000; }
    location /sub { nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }
  }"""
    with nginx("nchan", inside, modules=f"load_module {module};") as server:
        if server:
            yield Server(name="nchan", pid=server.pid, port=server.port, publish_port=server.port)


# -- what stands behind -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(text: str) -> Generator[Server | None]:
    """Run nginx as a backend that answers everything with the same line."""
    inside = f"""
  access_log off;
  server {{
    listen 127.0.0.1:@PORT@;
    location / {{ return 200 "{text}"; }}
  }}"""
    with nginx("backend", inside) as server:
        yield server


@contextlib.contextmanager
def module(program: str, name: str = "backend") -> Generator[Server]:
    """Run a module of ours that prints the port it listens on."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-m", f"tests.bench.{program}"], stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        try:
            yield Server(name=name, pid=process.pid, port=int(process.stdout.readline()))
        finally:
            process.kill()


@contextlib.contextmanager
def nginx(name: str, inside: str, modules: str = "") -> Generator[Server | None]:
    """Run nginx with one worker and this inside of its `http`, where `@PORT@` is its port; None where it is missing."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        (port,) = free_ports(1)
        configuration = Path(folder, "nginx.conf")
        inside = inside.replace("@PORT@", f"{port} backlog=4096")
        configuration.write_text(NGINX.format(folder=folder, modules=modules, inside=inside))
        with running([program, "-c", str(configuration), "-p", folder, "-e", "/dev/null"]) as process:
            wait_for_port(process, port)
            yield Server(name=name, pid=process.pid, port=port)


# -- processes and ports ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(words: Sequence[str]) -> Generator[subprocess.Popen[bytes]]:
    """Run a command whose output nobody reads; end it, kindly at first."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until somebody accepts connections."""
    for _ in attempts(process, f"nobody listens on port {port}"):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return


def wait_for_answer(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a request gets a 200."""
    for _ in attempts(process, f"no answer on port {port}"):
        with (
            contextlib.suppress(ConnectionRefusedError, TimeoutError),
            socket.create_connection(("127.0.0.1", port), timeout=1) as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
            if client.recv(4096).startswith(b"HTTP/1.1 200"):
                return


def attempts(process: subprocess.Popen[bytes], failure: str) -> Iterator[None]:
    """Yield every twentieth of a second. Raises TimeoutError when a server has taken too long, or has ended."""
    end = time.monotonic() + PATIENCE
    pause = threading.Event()
    while time.monotonic() < end:
        if process.poll() is not None:
            raise TimeoutError(f"{failure}: {process.args!r} has ended with {process.returncode}")
        yield
        pause.wait(0.05)
    raise TimeoutError(f"{failure}: {process.args!r}")
