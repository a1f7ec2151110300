r"""The templates of content filters: directives that begin with a percent sign, in bytes that may be anything.

`%%` is a percent sign, `%T` and `%(argument)T` are whatever a filter makes of them, `T` being one ASCII letter; in an
argument a backslash escapes. Anything else behind a percent sign is an error (reference 6.6). Which letters there are
is the filter's, in `filters` and `build_id`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

RESULT_LIMIT = 1_000_000
"""Bytes that content may grow to: a few bytes of a template can stand for any number of meta's."""

OPEN_LIMIT = 10_000
"""Bytes of a directive of which the end has not come yet."""

KNOWN = 16
"""Templates that are kept taken apart."""

KNOWN_LIMIT = 65_536
"""Bytes of one that is."""

_DIRECTIVE = re.compile(rb"%(?:(?P<percent>%)|(?:\((?P<argument>(?:[^)\\]++|\\.)*+)\))?(?P<type>[A-Za-z]))", re.DOTALL)
_OPEN = re.compile(rb"%(?:\((?:[^)\\]++|\\.)*+(?:\\|\))?)?\Z", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)

Resolve = Callable[[bytes, bytes | None], bytes | None]
"""Returns what stands for a directive, given its letter and its argument, unescaped; None for one that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """A directive at a place in its template. Without a `kind` it is a percent sign that begins nothing."""

    kind: bytes
    argument: bytes | None
    at: int


class FilterError(Exception):
    """An item's content and a session's meta do not go together; the session does not get the item."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rendering:
    """One template that comes in pieces: `feed` any number of times, then `end`. Both raise FilterError.

    `name` is the filter, and `forms` says what a percent sign may begin, for the errors.
    """

    __slots__ = ("_forms", "_name", "_offset", "_open", "_resolve")

    def __init__(self, name: str, forms: str, resolve: Resolve) -> None:
        self._name = name
        self._forms = forms
        self._resolve = resolve
        self._open = b""
        self._offset = 0

    def feed(self, template: bytes) -> bytes:
        """Return what the next piece comes to. A directive that it does not finish comes with the piece that does."""
        template = self._open + template
        self._open = b""
        parts: list[bytes] = []
        size = end = 0
        while (start := template.find(b"%", end)) >= 0:
            directive = _DIRECTIVE.match(template, start)
            if directive is None:
                self._keep_open(template, start)
                break
            part = template[end:start] + self._stands_for(directive)
            end = directive.end()
            parts.append(part)
            size += len(part)
            if size > max(len(template), RESULT_LIMIT):
                raise FilterError(f"{self._name}: more than {RESULT_LIMIT} bytes of content")
        last = len(template) - len(self._open)
        self._offset += last
        return b"".join((*parts, template[end:last]))

    def end(self) -> bytes:
        """The template is complete. Return what is left of it, which is nothing."""
        if self._open:
            raise self._stray(0)
        return b""

    def _keep_open(self, template: bytes, start: int) -> None:
        if len(template) - start > OPEN_LIMIT or _OPEN.match(template, start) is None:
            raise self._stray(start)
        self._open = template[start:]

    def _stands_for(self, found: re.Match[bytes]) -> bytes:
        if found["percent"]:
            return b"%"
        directive = _directive(found)
        part = self._resolve(directive.kind, directive.argument)
        if part is None:
            raise self._stray(directive.at)
        return part

    def _stray(self, at: int) -> FilterError:
        return _stray(self._name, self._forms, self._offset + at)


def render(name: str, forms: str, resolve: Resolve, template: bytes) -> bytes:
    """Return what a whole template comes to. Raises FilterError.

    One that comes again soon, as an item's content does for each session, has been taken apart already.
    """
    pieces = _known_pieces(template) if len(template) <= KNOWN_LIMIT else _pieces(template)
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            part = piece
        else:
            found = resolve(piece.kind, piece.argument) if piece.kind else None
            if found is None:
                raise _stray(name, forms, piece.at)
            part = found
        parts.append(part)
        size += len(part)
        if size > max(len(template), RESULT_LIMIT):
            raise FilterError(f"{name}: more than {RESULT_LIMIT} bytes of content")
    return b"".join(parts)


def _pieces(template: bytes) -> tuple[bytes | Directive, ...]:
    """Take a template apart, up to the first percent sign that begins nothing."""
    pieces: list[bytes | Directive] = []
    end = 0
    while (start := template.find(b"%", end)) >= 0:
        if start > end:
            pieces.append(template[end:start])
        found = _DIRECTIVE.match(template, start)
        if found is None:
            return (*pieces, Directive(kind=b"", argument=None, at=start))
        end = found.end()
        pieces.append(b"%" if found["percent"] else _directive(found))
    return (*pieces, template[end:])


_known_pieces = functools.lru_cache(maxsize=KNOWN)(_pieces)


def _directive(found: re.Match[bytes]) -> Directive:
    argument = found["argument"]
    if argument is not None:
        argument = _ESCAPE.sub(rb"\1", argument)
    return Directive(kind=found["type"], argument=argument, at=found.start())


def _stray(name: str, forms: str, at: int) -> FilterError:
    return FilterError(f"{name}: '%' at byte {at} begins neither {forms} nor '%%'")
