"""Writes rows as text: for the terminal as each is measured, and as the Markdown table of the report."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.measure import Goal, Row

OURS = "holdfast"


def number(value: float) -> str:
    """Return a figure with three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def figure(row: Row, who: str) -> str:
    """Return somebody's figure with its unit, and where there are several the lowest and the highest."""
    readings = row.readings[who]
    text = f"{number(row.figure(who))} {row.unit}"
    return text if len(readings) == 1 else f"{text} ({number(min(readings))} to {number(max(readings))})"


def demand(row: Row, goal: Goal) -> str:
    """Return a goal in words."""
    if not goal.against:
        return f"at {'most' if goal.is_most else 'least'} {goal.factor:g} {row.unit}"
    if goal.factor == 1:
        return f"{'below' if goal.is_most else 'above'} {goal.against}"
    return f"at {'most' if goal.is_most else 'least'} {goal.factor:g} times {goal.against}"


def outcome(row: Row, goal: Goal) -> str:
    """Return what came of a goal in words: the ratio, and whether it is reached."""
    verdict = {True: "reached", False: "not reached", None: "not measured"}[row.is_reached(goal)]
    if goal.against in row.readings:
        return f"{number(row.ratio(goal.against))} times, {verdict}"
    return verdict


def text(row: Row) -> str:
    """Return a row as a few lines for the terminal."""
    lines = [f"{row.key}: {row.title}"]
    lines += [f"    {who:<12} {figure(row, who)}" for who in ordered(row)]
    lines += [f"    goal: {demand(row, goal)}: {outcome(row, goal)}" for goal in row.goals]
    lines += [f"    FAULT: {fault}" for fault in row.faults]
    lines += [f"    note: {note}" for note in row.notes]
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """Return the table of the report."""
    lines = ["| what | Holdfast | beside it | goal | ratio |", "|---|---|---|---|---|"]
    for row in rows:
        others = "<br>".join(f"{who}: {figure(row, who)}" for who in ordered(row) if who != OURS)
        demands = "<br>".join(demand(row, goal) for goal in row.goals)
        outcomes = "<br>".join(marked(row, goal) for goal in row.goals)
        lines.append(f"| `{row.key}`: {row.title} | {figure(row, OURS)} | {others} | {demands} | {outcomes} |")
    return "\n".join(lines)


def marked(row: Row, goal: Goal) -> str:
    """Return what came of a goal, bold where it is not reached."""
    return f"**{outcome(row, goal)}**" if row.is_reached(goal) is False else outcome(row, goal)


def remarks(rows: Sequence[Row]) -> str:
    """Return a list of what a reader must know beside the figures; empty if there is nothing."""
    lines = [f"- `{row.key}`: {remark}." for row in rows for remark in (*row.faults, *row.notes)]
    return "\n".join(lines)


def ordered(row: Row) -> list[str]:
    """Return who was measured, Holdfast first."""
    return sorted(row.readings, key=lambda who: who != OURS)
