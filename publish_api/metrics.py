"""The counters as Prometheus reads them (`GET /metrics` on the publish port, and on a port of its own).

Every counter has a name of ours. Some also have the name under which dashboards made for other servers look for them:
three of the hub's (Mercure reference 4.4), and the five that Pushpin has (reference 7.2).
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import accumulate
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from handlers.counters import GAUGES, Counters, Latencies
from handlers.latency import BOUNDS, Latency

PREFIX = "holdfast_"

HUB_NAMES = {
    "mercure_subscribers": ("mercure_subscribers_connected", "Subscribers that are connected now."),
    "mercure_subscribers_opened": ("mercure_subscribers", "Subscribers served since the start."),
    "mercure_updates": ("mercure_updates", "Updates handled since the start."),
}
"""Field of `Counters` -> name and help of the hub's metric; `_total` is added to a counter's name."""


class PushpinMetric(NamedTuple):
    """One of Pushpin's metrics."""

    name: str
    kind: Literal["counter", "gauge"]
    text: str


PUSHPIN_NAMES = {
    "requests": PushpinMetric("request_received", "counter", "Requests received from clients."),
    "connections": PushpinMetric("connection_connected", "gauge", "Clients connected now."),
    "connection_minutes": PushpinMetric("connection_minute", "counter", "Minutes for which clients were connected."),
    "publications": PushpinMetric("message_received", "counter", "Items accepted for delivery."),
    "deliveries": PushpinMetric("message_sent", "counter", "Items written to held connections."),
}
"""What is counted -> Pushpin's metric."""


def encode_metrics(counters: Counters, *, prefix: str = "") -> bytes:
    """Return all counters in the Prometheus text format, version 0.0.4. `prefix` goes before Pushpin's names."""
    registry = CollectorRegistry()
    registry.register(CounterCollector(counters))
    return generate_latest(registry) + encode_pushpins(counters, prefix)


def encode_pushpins(counters: Counters, prefix: str) -> bytes:
    """Return the five metrics that Pushpin has, in its text: the library would add `_total` to its counters' names."""
    lines: list[str] = []
    for field_name, (name, kind, text) in PUSHPIN_NAMES.items():
        is_time = field_name == "connection_minutes"
        value = counters.connection_seconds // 60 if is_time else getattr(counters, field_name)
        full = prefix + name
        lines += (f"# HELP {full} {text}", f"# TYPE {full} {kind}", f"{full} {value}")
    return "".join([f"{line}\n" for line in lines]).encode()


class CounterCollector(Collector):
    """Reads a `Counters` at the moment it is asked."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """Yield one metric for each field, with the field's docstring as its help text; the hub's three; latencies."""
        helps = help_texts(Counters)
        for field in fields(Counters):
            yield self._metric(field.name, PREFIX + field.name, helps[field.name])
        for field_name, (name, text) in HUB_NAMES.items():
            yield self._metric(field_name, name, text)
        for name, text in help_texts(Latencies).items():
            yield histogram(f"{PREFIX}{name}_seconds", text, getattr(self._counters, name))

    def _metric(self, field_name: str, name: str, text: str) -> Metric:
        family = GaugeMetricFamily if field_name in GAUGES else CounterMetricFamily
        return family(name, text, value=getattr(self._counters, field_name))


def histogram(name: str, text: str, latency: Latency) -> HistogramMetricFamily:
    """Return a latency as a histogram in seconds."""
    bounds = [*map(str, BOUNDS), "+Inf"]
    buckets = list(zip(bounds, accumulate(latency.buckets), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=latency.microseconds / 1_000_000)


@cache
def help_texts(cls: type[Counters] | type[Latencies]) -> dict[str, str]:
    """Return the docstring under each field of `cls`, which Python itself does not keep."""
    [definition] = ast.parse(inspect.getsource(cls)).body
    assert isinstance(definition, ast.ClassDef), "the source of a class is a class"
    texts = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(statement.target, ast.Name), "a field is a name"
            texts[statement.target.id] = str(ast.literal_eval(following.value))
    return texts
