"""Keeps what was measured in a folder: figures.json, ratios.png, and README.md made of them and of notes.md.

A row that is measured again takes the place of what was there; the others stay, with the date and the commit they are
from. notes.md is written by hand and never touched: it says what is not reached, and where the time goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.bench import table
from tests.bench.measure import Row
from tests.bench.plot import plot

FIGURES, PICTURE, NOTES, REPORT = "figures.json", "ratios.png", "notes.md", "README.md"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A row, and where it is from."""

    row: Row
    date: str
    revision: str
    rounds: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What figures.json holds. All rows are of one machine: with other facts the file begins anew."""

    facts: dict[str, str]
    entries: dict[str, Entry]


def read(folder: Path, facts: Mapping[str, str]) -> Figures:
    """Return what is kept in a folder; nothing if it is from another machine or of other programs."""
    path = folder / FIGURES
    if path.exists():
        kept = msgspec.json.decode(path.read_bytes(), type=Figures)
        if kept.facts == dict(facts):
            return kept
    return Figures(facts=dict(facts), entries={})


def add(figures: Figures, row: Row, *, revision: str, rounds: int) -> Figures:
    """Return the figures with a row that was measured now."""
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    entry = Entry(row=row, date=date, revision=revision, rounds=rounds)
    return Figures(facts=figures.facts, entries={**figures.entries, row.key: entry})


def write(folder: Path, figures: Figures, order: Sequence[str]) -> None:
    """Write all files, rows in this order."""
    folder.mkdir(parents=True, exist_ok=True)
    known = [figures.entries[key] for key in order if key in figures.entries]
    (folder / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
    has_picture = plot([entry.row for entry in known], folder / PICTURE)
    notes = folder / NOTES
    by_hand = notes.read_text(encoding="utf-8").strip() if notes.exists() else "Nobody has written this yet."
    (folder / REPORT).write_text(markdown(figures.facts, known, by_hand, has_picture=has_picture), encoding="utf-8")


def markdown(facts: Mapping[str, str], entries: Sequence[Entry], by_hand: str, *, has_picture: bool) -> str:
    """Return the report."""
    rows = [entry.row for entry in entries]
    parts = [
        INTRODUCTION,
        table.markdown(rows),
        f"![How far each goal is reached]({PICTURE})" if has_picture else "",
        "## What is not reached, and where the time goes",
        by_hand,
        "## What to know of single rows" if table.remarks(rows) else "",
        table.remarks(rows),
        "## Where this is from",
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        "\n".join(f"- {text}" for text in origins(entries)),
        METHOD,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def origins(entries: Sequence[Entry]) -> list[str]:
    """Return when, and at which commit, which rows were measured."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        where = f"{entry.date}, commit {entry.revision or 'unknown'}, rounds: {entry.rounds}"
        found.setdefault(where, []).append(entry.row.key)
    return [f"{where}: {', '.join(keys)}" for where, keys in found.items()]


INTRODUCTION = """\
<!-- Written by `make bench` from figures.json and notes.md: change those, or tests/bench/report.py. -->

# Benchmarks

Holdfast beside the floor, which is what the same deliveries cost a C program that does nothing else, and beside the
servers that do the same work. Figures are medians, with the lowest and the highest behind them; a ratio is the median
of the ratios of single rounds, in each of which everybody was measured once, one after the other."""

METHOD = """\
## How to repeat it

`make bench` measures everything and writes this folder. `make bench ARGS='fanout burst'` measures the rows whose names
begin like that, and leaves the others as they are; `ARGS=--quick` only looks whether it works, and writes nothing;
`ARGS='--mercure-hub PATH'` measures a Mercure hub, too. Nothing else should run on the machine.

- CPU time is what the operating system has counted for all processes of a server together, user and system; memory is
  the Pss of all of them. The load generator is in no figure.
- The load generator (`tests/bench/native/hold.c`) reads with one epoll from all clients, and sleeps when there is
  nothing to read, so a server pays for waking it, the floor too.
- A message has 150 bytes of content. Every byte that every client gets is checked: framing, order, completeness. A
  fault of Holdfast's spoils the row.
- The floor (`tests/bench/native/floor.c`) sends each client the bytes that Holdfast sends, and gathers nothing."""
