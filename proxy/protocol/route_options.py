"""Typed reading of the options of one section, noting whatever is odd about them.

Used by `proxy.protocol.routes` and `proxy.protocol.route_target`. It knows no option by name: an option is known
because somebody reads it, and what nobody has read by `finish` is reported as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from proxy.protocol.route_line import LineError, Section

_Choice = TypeVar("_Choice")

_HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_NUMBER = re.compile(r"[0-9]{1,9}")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")


class OptionReader:
    """Reads each option once, by its kind; used by one parse and then dropped."""

    def __init__(self, section: Section) -> None:
        self.notices: list[str] = []
        self._unread: dict[str, list[str]] = {}
        for name, value in section.options:
            self._unread.setdefault(name, []).append(value)

    def flag(self, name: str) -> bool:
        """Say whether the option is there. `insecure=no` is: the format knows no way to say no, so that is noted."""
        values = self._unread.pop(name, [])
        if any(values):
            self.notices.append(f"option takes no value and is on all the same: {name}")
        return bool(values)

    def every(self, name: str) -> tuple[str, ...]:
        """Return the values of a repeatable option, in order; they may be empty."""
        return tuple(self._unread.pop(name, ()))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the values of a repeatable option, in order, without the empty ones; those are noted."""
        values = self.every(name)
        if not all(values):
            self.notices.append(f"option without a value is ignored: {name}")
        return tuple(filter(None, values))

    def last(self, name: str) -> str | None:
        """Return the value of an option, which may be empty, or None if it is not there. The last one counts."""
        values = self._unread.pop(name, [])
        if len(values) > 1:
            self.notices.append(f"option is repeated, the last one counts: {name}")
        return values[-1] if values else None

    def text(self, name: str) -> str | None:
        """Return the value of an option for which an empty value is as good as none; that is noted."""
        value = self.last(name)
        if value == "":
            self.notices.append(f"option without a value is ignored: {name}")
        return value or None

    def host(self, name: str) -> str:
        """Return a `host[:port]`, or nothing. Raises LineError: `NAME must use format 'host[:port]'`."""
        value = self.text(name)
        if value is None:
            return ""
        parts = _HOST_AND_PORT.fullmatch(value)
        if parts is None or (parts[2] is not None and not 1 <= int(parts[2]) <= 65535):
            raise LineError(f"{name} must use format 'host[:port]'")
        return value

    def choice(self, name: str, words: Mapping[str, _Choice]) -> _Choice | None:
        """Return what one of two words stands for. Raises LineError: `NAME must be set to 'x' or 'y'`."""
        value = self.last(name)
        if value is None:
            return None
        if value not in words:
            raise LineError(f"{name} must be set to " + " or ".join(f"'{word}'" for word in words))
        return words[value]

    def number(self, name: str) -> int | None:
        """Return a whole number of up to nine digits; anything else counts as 0 and is noted (reference 1.3)."""
        value = self.last(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            self.notices.append(f"not a number, taken as 0: {name}")
            return 0
        return int(value)

    def octal(self, name: str) -> int | None:
        """Return permission bits. Raises LineError: `NAME must be an octal number up to 7777`."""
        value = self.last(name)
        if value is None:
            return None
        if not re.fullmatch("[0-7]{1,4}", value):
            raise LineError(f"{name} must be an octal number up to 7777")
        return int(value, 8)

    def seconds(self, name: str) -> float | None:
        """Return a duration in seconds, to the millisecond. Raises LineError: `NAME must be a number of seconds...`."""
        value = self.last(name)
        if value is None:
            return None
        if not _SECONDS.fullmatch(value) or not float(value) > 0:
            raise LineError(f"{name} must be a number of seconds above 0, to three decimals and below 1000000")
        return float(value)

    def finish(self) -> tuple[str, ...]:
        """Return what was odd; what nobody asked for is unknown."""
        self.notices.extend(f"unknown option: {name}" for name in self._unread)
        return tuple(self.notices)
