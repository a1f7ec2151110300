"""The notation of Caddyfiles: directives with arguments, a line each, and blocks in braces.

Read from the variable in which Caddy's users put directives of the Mercure hub. What a directive means is not known
here; Caddy's snippets, imports, heredocs and matchers are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(
    r"""(?:[ \t\r]|\\\r?\n)* (?: (?P<comment>\#[^\n]*) | (?P<end>\n) | "(?P<quoted>(?:[^"\\]|\\.)*)" | `(?P<raw>[^`]*)`
    | (?P<plain>[^\s"`]\S*) )""",
    re.VERBOSE | re.DOTALL,
)
_PLACEHOLDER: Final = re.compile(r"\{\$([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}|\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")
_DEPTH_LIMIT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One directive. `block` are those in the braces behind it; `line` counts from 1."""

    name: str
    arguments: tuple[str, ...]
    block: tuple[Directive, ...]
    line: int


def parse_directives(text: str, environ: Mapping[str, str]) -> tuple[Directive, ...]:
    """Return the directives; raises ValueError, with the line in its text, for what is none.

    `{$NAME}`, `{$NAME:default}` and `{env.NAME}` within a word stand for what `environ` has.
    """
    lines = [line for line in _split(text, environ) if line.words]
    directives, rest = _take_block(lines, 0)
    if rest:
        raise ValueError(f"line {rest[0].number}: a '}}' without its '{{'")
    return directives


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: int
    words: tuple[str, ...]
    opens: bool = False
    closes: bool = False


def _split(text: str, environ: Mapping[str, str]) -> list[_Line]:
    """Return the lines with their words. Braces count where they are a word, the last one or the only one."""
    lines: list[_Line] = []
    for number, words, plain in _split_words(text):
        opens = plain[-1:] == [True] and words[-1] == "{"
        closes = plain == [True] and words == ["}"]
        kept = words[:-1] if opens else words
        lines.append(
            _Line(number=number, words=tuple(_replace(word, environ) for word in kept), opens=opens, closes=closes)
        )
        if opens and not kept:
            raise ValueError(f"line {number}: a '{{' without a directive before it")
    return lines


def _split_words(text: str) -> list[tuple[int, list[str], list[bool]]]:
    """Return of each line its number, its words, and of each word whether it stands there without quotes."""
    lines: list[tuple[int, list[str], list[bool]]] = [(1, [], [])]
    text, position = text.rstrip(), 0
    while position < len(text):
        found = _WORD.match(text, position)
        if found is None:
            raise ValueError(f"line {lines[-1][0]}: a quote is not closed")
        position = found.end()
        _, words, plain = lines[-1]
        if found["end"] is not None:
            lines.append((text.count("\n", 0, position) + 1, [], []))
        elif found["comment"] is None:
            quoted = found["quoted"]
            text_of = re.sub(r'\\(["\\])', r"\1", quoted) if quoted is not None else found["plain"] or found["raw"]
            words.append(text_of or "")
            plain.append(found["plain"] is not None)
    return lines


def _take_block(lines: Sequence[_Line], depth: int) -> tuple[tuple[Directive, ...], Sequence[_Line]]:
    """Return the directives up to the end or the first closing brace, and the lines from there."""
    directives: list[Directive] = []
    while lines and not lines[0].closes:
        first, lines = lines[0], lines[1:]
        block: tuple[Directive, ...] = ()
        if first.opens:
            if depth == _DEPTH_LIMIT:
                raise ValueError(f"line {first.number}: more than {_DEPTH_LIMIT} blocks within each other")
            block, lines = _take_block(lines, depth + 1)
            if not lines:
                raise ValueError(f"line {first.number}: a '{{' without its '}}'")
            lines = lines[1:]
        name, *arguments = first.words
        directives.append(Directive(name=name, arguments=tuple(arguments), block=block, line=first.number))
    return tuple(directives), lines


def _replace(word: str, environ: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        return environ.get(found[1] or found[3], found[2] or "")

    return _PLACEHOLDER.sub(value, word)
