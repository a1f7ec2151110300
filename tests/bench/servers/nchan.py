"""Nchan in Debian's nginx: one worker, nothing logged, and no message kept, since nobody comes back for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench import rate_servers
from tests.bench.servers.process import Server, ServerError
from tests.bench.servers.way import CONTENT_SIZE, STREAM_PAYLOAD, Kind, Way, get, post, upgrade

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

INSIDE = """
  nchan_shared_memory_size 256M;
  server {
    access_log off;
    listen 127.0.0.1:@PORT@;
    location /events { nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }
    location /socket { nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }
    location /publish { nchan_publisher http; nchan_channel_id bench; nchan_store_messages off; }
  }"""


@contextmanager
def start() -> Iterator[Server]:
    """Run it."""
    with rate_servers.nginx("nchan", INSIDE, modules=f"load_module {MODULE};") as nginx:
        if nginx is None:
            raise ServerError("not installed")
        yield Server(name="nchan", pid=nginx.pid, ways=ways(nginx.port))


def ways(port: int) -> Mapping[Kind, Way]:
    """Return how it holds and publishes. It writes the data line, and an id before it, itself."""

    def way(request: bytes, payload_size: int) -> Way:
        return Way(
            client_port=port,
            publish_port=port,
            request=request,
            message=b"{payload}",
            publication=post("/publish", "{payload}", payload_size, "Content-Type: text/plain"),
            payload_size=payload_size,
        )

    return {Kind.STREAM: way(get("/events"), STREAM_PAYLOAD), Kind.WEBSOCKET: way(upgrade("/socket"), CONTENT_SIZE)}
