"""The grammar of one line of the routes file: text to sections and back (reference 1.1).

A line is sections between blanks; a section is `value[,name[=value]]*`; `"` quotes, `#` begins a comment. Called by
`proxy.protocol.routes`. What the values mean is not known here, and files are not opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NOT_BLANK = re.compile(r"[^ \t]")
_SPECIAL = re.compile(r'[ \t,#"]')
_SPECIAL_IN_QUOTES = re.compile(r'["\\]')
# Surrogates stand for bytes that were not UTF-8. Channels, hosts and headers are made of these texts, and none of
# them may bring a line break to the wire.
_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


class LineError(Exception):
    """A line that cannot be used; its text is the reason. `routes` makes it a RoutesError with file and line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A condition or target as written: quotes resolved, options as (name, value) in their order."""

    value: str
    options: tuple[tuple[str, str], ...] = ()


def parse_sections(text: str) -> tuple[Section, ...]:
    """Split one line, given without its line break, into sections; none for a blank or a comment.

    Blanks are spaces and tabs. Raises LineError: `unterminated quoted section`, `unterminated escape sequence`,
    `unexpected escape character: X`, `expecting prop`, `empty prop name`, `character not allowed: X`.
    """
    sections: list[Section] = []
    at = _find(_NOT_BLANK, text, 0)
    while at < len(text) and text[at] != "#":
        section, at = _read_section(text, at)
        sections.append(section)
        at = _find(_NOT_BLANK, text, at)
    return tuple(sections)


def encode_sections(sections: Iterable[Section]) -> str:
    """Write sections as a line that `parse_sections` reads as the same sections.

    Section values and option names must not hold `=`: the grammar has no way to say so.
    """
    return " ".join(map(_encode_section, sections))


def _find(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.search(text, at)
    return found.start() if found else len(text)


def _read_section(text: str, at: int) -> tuple[Section, int]:
    token, at = _read_token(text, at)
    # `name=value` in first place is an option of a section without a value, quoted or not.
    value = "" if "=" in token else token
    options = [_split_option(token)] if "=" in token else []
    while text.startswith(",", at):
        token, at = _read_token(text, at + 1)
        options.append(_split_option(token))
    return Section(value=value, options=tuple(options)), at


def _read_token(text: str, at: int) -> tuple[str, int]:
    parts: list[str] = []
    while True:
        end = _find(_SPECIAL, text, at)
        parts.append(text[at:end])
        at = end
        if not text.startswith('"', at):
            break
        quoted, at = _read_quoted(text, at + 1)
        parts.append(quoted)
    token = "".join(parts)
    if forbidden := _FORBIDDEN.search(token):
        raise LineError(f"character not allowed: {forbidden.group()!a}")
    return token, at


def _read_quoted(text: str, at: int) -> tuple[str, int]:
    parts: list[str] = []
    while True:
        end = _find(_SPECIAL_IN_QUOTES, text, at)
        parts.append(text[at:end])
        at = end
        if at == len(text):
            raise LineError("unterminated quoted section")
        if text[at] == '"':
            return "".join(parts), at + 1
        escaped = text[at + 1 : at + 2]
        if not escaped:
            raise LineError("unterminated escape sequence")
        if escaped not in '"\\':
            raise LineError(f"unexpected escape character: {escaped if escaped.isprintable() else ascii(escaped)}")
        parts.append(escaped)
        at += 2


def _split_option(token: str) -> tuple[str, str]:
    if not token:
        raise LineError("expecting prop")
    name, _, value = token.partition("=")
    if not name:
        raise LineError("empty prop name")
    return name, value


def _encode_section(section: Section) -> str:
    parts = [_encode_text(section.value)]
    parts.extend(f"{name}={_encode_text(value)}" if value else name for name, value in section.options)
    return ",".join(parts) or '""'


def _encode_text(text: str) -> str:
    if not _SPECIAL.search(text):
        return text
    # Only inside quotes is a backslash more than itself.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
