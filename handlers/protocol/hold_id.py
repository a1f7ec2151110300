"""Ids of held connections: which worker has it, and the moment of its coming, which no two of a worker share.

`Session` takes its moment when it is made; the text is made when somebody asks (`handlers.survey`), so that a held
connection keeps a number and nothing else. An id is never given twice: moments are of the wall clock, so neither the
next connection nor the next process has one that was there before (unless the machine's clock is set back between two
processes).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_FORM: Final = re.compile(r"([1-9][0-9]{0,5})-([0-9a-f]{1,15})", re.ASCII)


class HoldId(NamedTuple):
    """One held connection. Ordered by when they came."""

    stamp: int
    """Microseconds since 1970, as `Stamps` gives them."""
    worker: int
    """The worker's number, from 1."""

    @property
    def text(self) -> str:
        """The id as others see it."""
        return f"{self.worker}-{self.stamp:x}"


FIRST: Final = HoldId(0, 0)
"""Before every id."""


class Stamps:
    """Gives each caller a moment of its own."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def take(self, wall: float) -> int:
        """Return microseconds since 1970: `wall`, which is in seconds, or just after the one given before."""
        self._last = max(self._last + 1, int(wall * 1e6))
        return self._last


def parse_hold_id(text: str) -> HoldId | None:
    """Read an id as `HoldId.text` writes it; None for what is none."""
    found = _FORM.fullmatch(text)
    return None if found is None else HoldId(int(found[2], 16), int(found[1]))
