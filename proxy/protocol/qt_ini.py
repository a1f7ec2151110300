"""The ini files of Qt's QSettings, in which Pushpin is set up: text to entries (reference 2).

Pure; `proxy.migration.pushpin_conf` reads the files. A value with commas outside of quotes is a list. Quotes, C's
escapes and a backslash before the end of a line mean what they mean there; `;` outside of quotes begins a comment.

To Qt, `#` begins a key like any other character, so that a quote in a comment swallows the lines behind it. Here a line
that begins with `#` is a comment, which is what everybody means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

_ESCAPES: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_STARTS: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"x([0-9A-Fa-f]+)|([0-7]+)")
_LINE_END: Final = re.compile(r"\r\n|\n\r|\r|\n")
_TYPED: Final = re.compile(r"@(?:ByteArray|String)\((.*)\)", re.DOTALL)
_LARGEST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


class IniError(ValueError):
    """The text cannot be read from this line on; `reason` is for the operator."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        """Return `line N: REASON`."""
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IniEntry:
    """One `key=value`. `parts` are one text, or those of a list; lines count from 1."""

    section: str
    key: str
    parts: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IniFile:
    """What a text says, in its order, and the lines that say nothing: those without a `=`."""

    entries: tuple[IniEntry, ...]
    stray_lines: tuple[int, ...]


def parse_ini(text: str) -> IniFile:
    """Parse a whole file. Entries before the first section are those of `General`; raises IniError."""
    entries: list[IniEntry] = []
    stray: list[int] = []
    section = "General"
    for line, statement, equals in _statements(text):
        if statement.startswith("["):
            name, bracket, _ = statement[1:].partition("]")
            if not bracket:
                raise IniError(line, f"section {statement[:40]!r} has no closing bracket")
            section = name.strip()
        elif equals < 0:
            stray.append(line)
        else:
            key = statement[:equals].strip(" \t")
            entries.append(IniEntry(section=section, key=key, parts=parse_value(statement[equals + 1 :]), line=line))
    return IniFile(entries=tuple(entries), stray_lines=tuple(stray))


def parse_value(text: str) -> tuple[str, ...]:
    """Parse what stands behind `=`, without the line's end. Nothing is one empty text, as it is to Qt."""
    parts: list[str] = []
    current: list[str] = []
    is_quoted = in_quotes = False
    position = _skip_blanks(text, 0)
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\\":
            decoded, position = _unescape(text, position)
            current.append(decoded)
        elif character == '"':
            is_quoted = True
            in_quotes = not in_quotes
            position = position if in_quotes else _skip_blanks(text, position)
        elif character == "," and not in_quotes:
            parts.append(_finish(current, is_quoted=is_quoted))
            current, is_quoted = [], False
            position = _skip_blanks(text, position)
        else:
            current.append(character)
    return (*parts, _finish(current, is_quoted=is_quoted))


class _Statement(NamedTuple):
    line: int
    text: str
    equals: int
    """Where its `=` is; -1 when there is none."""


def _statements(text: str) -> Iterator[_Statement]:
    """Yield each line that says something, those that go on behind a backslash or within quotes as one."""
    position, line, counted = 0, 1, 0
    while True:
        position = _match_end(_STARTS, text, position)
        if position >= len(text):
            return
        line, counted = line + len(_LINE_END.findall(text, counted, position)), position
        start = position
        if text[start] in ";#":
            position = _find_line_end(text, start)
            continue
        position, equals = _scan(text, start, line)
        yield _Statement(line, text[start:position], equals - start if equals >= 0 else -1)


def _scan(text: str, start: int, line: int) -> tuple[int, int]:
    """Return where the statement that starts here ends, and where its first `=` is, or -1."""
    position, equals, in_quotes = start, -1, False
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2
            continue
        if character == '"':
            in_quotes = not in_quotes
        elif character in "\r\n;" and not in_quotes:
            return position, equals
        elif character == "=" and equals < 0:
            equals = position
        position += 1
    if in_quotes:
        raise IniError(line, "a quote is not closed")
    return len(text), equals


def _unescape(text: str, position: int) -> tuple[str, int]:
    """Return what the escape means whose backslash stands before `position`, and where the text goes on."""
    if position >= len(text):
        return "", position
    number = _NUMBER.match(text, position)
    if number:
        code = int(number[1], 16) if number[1] else int(number[2], 8)
        return chr(code) if code <= _LARGEST and code not in _SURROGATES else "\ufffd", number.end()
    end = _LINE_END.match(text, position)
    if end:
        return "", end.end()
    character = text[position]
    if character in _ESCAPES or character in "\"?'\\":
        return _ESCAPES.get(character, character), position + 1
    return "", position + 1  # Qt loses a character that is no escape


def _finish(characters: list[str], *, is_quoted: bool) -> str:
    text = "".join(characters)
    if not is_quoted:
        text = text.rstrip(" \t")
    if text.startswith("@@"):
        return text[1:]
    typed = _TYPED.fullmatch(text)
    if typed:
        return typed[1]
    return "" if text == "@Invalid()" else text


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t":
        position += 1
    return position


def _match_end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _find_line_end(text: str, position: int) -> int:
    found = _LINE_END.search(text, position)
    return found.start() if found else len(text)
