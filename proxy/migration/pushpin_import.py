"""Writes the holdfast.toml that means what a pushpin.conf means here (`holdfast import-pushpin`).

Called by `proxy.pushpin_commands`. Pure text: `proxy.config` has read and checked the settings before.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from proxy.assignment import Translation
from proxy.config import Settings
from proxy.migration.pushpin_conf import PushpinConf
from proxy.migration.pushpin_translation import entries_without_effect, unknown_entries

_WIDTH = 110


def holdfast_toml(conf: PushpinConf, translation: Translation, settings: Settings) -> str:
    """Return the text: each setting under the place it comes from, and as comments what has no effect.

    `settings` are those that `translation`, which is the file's, comes to by itself. Paths are absolute, so that it may
    be put anywhere.
    """
    origins = {each.name: each.origin for each in translation.assignments}
    parts = [*_head(conf, settings)]
    sections = dict.fromkeys(name.partition(".")[0] for name in origins)
    for section in sections:
        parts.append(f"\n[{section}]\n")
        for name, origin in origins.items():
            if name.startswith(f"{section}."):
                key = name.removeprefix(f"{section}.")
                value = getattr(getattr(settings, section), key)
                parts.append(f"# {_explain(conf, origin)}\n{key} = {encode_toml(value)}\n")
    parts.extend(_left_out(conf))
    return "".join(parts)


def encode_toml(value: object) -> str:
    """Write a value of a setting as TOML."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(encode_toml, value))}]"
    # JSON's escapes are TOML's, but for one character that only TOML escapes.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def needs_runtime_folder(settings: Settings) -> bool:
    """Say whether any socket is to be in the folder that a pushpin.conf calls `rundir`."""
    zeromq = settings.zeromq
    endpoints = (zeromq.pull, *zeromq.sub, zeromq.command, zeromq.stats, settings.session.state)
    paths = (*(text.removeprefix("ipc://") for text in endpoints), *settings.proxy.unix_listen)
    folder = settings.runtime_folder
    return bool(folder) and any(path.startswith(f"{folder.rstrip('/')}/") for path in paths)


def _head(conf: PushpinConf, settings: Settings) -> Iterator[str]:
    yield f"# Settings of Holdfast, written by `holdfast import-pushpin` from {_plain(str(conf.path))}.\n"
    yield "# All settings and their meaning: docs/configuration.md. What is not here is at its default.\n"
    if needs_runtime_folder(settings):
        folder = _plain(conf.runtime_folder)
        yield f"# The folder {folder} must be there: RuntimeDirectory= of a systemd unit makes it.\n"


def _explain(conf: PushpinConf, origin: str) -> str:
    place = origin.removeprefix(f"{conf.path}:")
    if place == origin:
        return "what Pushpin does without a key for it" if origin == str(conf.path) else _plain(origin)
    line, _, key = place.partition(": ")
    return _plain(f"{key}, line {line}")


def _left_out(conf: PushpinConf) -> Iterator[str]:
    lines = [f"{row.name} = {','.join(entry.parts)}: {row.plain_note}" for row, entry in entries_without_effect(conf)]
    lines.extend(f"{entry.name}: no key of Pushpin's" for entry in unknown_entries(conf))
    if lines:
        yield "\n# Without effect here:\n"
    for line in lines:
        yield textwrap.fill(_plain(line), _WIDTH, initial_indent="#   ", subsequent_indent="#     ") + "\n"


def _plain(text: str) -> str:
    """Return text as it may stand in a comment."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
