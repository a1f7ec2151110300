"""WebSocket-over-HTTP: messages that go to the backend as events and come back as its answer."""

from __future__ import annotations

import contextlib

from tests.bench.asking import Asking, Load, cpu_each, failures, figures, interleaved, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.rate_servers import Server, holdfast, module, pushpin
from tests.bench.servers.way import upgrade

CONNECTIONS = 64
REQUEST = upgrade("/echo")


def over_http(options: Options) -> Row:
    """Messages of 12 bytes on 64 WebSockets, one on its way on each."""
    seconds = options.scaled(4, 1)

    def measure(server: Server) -> Load:
        how = {"connections": CONNECTIONS, "seconds": seconds}
        return load(server, Asking(mode="websockets", port=server.port, requests=(REQUEST,), options=how))

    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(module("echo_backend"))
        route = f"* 127.0.0.1:{backend.port},over_http"
        servers = [server for proxy in (holdfast(route), pushpin(route)) if (server := stack.enter_context(proxy))]
        loads = interleaved(servers, options.rounds, measure)
    return Row(
        key="over-http",
        title=f"WebSocket-over-HTTP round trips, {CONNECTIONS} WebSockets",
        unit="round trips per second",
        readings=figures(loads, lambda one: one.rate),
        goals=(Goal(factor=4, against="pushpin", is_most=False),),
        notes=(*cpu_each(loads), *failures(loads)),
    )
