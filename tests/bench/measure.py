"""The values of the benchmark: what was measured of whom, and what is to be reached.

Every row of the table is made by one module of `tests.bench.rows` and judged here; `tests.bench.table` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound on Holdfast's figure: `factor` times that of `against`, or `factor` itself where that is empty."""

    factor: float
    against: str = ""
    """Whose figure is the measure: `floor`, `pushpin`, `nchan`, `nginx`, `mercure`, `uvloop`, ..."""
    is_most: bool = True
    """Whether Holdfast's figure may be at most that; otherwise it must be at least that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `readings` has a tuple of interleaved runs for each server that was measured."""

    key: str
    """Its name on the command line: `fanout-1000`."""
    title: str
    unit: str
    readings: Mapping[str, tuple[float, ...]]
    goals: tuple[Goal, ...]
    notes: tuple[str, ...] = field(default=())
    """What a reader must know: who was not there, what was lost, where the figure of an absent peer is from."""
    faults: tuple[str, ...] = field(default=())
    """What Holdfast did wrong on the way, such as losing a message. With any, no goal is reached."""

    def figure(self, who: str) -> float:
        """Return the median of what was measured of `who`. Raises KeyError when nothing was."""
        return median(self.readings[who])

    def ratio(self, against: str) -> float:
        """Return the median of Holdfast's readings over those of `against` in the same round."""
        pairs = zip(self.readings["holdfast"], self.readings[against], strict=True)
        return median(ours / theirs for ours, theirs in pairs)

    def is_reached(self, goal: Goal) -> bool | None:
        """Say whether Holdfast reaches `goal`; None where its measure was not there."""
        if self.faults:
            return False
        if not goal.against:
            share = self.figure("holdfast") / goal.factor
        elif goal.against in self.readings:
            share = self.ratio(goal.against) / goal.factor
        else:
            return None
        return share <= 1 if goal.is_most else share >= 1
