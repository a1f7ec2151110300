"""How long something takes, as a histogram: a few integers, however often it happens.

Kept by `counters` beside the totals, added up over processes there, and shown by `publish_api.metrics`. What is
over within a turn of the loop is measured by `perf_counter`: the loop's own time stands still meanwhile.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

BOUNDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets in seconds, their own included, from a fan-out to ten clients up to a backend that holds
polls itself; one more bucket has what took longer."""

SUM: Final = "microseconds"


class Latency:
    """Durations by bucket. To observe one is a bisection and two additions."""

    __slots__ = ("buckets", "microseconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.microseconds = 0
        """All durations together."""

    def observe(self, seconds: float) -> None:
        """Count something that took so long."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.microseconds += int(seconds * 1_000_000)

    def numbers(self) -> dict[str, int]:
        """Return it as named numbers that can be added up with others': those above 0."""
        numbers = {str(place): count for place, count in enumerate(self.buckets) if count}
        return {**numbers, SUM: self.microseconds} if self.microseconds else numbers

    def add(self, numbers: Mapping[str, int]) -> None:
        """Add what `numbers` returned, here or in another process."""
        for name, value in numbers.items():
            if name == SUM:
                self.microseconds += value
            else:
                self.buckets[int(name)] += value
