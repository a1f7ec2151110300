"""How other Mercure hubs say where their history stands, as settings of ours (reference 5.1, 5.2, 5.3).

Called for the variables and directives of those hubs. Their history is a Bolt database, which nothing here reads: ours
gets a file of its own beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from proxy.assignment import Assignment, Translation
from proxy.errors import SettingsError

OWN_SUFFIX: Final = ".holdfast.db"
"""Takes the place of the suffix that the other hub's file has."""

_HERE: Final = Path()
_IGNORED: Final = ("bucket_name", "cleanup_frequency")
_WITHOUT_HISTORY: Final = ("local", "null")


def translate_transport_url(origin: str, url: str) -> Translation:
    """Read `bolt://path?size=N`, `local://` or `null://`; raises SettingsError for any other transport."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise SettingsError(f"{origin}: {url!r} is not a URL: {error}") from error
    if "://" not in url:
        raise SettingsError(f"{origin}: expected bolt://PATH?size=N, local:// or null://, got {url!r}")
    # bolt://name is a relative path, bolt:///name an absolute one.
    return translate_transport(origin, parts.scheme, {"path": unquote(parts.netloc + parts.path), **options})


def translate_transport(origin: str, name: str, options: Mapping[str, str]) -> Translation:
    """Read a transport by its name; raises SettingsError for one that is not there, or an option it has not."""
    if name in _WITHOUT_HISTORY:
        return Translation(assignments=(history_assignment(origin, ""),))
    if name != "bolt":
        raise SettingsError(f"{origin}: there is no transport {name!r}: expected bolt, or local for no history")
    for option in options:
        if option not in {"path", "size", *_IGNORED}:
            raise SettingsError(f"{origin}: the transport bolt has no option {option!r}")
    assignments: list[Assignment] = []
    if options.get("path"):
        assignments.append(history_beside(origin, options["path"]))
    if "size" in options:
        assignments.append(
            Assignment(name="mercure.history_size", value=options["size"], origin=f"{origin}: size", base=_HERE)
        )
    ignored = [option for option in _IGNORED if option in options]
    warnings = tuple(f"{origin}: {option} has no equivalent, and is not obeyed" for option in ignored)
    return Translation(assignments=tuple(assignments), warnings=warnings)


def history_beside(origin: str, path: str) -> Assignment:
    """Return the setting of the history that takes the place of the one at `path`; raises SettingsError."""
    theirs = PurePath(path)
    if not theirs.name or "\0" in path:
        raise SettingsError(f"{origin}: expected the path of a file, got {path!r}")
    return history_assignment(origin, str(theirs.with_suffix(OWN_SUFFIX)))


def history_assignment(origin: str, path: str) -> Assignment:
    """Return the setting of the history's file; a relative path starts where the other hub's does."""
    return Assignment(name="mercure.history", value=path, origin=origin, base=_HERE)
