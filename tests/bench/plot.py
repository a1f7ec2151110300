"""Draws how far each goal is reached: a bar for each, as a share of what is allowed, against the line of the goal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.measure import Goal, Row
from tests.bench.table import demand, number

REACHED, MISSED = "#2a7f62", "#c8553d"
LINE = 0.26
"""Inches of height for a bar."""

WIDEST = 2.0
"""What the picture shows of a bar, the goal being 1."""


def plot(rows: Sequence[Row], path: Path) -> bool:
    """Write the picture; return False, writing nothing, where matplotlib is missing or nothing can be drawn."""
    bars = [(row, goal) for row in rows for goal in row.goals if not goal.against or goal.against in row.readings]
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra that the figures do without
    except ImportError:
        return False
    if not bars:
        return False
    drawing = Figure(figsize=(10, 1.2 + LINE * len(bars)), layout="constrained")
    axes = drawing.add_subplot()
    shares = [share(row, goal) for row, goal in bars]
    colours = [REACHED if row.is_reached(goal) else MISSED for row, goal in bars]
    axes.barh(range(len(bars)), shares, color=colours, height=0.72)
    axes.set_yticks(range(len(bars)), [f"{row.key}: {demand(row, goal)}" for row, goal in bars], fontsize=8)
    for place, ((row, goal), width) in enumerate(zip(bars, shares, strict=True)):
        beyond = " (the bar goes on)" if width > WIDEST else ""
        axes.text(min(max(width, 1), WIDEST) + 0.02, place, measured(row, goal) + beyond, va="center", fontsize=8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, WIDEST)
    axes.set_title("Holdfast: how much of what each goal allows is used (the line is the goal)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(path, dpi=120)
    return True


def share(row: Row, goal: Goal) -> float:
    """Return how much of what a goal allows is used: up to 1 reaches it, whichever way it points."""
    value = value_of(row, goal)
    return value / goal.factor if goal.is_most else goal.factor / value


def measured(row: Row, goal: Goal) -> str:
    """Return what is compared with the goal."""
    return f"{number(value_of(row, goal))} {'times' if goal.against else row.unit}"


def value_of(row: Row, goal: Goal) -> float:
    """Return the ratio, or the figure where the goal is one by itself."""
    return row.ratio(goal.against) if goal.against else row.figure("holdfast")
