"""The Mercure hub, from the path that was given: its Caddy build, by plain HTTP, with its default transport on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import rate_servers
from tests.bench.servers import holdfast
from tests.bench.servers.process import Server
from tests.bench.servers.way import Kind

CONFIGURATION = """
{{
    admin off
    auto_https off
    persist_config off
    log {{
        level ERROR
    }}
}}
http://127.0.0.1:{port}, http://bench.example:{port} {{
    route {{
        mercure {{
            transport bolt {{
                path {folder}/history.db
            }}
            publisher_jwt "{key}"
            subscriber_jwt "{key}"
        }}
    }}
}}
"""


@contextmanager
def start(program: Path) -> Iterator[Server]:
    """Run it."""
    (port,) = rate_servers.free_ports(1)
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        configuration = Path(folder, "Caddyfile")
        configuration.write_text(CONFIGURATION.format(port=port, folder=folder, key=holdfast.KEY), encoding="utf-8")
        words = [str(program.resolve()), "run", "--config", str(configuration), "--adapter", "caddyfile"]
        with rate_servers.running(words) as process:
            rate_servers.wait_for_port(process, port)
            way = holdfast.mercure_way(port)
            yield Server(name="mercure", pid=process.pid, ways={Kind.MERCURE: way, Kind.STREAM: way})
