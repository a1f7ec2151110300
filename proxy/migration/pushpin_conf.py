"""A pushpin.conf as it stands: the file, the one it includes, and the variables in its values (reference 2).

`proxy.migration.pushpin_translation` turns it into settings. Reads these two files and no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.errors import SettingsError
from proxy.protocol.qt_ini import IniError, IniFile, parse_ini

DEFAULT_FILES: Final = (
    Path("config/pushpin.conf"),
    Path("pushpin.conf"),
    Path("examples/config/pushpin.conf"),
    Path("/etc/pushpin/pushpin.conf"),
)
"""Where Pushpin looks for its file when it is not told."""

LIBRARY_FOLDERS: Final = (Path("/usr/lib/pushpin"), Path("/usr/local/lib/pushpin"))
"""What `{libdir}` is when the file does not say: the first that is there, or the first of all."""

INTERNAL_FILE: Final = "internal.conf"
"""The file that Pushpin's own installation includes. Nothing of it matters here, so it may be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key with its value, which is a text, or several with commas between them; variables are replaced."""

    name: str
    """`section.key`."""

    parts: tuple[str, ...]

    origin: str
    """`FILE:LINE: KEY`, to begin the text of an error with."""

    is_included: bool = False
    """Whether it comes from the file that is included, before which the main file goes."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing behind `=`."""
        return self.parts == ("",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Which Pushpin of several it is (`--id N`): it has its own names of sockets, and ports 10 N further on."""

    number: int

    @property
    def ipc_prefix(self) -> str:
        """What its `ipc://` sockets' names begin with, whatever the file says."""
        return f"p{self.number}-"

    @property
    def port_offset(self) -> int:
        """What is added to its ports, whatever the file says."""
        return 10 * self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class PushpinConf:
    """What the file and the one it includes say together."""

    path: Path
    entries: Mapping[str, Entry]
    """By `section.key`."""

    port_offset: int
    runtime_folder: str
    """`{rundir}`, where `ipc://` sockets are; empty when the file names none."""

    metrics_offset: int = 0
    """What is added to the metrics' port: by `--id` alone, since Pushpin's `port_offset` leaves it where it is."""

    oddities: tuple[str, ...] = field(default=())
    """What could not be read and is left out, for the operator."""

    @property
    def folder(self) -> Path:
        """Where relative paths of its values start."""
        return self.path.parent

    @property
    def runtime_origin(self) -> str:
        """`FILE:LINE: KEY` of the runtime folder; empty when the file names none."""
        entry = self.get("global.rundir") or self.get("runner.rundir")
        return entry.origin if entry else ""

    def get(self, name: str) -> Entry | None:
        """Return the entry `section.key`, unless there is none or it is empty."""
        entry = self.entries.get(name)
        return None if entry is None or entry.is_empty else entry


def find_pushpin_conf() -> Path:
    """Return the file that Pushpin would read when told none; raises SettingsError when there is none."""
    for path in DEFAULT_FILES:
        if path.is_file():
            return path
    raise SettingsError(f"there is no pushpin.conf: looked for {', '.join(map(str, DEFAULT_FILES))}")


def read_pushpin_conf(path: Path, *, instance: Instance | None = None) -> PushpinConf:
    """Read the file and what it includes. Raises SettingsError with `FILE:LINE` or the file's name."""
    main = _parse(path, _read(path))
    raw = {f"{entry.section}.{entry.key}": ",".join(entry.parts) for entry in main.entries}
    variables = _find_variables(raw, instance)
    oddities = [f"line {line} has no '='" for line in main.stray_lines]
    entries: dict[str, Entry] = {}
    if raw.get("global.include"):
        included = _find_included(path, _substitute(raw["global.include"], variables), variables["libdir"])
        try:
            entries.update(_entries(included, _parse(included, _read(included)), variables, is_included=True))
        except SettingsError as error:
            if included.exists():
                raise
            if included.name != INTERNAL_FILE:
                oddities.append(f"the included {error}")
    entries.update(_entries(path, main, variables))
    return PushpinConf(
        path=path,
        entries=entries,
        port_offset=instance.port_offset if instance else _read_offset(entries),
        runtime_folder=variables["rundir"],
        metrics_offset=instance.port_offset if instance else 0,
        oddities=tuple(oddities),
    )


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    if b"\0" in content:
        raise SettingsError(f"{path}: is no text, and so no pushpin.conf")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # which is what Qt 5 takes every such file for


def _parse(path: Path, text: str) -> IniFile:
    try:
        return parse_ini(text)
    except IniError as error:
        raise SettingsError(f"{path}:{error.line}: {error.reason}") from error


def _find_variables(raw: Mapping[str, str], instance: Instance | None) -> dict[str, str]:
    library = next((folder for folder in LIBRARY_FOLDERS if folder.is_dir()), LIBRARY_FOLDERS[0])
    return {
        "libdir": raw.get("global.libdir") or str(library),
        "rundir": raw.get("global.rundir") or raw.get("runner.rundir") or "",
        "ipc_prefix": instance.ipc_prefix if instance else raw.get("global.ipc_prefix", "pushpin-"),
    }


def _find_included(path: Path, name: str, libdir: str) -> Path:
    beside = path.parent / name
    in_library = Path(libdir) / name
    return in_library if not beside.exists() and in_library.exists() else beside


def _entries(
    path: Path, file: IniFile, variables: Mapping[str, str], *, is_included: bool = False
) -> Iterator[tuple[str, Entry]]:
    for entry in file.entries:
        name = f"{entry.section}.{entry.key}"
        parts = tuple(_substitute(part, variables) for part in entry.parts)
        origin = f"{path}:{entry.line}: {entry.key}"
        yield name, Entry(name=name, parts=parts, origin=origin, is_included=is_included)


def _substitute(text: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _read_offset(entries: Mapping[str, Entry]) -> int:
    entry = entries.get("global.port_offset")
    if entry is None or entry.is_empty:
        return 0
    text = ",".join(entry.parts)
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 6:
        raise SettingsError(f"{entry.origin}: expected a whole number, got {text!r}")
    return int(text)
