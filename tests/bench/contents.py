"""The rows of the table, in its order, by their names on the command line."""

from __future__ import annotations

from collections.abc import Mapping

from tests.bench.options import Measurement
from tests.bench.rows import (
    burst,
    durable,
    fanout,
    forwarding,
    holds,
    index,
    latency,
    memory,
    over_http,
    publishing,
    soak,
    workers,
)

ROWS: Mapping[str, Measurement] = {
    "fanout-1000": fanout.streams_1000,
    "fanout-10000": fanout.streams_10000,
    "burst": burst.burst,
    "fanout-websockets": fanout.websockets,
    "fanout-mercure": fanout.subscribers,
    "memory-stream": memory.streams,
    "memory-websocket": memory.websockets,
    "memory-mercure": memory.subscribers,
    "index-exact": index.exact,
    "index-pattern": index.patterns,
    "memory-pattern": memory.patterns,
    "forwarding": forwarding.forwarding,
    "forwarding-wall": forwarding.forwarding_wall,
    "holds": holds.holds,
    "holds-at-once": holds.holds_at_once,
    "over-http": over_http.over_http,
    "publishing": publishing.publishing,
    "publishing-64": publishing.publishing_64,
    "durable": durable.durable,
    "durable-64": durable.durable_64,
    "latency-p50": latency.median,
    "latency-p99": latency.late,
    "soak": soak.soak,
    "workers": workers.two,
}
