"""A pushpin.conf as settings of ours, and one line about what of it has no effect (reference 2).

Called by `proxy.config` for `--pushpin-conf`, and by `holdfast import-pushpin`. Every key is obeyed or named in that
line, unknown ones too.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.assignment import Assignment, Translation, suggest
from proxy.errors import SettingsError
from proxy.migration.pushpin_conf import Entry, PushpinConf
from proxy.migration.pushpin_keys import FALLBACKS, INTERNAL, KEYS, KeyRow
from proxy.migration.pushpin_values import Reading, Setting

_PUBLISH_PORT = 5561
_DOORS = ("runner.http_port", "runner.https_ports", "runner.local_ports")
_TOLD = 8
"""How many oddities are told beside what keeps it from starting."""
_NAMED = 4
"""Of keys with the same reason, how many are named where there are more: those of `internal.conf` are thirty."""


def translate_pushpin_conf(conf: PushpinConf) -> Translation:
    """Return the file as assignments, and at most one warning. Raises SettingsError with file, line and key."""
    reading = Reading(conf=conf)
    assignments = [_assign(setting, str(conf.path)) for setting in _fallbacks(conf)]
    for name, row in KEYS.items():
        entry = conf.get(name)
        if entry is not None and row.reader is not None:
            assignments.extend(_assign(setting, entry.origin) for setting in row.reader.read(reading, entry))
    pieces = (*_without_effect(conf), *_in_part(conf, reading), *_unknown(conf), *conf.oddities)
    warnings = (f"{conf.path}: {'; '.join(pieces)}",) if pieces else ()
    return Translation(assignments=tuple(assignments), warnings=warnings)


def entries_without_effect(conf: PushpinConf) -> Iterator[tuple[KeyRow, Entry]]:
    """Yield the keys that say something which is not done, in the order of the table, but those of `internal.conf`."""
    inside = {row.name for row in INTERNAL}
    for name, row in KEYS.items():
        entry = conf.get(name)
        if entry is not None and not row.is_obeyed and name not in inside:
            yield row, entry


def unknown_entries(conf: PushpinConf) -> Iterator[Entry]:
    """Yield the entries that are not keys of Pushpin's."""
    yield from (entry for name, entry in conf.entries.items() if name not in KEYS)


def describe_oddities(conf: PushpinConf) -> str:
    """Return which keys are not Pushpin's and which lines could not be read, empty if there are none.

    For whoever cannot start: a mistyped key may be why. Of many the first few are named.
    """
    found = [f"unknown: {name}" for name in _unknown_names(conf)] + list(conf.oddities)
    more = len(found) - _TOLD
    return "; ".join((*found[:_TOLD], f"and {more} more such") if more > 0 else found)


def refuse_without_door(conf: PushpinConf) -> None:
    """Raise SettingsError if the file has no key that says where clients connect: Pushpin needs one, too."""
    if not any(conf.get(name) for name in _DOORS):
        keys = ", ".join(name.removeprefix("runner.") for name in _DOORS)
        text = f"[runner] has none of {keys}" if conf.entries else f"has no keys at all, such as {_DOORS[0]}"
        raise SettingsError(f"{conf.path}: {text}: there is nowhere for clients to connect")


def _assign(setting: Setting, origin: str) -> Assignment:
    return Assignment(name=setting.name, value=setting.value, origin=origin, is_text=False)


def _fallbacks(conf: PushpinConf) -> Iterator[Setting]:
    """Yield what holds for missing keys."""
    for name, value in FALLBACKS.items():
        yield Setting(name=name, value=value)
    yield Setting(name="publish.listen", value=f"127.0.0.1:{_PUBLISH_PORT + conf.port_offset}")


def _without_effect(conf: PushpinConf) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for row, _ in entries_without_effect(conf):
        by_reason.setdefault(row.plain_note, []).append(row.name)
    for row in INTERNAL:
        if conf.get(row.name):
            by_reason.setdefault(row.plain_note, []).append(row.name)
    if by_reason:
        yield "without effect: " + ", ".join(f"{_list(names)} ({reason})" for reason, names in by_reason.items())


def _in_part(conf: PushpinConf, reading: Reading) -> Iterator[str]:
    remarks = list(reading.remarks)
    if conf.get("handler.push_in_http_port") is None:
        remarks.append("handler.push_in_http_port is missing (there always is a publish port: of this machine alone)")
    if remarks:
        yield "in part: " + ", ".join(remarks)


def _unknown(conf: PushpinConf) -> Iterator[str]:
    names = _unknown_names(conf)
    if names:
        yield f"unknown: {', '.join(names)}"


def _unknown_names(conf: PushpinConf) -> list[str]:
    return [f"{entry.name}{suggest(entry.name, KEYS)}" for entry in unknown_entries(conf)]


def _list(names: list[str]) -> str:
    if len(names) <= _NAMED:
        return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
    return f"{names[0]} and {len(names) - 1} more"
