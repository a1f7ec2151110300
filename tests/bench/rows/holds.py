"""Holds opened per second: each asked of the backend, which answers with a GRIP stream hold, and then kept."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from tests.bench.asking import Asking, Load, Watch, cpu_each, figures, interleaved, load
from tests.bench.grip_backend import OPENED
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.rate_servers import Server, holdfast, module, pushpin
from tests.bench.servers.holdfast import publish_item
from tests.bench.servers.way import STREAM_PAYLOAD, get

COUNT = 1000
REQUEST = get("/stream")
MARK = "~"
"""The byte that native/ask.c counts."""


def holds(options: Options) -> Row:
    """A thousand holds, 64 at any time on their way."""
    return _row(options, "holds", "64 at a time", 64)


def holds_at_once(options: Options) -> Row:
    """A thousand holds, all at once."""
    return _row(options, "holds-at-once", "all at once", COUNT)


def _row(options: Options, key: str, how: str, at_once: int) -> Row:
    loads = _measured(options, at_once)
    return Row(
        key=key,
        title=f"{COUNT:,} holds opened through a backend, {how}",
        unit="holds per second",
        readings=figures(loads, lambda one: one.rate, lambda one: one.seen == COUNT),
        goals=(Goal(factor=4, against="pushpin", is_most=False),),
        notes=(*_lost(loads), *cpu_each(loads)),
    )


def _measured(options: Options, at_once: int) -> Mapping[str, tuple[Load, ...]]:
    def measure(server: Server) -> Load:
        how = {"connections": COUNT, "at-once": at_once, "until": OPENED}
        tell = Watch(port=server.publish_port, request=publication())
        return load(server, Asking(mode="holds", port=server.port, requests=(REQUEST,), options=how, tell=tell))

    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(module("grip_backend"))
        route = f"* 127.0.0.1:{backend.port}"
        servers = [server for proxy in (holdfast(route), pushpin(route)) if (server := stack.enter_context(proxy))]
        return interleaved(servers, options.rounds, measure)


def publication() -> bytes:
    """Return the request that publishes one message of 150 bytes, with the byte that is counted, to every hold."""
    payload = "x" * (STREAM_PAYLOAD - 1) + MARK
    return publish_item("http-stream", "data: {payload}\\n\\n", STREAM_PAYLOAD).replace(b"{payload}", payload.encode())


def _lost(loads: Mapping[str, Sequence[Load]]) -> tuple[str, ...]:
    """Say how many holds were lost: not answered, closed, or not reached by the publication that followed."""
    return tuple(
        f"{name} lost {sum(COUNT - one.seen for one in each):,} of {COUNT * len(each):,}"
        f" ({sum(one.failed for one in each):,} without an answer)"
        for name, each in loads.items()
    )
