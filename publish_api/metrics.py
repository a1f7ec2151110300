"""The counters as Prometheus reads them (`GET /metrics` on the publish port).

Every counter has a name of ours. Three of the hub's also have the name under which dashboards made for other hubs look
for them (reference 4.4).
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields
from functools import cache

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from handlers.counters import GAUGES, Counters

PREFIX = "holdfast_"

HUB_NAMES = {
    "mercure_subscribers": ("mercure_subscribers_connected", "Subscribers that are connected now."),
    "mercure_subscribers_opened": ("mercure_subscribers", "Subscribers served since the start."),
    "mercure_updates": ("mercure_updates", "Updates handled since the start."),
}
"""Field of `Counters` -> name and help of the hub's metric; `_total` is added to a counter's name."""


def encode_metrics(counters: Counters) -> bytes:
    """Return all counters in the Prometheus text format, version 0.0.4."""
    registry = CollectorRegistry()
    registry.register(CounterCollector(counters))
    return generate_latest(registry)


class CounterCollector(Collector):
    """Reads a `Counters` at the moment it is asked."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """Yield one metric for each field, with the field's docstring as its help text, and then the hub's three."""
        helps = help_texts()
        for field in fields(Counters):
            yield self._metric(field.name, PREFIX + field.name, helps[field.name])
        for field_name, (name, text) in HUB_NAMES.items():
            yield self._metric(field_name, name, text)

    def _metric(self, field_name: str, name: str, text: str) -> Metric:
        family = GaugeMetricFamily if field_name in GAUGES else CounterMetricFamily
        return family(name, text, value=getattr(self._counters, field_name))


@cache
def help_texts() -> dict[str, str]:
    """Return the docstring under each field of `Counters`, which Python itself does not keep."""
    [definition] = ast.parse(inspect.getsource(Counters)).body
    assert isinstance(definition, ast.ClassDef), "the source of a class is a class"
    texts = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(statement.target, ast.Name), "a field is a name"
            texts[statement.target.id] = str(ast.literal_eval(following.value))
    return texts
