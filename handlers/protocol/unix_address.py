"""Unix sockets to listen on, as operators write them: `/run/holdfast.sock?mode=660&user=www-data&group=www-data`.

That is how Pushpin writes its `local_ports` (reference 2.2). Used by the settings of both doors and by whoever opens
the sockets. Never asks who a user is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PATH_LIMIT = 107
"""Bytes that the path of a Unix socket may have, by the system."""

PREFIX = "unix:"
"""What stands before the path where an address may be either."""

_MODE = re.compile(r"0?[0-7]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixAddress:
    """Where to listen, and who may connect. What is None is left as the system makes it."""

    path: str
    mode: int | None = None
    """The file's permission bits."""
    user: str | None = None
    """Whose it becomes: a name or a number."""
    group: str | None = None

    def __str__(self) -> str:
        """Return the path as it stands in log lines."""
        return f"{PREFIX}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect, as of an `Address`."""
        return True


def parse_unix_address(text: str) -> UnixAddress:
    """Parse `PATH` or `PATH?mode=OCT&user=U&group=G`, each in any order; raise ValueError with a text for the operator.

    A `unix:` before the path is taken off.
    """
    path, _, query = text.removeprefix(PREFIX).partition("?")
    if not path or "\0" in path:
        raise ValueError(f"{text!r} is not a Unix socket: the path is missing, as in '/run/holdfast.sock'")
    size = len(path.encode(errors="surrogateescape"))
    if size > PATH_LIMIT:
        raise ValueError(f"{text!r} is not a Unix socket: the path has {size} bytes, {PATH_LIMIT} are possible")
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in ("mode", "user", "group") or not value or name in options:
            raise ValueError(f"{text!r} is not a Unix socket: expected mode=OCT, user=U and group=G, got {part!r}")
        options[name] = value
    mode = options.get("mode")
    if mode is not None and not _MODE.fullmatch(mode):
        raise ValueError(f"{text!r} is not a Unix socket: the mode is octal, as in mode=660")
    return UnixAddress(
        path=path,
        mode=None if mode is None else int(mode, 8),
        user=options.get("user"),
        group=options.get("group"),
    )


def encode_unix_address(address: UnixAddress) -> str:
    """Encode `address` as `parse_unix_address` reads it, without the prefix."""
    options = [
        *(() if address.mode is None else (f"mode={address.mode:o}",)),
        *(() if address.user is None else (f"user={address.user}",)),
        *(() if address.group is None else (f"group={address.group}",)),
    ]
    return address.path + ("?" + "&".join(options) if options else "")
