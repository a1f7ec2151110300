"""Times as Go programs write them: `1h30m`, `1.5s`, `300ms`, `0`; with `d` for days, as Caddy has it.

Used for the settings of other Mercure hubs, and for `--ttl`.
"""

from __future__ import annotations

import re
from typing import Final

_SMALL_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "\N{MICRO SIGN}s": 1e-6, "\N{GREEK SMALL LETTER MU}s": 1e-6, "ms": 1e-3}
_UNITS: Final = {**_SMALL_UNITS, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(ns|us|µs|μs|ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Return the seconds; raises ValueError, with a text for the operator, for anything but a time of 0 or more."""
    seconds, position = 0.0, 0
    while (part := _PART.match(text, position)) is not None:
        seconds += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    if text != "0" and (position != len(text) or not text):
        raise ValueError(f"expected a time, as '40s' or '1h30m', got {text!r}")
    return seconds
