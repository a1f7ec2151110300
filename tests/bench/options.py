"""What a run of the benchmark was asked for. Every row gets it and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The words of the command line that rows are measured by."""

    rounds: int = 5
    """Interleaved runs behind each figure."""
    is_quick: bool = False
    """Whether to look at whether it works rather than at the figures: fewer and shorter runs."""
    mercure_hub: Path | None = None
    """The Mercure hub's program, if there is one to measure against."""

    def scaled(self, count: int, quick: int) -> int:
        """Return how many of something to take: `count`, or `quick` in a quick run."""
        return quick if self.is_quick else count


Measurement = Callable[[Options], Row]
"""What measures one row; named in `tests.bench.contents`."""
