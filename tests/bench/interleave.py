"""Takes readings in rounds: every contender once in each, so that what drifts on the machine drifts for all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.bench.servers.process import ServerError

PEERS = frozenset(("pushpin", "nchan", "mercure"))
"""Those without whom there still is a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one run of one contender gave: its figures, and in words what was wrong on the way (empty if nothing)."""

    figures: tuple[float, ...]
    faults: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What all rounds gave, by contender, and whom they left out."""

    by_contender: dict[str, list[Reading]]
    absent: dict[str, str] = field(default_factory=dict)
    """Why somebody could not be measured."""

    def figures(self, index: int = 0) -> Mapping[str, tuple[float, ...]]:
        """Return the figures with this index, by contender."""
        return {
            who: tuple(reading.figures[index] for reading in readings) for who, readings in self.by_contender.items()
        }

    def faults(self) -> tuple[str, ...]:
        """Return what Holdfast did wrong."""
        return self._faults_of("holdfast")

    def notes(self) -> tuple[str, ...]:
        """Return who could not be measured, and what others did wrong."""
        found = [f"{who} could not be measured: {why}" for who, why in self.absent.items()]
        for who in self.by_contender:
            if who != "holdfast":
                found.extend(f"{who}: {faults}" for faults in self._faults_of(who))
        return tuple(found)

    def peers(self) -> tuple[str, ...]:
        """Return the other servers that were measured."""
        return tuple(who for who in self.by_contender if who in PEERS)

    def _faults_of(self, who: str) -> tuple[str, ...]:
        readings = self.by_contender[who]
        faulty = [reading.faults for reading in readings if reading.faults]
        return (f"{faulty[0]} (something like this in {len(faulty)} of {len(readings)} rounds)",) if faulty else ()


def interleave(rounds: int, contenders: Mapping[str, Callable[[], Reading]]) -> Readings:
    """Take a reading of each contender once a round. A peer that fails is left out from then on, with all its readings.

    Raises ServerError when another fails.
    """
    readings = Readings(by_contender={who: [] for who in contenders})
    for round_number in range(1, rounds + 1):
        for who in tuple(readings.by_contender):
            show(f"round {round_number} of {rounds}: {who}")
            try:
                readings.by_contender[who].append(contenders[who]())
            except (ServerError, TimeoutError) as error:
                if who not in PEERS:
                    raise
                readings.absent[who] = str(error)
                del readings.by_contender[who]
    show("")
    return readings


def show(text: str) -> None:
    """Say on a terminal what is being done, in a line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
