"""Publishes per second at the HTTP port, to one subscriber, against a bare uvloop responder. Each waits for its 200."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from tests.bench.asking import Asking, Load, Watch, cpu_each, failures, figures, interleaved, load
from tests.bench.measure import Goal, Row
from tests.bench.options import Options
from tests.bench.rate_servers import Server, holdfast, module, nchan, pushpin
from tests.bench.rows.holds import MARK, publication
from tests.bench.servers.way import STREAM_PAYLOAD, get, post

SUBSCRIBE = get("/sub", "Accept: text/event-stream")
GOALS = (
    Goal(factor=0.6, against="uvloop", is_most=False),
    Goal(factor=1, against="pushpin", is_most=False),
    Goal(factor=1, against="nchan", is_most=False),
)


def publishing(options: Options) -> Row:
    """One publisher on one connection."""
    return _row(options, "publishing", "one connection", 1)


def publishing_64(options: Options) -> Row:
    """64 publishers."""
    return _row(options, "publishing-64", "64 connections", 64)


def _row(options: Options, key: str, how: str, connections: int) -> Row:
    loads = _measured(options, connections)
    return Row(
        key=key,
        title=f"publishes to one subscriber by HTTP, {how}",
        unit="publishes per second",
        readings=figures(loads, lambda one: one.rate, lambda one: one.seen == one.done),
        goals=GOALS,
        notes=(
            "uvloop is a protocol in Python that answers each request it sees the end of, and delivers nothing",
            *cpu_each(loads),
            *failures(loads),
            *_undelivered(loads),
        ),
    )


def _measured(options: Options, connections: int) -> Mapping[str, tuple[Load, ...]]:
    def measure(server: Server) -> Load:
        return load(server, _asking(server, connections, options.scaled(4, 1)))

    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(module("grip_backend"))
        bare = stack.enter_context(module("responder", name="uvloop"))
        route = f"* 127.0.0.1:{backend.port}"
        others = (stack.enter_context(each) for each in (holdfast(route), pushpin(route), nchan()))
        return interleaved([bare, *filter(None, others)], options.rounds, measure)


def _asking(server: Server, connections: int, seconds: int) -> Asking:
    request = publication()
    if server.name == "nchan":
        # It writes the framing of an event itself.
        request = post("/pub", "x" * (STREAM_PAYLOAD - 1) + MARK, STREAM_PAYLOAD)
    return Asking(
        mode="requests",
        port=server.publish_port or server.port,
        requests=(request,),
        options={"connections": connections, "seconds": seconds},
        watch=None if server.name == "uvloop" else Watch(port=server.port, request=SUBSCRIBE),
    )


def _undelivered(loads: Mapping[str, Sequence[Load]]) -> tuple[str, ...]:
    """Say of each server how many messages had not come to the subscriber two seconds after the last was accepted."""
    return tuple(
        f"{name}: {missing:,} of {sum(load.done for load in each):,} accepted messages did not come"
        for name, each in loads.items()
        if name != "uvloop" and (missing := sum(load.done - load.seen for load in each))
    )
