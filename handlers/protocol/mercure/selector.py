"""Topic selectors that are RFC 6570 templates, of the 0.10 to 0.24 hubs (reference 2.2).

Called by `matching`. A template becomes one regular expression, which a topic has to match as a whole; variables are
not told apart, because nobody asks for their values. `LinearRegexp` is the one door to RE2, for URL patterns too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import re2  # type: ignore[import-untyped]

MAX_MEMORY = 256 * 1024
"""Bytes that one compiled expression may use, its state cache included. Larger ones are refused within milliseconds."""
MAX_SIZE = 12_000
"""Instructions that fit into it, rounded up."""
MAX_STEPS = 8 * 1024 * 1024
"""Instructions times bytes that one evaluation may cost at worst, about 20 ms. What would cost more does not match."""

_OPTIONS: Final[Any] = re2.Options()
_OPTIONS.max_mem = MAX_MEMORY
_OPTIONS.log_errors = False
_OPTIONS.never_capture = True

# RFC 6570 section 2.1, and its ucschar and iprivate.
_LITERAL = re.compile(
    r"(?:[!#$&()*+,\-./0-9:;=?@A-Z\[\]_a-z~\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\uffef"
    + "".join(f"{chr(plane << 16)}-{chr((plane << 16) | 0xFFFD)}" for plane in (*range(1, 14), 15, 16))
    + "\U000e1000-\U000efffd]|%[0-9A-Fa-f]{2})*"
)
_VARIABLE = re.compile(
    r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*(?::[1-9][0-9]{0,3}|(?P<explode>\*))?"
)

_UNRESERVED = r"A-Za-z0-9\-._~"
_RESERVED = r":/?#\[\]@!$&'()*+,;="


class RegexpError(ValueError):
    """An expression is malformed, uses what RE2 refuses (look-around, back-references), or is too large."""


class LinearRegexp:
    """A regular expression whose compilation, memory and evaluation are bounded, whoever wrote it.

    `size` is its number of instructions.
    `head` is literal text that stands before it. It costs nothing, so that long topics are found by their patterns.
    """

    __slots__ = ("_head", "_limit", "_regexp", "size")

    def __init__(self, pattern: str, head: str = "") -> None:
        """Raise RegexpError if it cannot be compiled."""
        try:
            self._head = head.encode()
            self._regexp: Any = re2.compile(pattern, _OPTIONS)
        except (re2.error, UnicodeEncodeError):
            raise RegexpError(pattern) from None
        self.size = int(self._regexp.programsize)
        self._limit = len(self._head) + MAX_STEPS // self.size

    def matches(self, text: bytes) -> bool:
        """Say whether `text` as a whole matches, which text past the budget does not."""
        # Not `text[...]`: a circumflex in the expression has to see what is before it.
        return (
            len(text) <= self._limit
            and text.startswith(self._head)
            and self._regexp.fullmatch(text, len(self._head)) is not None
        )


def quoted(text: str) -> str:
    """Return the expression for `text` itself."""
    return str(re2.escape(text))


@dataclass(frozen=True, slots=True)
class CompiledSelector:
    """A template that was understood. Equality with the selector's own text is the caller's to test first."""

    regexp: LinearRegexp

    @property
    def size(self) -> int:
        """Instructions of its expression: what it costs to compile, and to keep."""
        return self.regexp.size

    def matches(self, topic: str) -> bool:
        """Say whether an expansion of the template could be `topic`; text that is not UTF-8 never is."""
        try:
            return self.regexp.matches(topic.encode())
        except UnicodeEncodeError:
            return False


@dataclass(frozen=True, slots=True)
class _Operator:
    """What RFC 6570 appendix A says of an operator."""

    first: str = ""
    separator: str = ","
    named: bool = False
    reserved: bool = False

    def value(self, *, equals: bool) -> str:
        """Return the expression for one variable, which may be empty. `equals`: it may hold an equals sign."""
        allowed = _RESERVED if self.reserved else ",=" if equals else ","
        return f"(?:[{_UNRESERVED}{allowed}]|%[0-9A-Fa-f]{{2}})*"


_SIMPLE = _Operator()
_OPERATORS = {
    "+": _Operator(reserved=True),
    "#": _Operator("#", reserved=True),
    ".": _Operator(".", "."),
    "/": _Operator("/", "/"),
    ";": _Operator(";", ";", named=True),
    "?": _Operator("?", "&", named=True),
    "&": _Operator("&", "&", named=True),
}


def parse_selector(value: str) -> CompiledSelector | None:
    """Compile a template; None when `value` is none, is malformed, or is too large to compile."""
    if "{" not in value:
        return None
    pattern = _template(value)
    if pattern is None:
        return None
    try:
        return CompiledSelector(LinearRegexp(pattern, literal_prefix(value)))
    except RegexpError:
        return None


def count_variables(value: str) -> int:
    """Count what could be a variable of a template, in literal text too."""
    return value.count("{") + value.count(",") if "{" in value else 0


def literal_prefix(value: str) -> str:
    """Return the text that every topic begins with that `value` matches: all before the first brace."""
    return value.partition("{")[0]


def _template(value: str) -> str | None:
    """Return the expression for all that follows the literal prefix."""
    head, *rest = value.split("{")
    parts = [head]
    expressions: list[str] = []
    for piece in rest:
        inside, brace, literal = piece.partition("}")
        expression = _expression(inside) if brace else None
        if expression is None:
            return None
        expressions.append(expression)
        parts.append(literal)
    if not all(map(_LITERAL.fullmatch, parts)):
        return None
    return "".join(a + quoted(b) for a, b in zip(expressions, parts[1:], strict=True))


def _expression(inside: str) -> str | None:
    operator = _OPERATORS.get(inside[:1], _SIMPLE)
    variables = [_VARIABLE.fullmatch(each) for each in inside[operator is not _SIMPLE :].split(",")]
    explodes: list[bool] = []
    for variable in variables:
        if variable is None:
            return None
        explodes.append(variable["explode"] is not None)
    pattern = operator.value(equals=operator.named or explodes[0])
    if len(explodes) > 1 or explodes[0]:
        further = operator.value(equals=operator.named or any(explodes))
        times = "*" if any(explodes) else f"{{0,{len(explodes) - 1}}}"
        pattern = f"{pattern}(?:{quoted(operator.separator)}{further}){times}"
    return f"(?:{quoted(operator.first)}{pattern})?"
