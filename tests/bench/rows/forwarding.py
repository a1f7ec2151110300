"""Pass-through: small answers for 32 clients that keep their connections, through each proxy to the same backend."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from statistics import median

from tests.bench.asking import Asking, Load, failures, figures, interleaved, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.rate_servers import Server, answering, holdfast, nginx_proxy, pushpin

CLIENTS = 32
TEXT = "hello, world"
REQUEST = b"GET /greeting?who=world HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
PUSHPIN = Goal(factor=5, against="pushpin", is_most=False)
SETUP = "the backend is nginx (`return 200`), one worker; all log each request, to /dev/null, as they do by default"


def forwarding(options: Options) -> Row:
    """Requests for each second of CPU time, all processes of the proxy together."""
    loads = _measured(options)
    p50 = ", ".join(f"{name} {median(one.p50 for one in each) / 1000:.1f}" for name, each in loads.items())
    return Row(
        key="forwarding",
        title=f"pass-through, {CLIENTS} keep-alive clients",
        unit="requests per second of CPU",
        readings=figures(loads, lambda one: one.per_cpu_second),
        goals=(PUSHPIN, Goal(factor=0.35, against="nginx", is_most=False)),
        notes=(SETUP, f"median latency in ms: {p50}", *failures(loads)),
    )


def forwarding_wall(options: Options) -> Row:
    """Requests for each second that passes: what several processes may win by having a core each."""
    loads = _measured(options)
    return Row(
        key="forwarding-wall",
        title=f"pass-through, {CLIENTS} keep-alive clients, by the clock",
        unit="requests per second",
        readings=figures(loads, lambda one: one.rate),
        goals=(PUSHPIN,),
        notes=("clients and backend share the machine's cores with the proxy", *failures(loads)),
    )


@functools.cache
def _measured(options: Options) -> Mapping[str, tuple[Load, ...]]:
    """One run for both rows."""
    seconds = options.scaled(4, 1)

    def measure(server: Server) -> Load:
        how = {"connections": CLIENTS, "seconds": seconds, "expect": TEXT}
        return load(server, Asking(mode="requests", port=server.port, requests=(REQUEST,), options=how))

    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(answering(TEXT))
        if backend is None:
            raise FileNotFoundError("nginx is the backend of this row, and is not installed")
        route = f"* 127.0.0.1:{backend.port}"
        proxies = (holdfast(route), pushpin(route), nginx_proxy(backend.port))
        servers = [server for proxy in proxies if (server := stack.enter_context(proxy))]
        return interleaved(servers, options.rounds, measure)
