"""The counters as Prometheus reads them (`GET /metrics` on the publish port)."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields
from functools import cache

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from handlers.counters import Counters

PREFIX = "holdfast_"
GAUGES = frozenset(("sessions_stream", "sessions_response", "sessions_websocket"))
"""Fields of `Counters` that go down too."""


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
        """Yield one metric for each field, with the field's docstring as its help text."""
        helps = help_texts()
        for field in fields(Counters):
            family = GaugeMetricFamily if field.name in GAUGES else CounterMetricFamily
            yield family(PREFIX + field.name, helps[field.name], value=getattr(self._counters, field.name))


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
