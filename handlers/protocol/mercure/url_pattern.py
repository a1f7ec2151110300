"""WHATWG URL patterns as topic matchers (reference 1.4).

Called by `matching`. The `urlpattern` library reads a pattern: it finds the components, resolves them against the base
and brings literal text into canonical form. It gets to see no regular expression and no topic: hostile ones would keep
it busy for seconds, with gigabytes. RE2 matches here, within bounds, what `ada_url` makes of a topic. What the library
says of a bad pattern never leaves this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

import ada_url
from urlpattern import URLPattern

from handlers.protocol.mercure.selector import MAX_SIZE, LinearRegexp, RegexpError, quoted
from handlers.protocol.mercure.text import slash_prefixes

MAX_DYNAMIC = 32
"""Names, wildcards and groups a pattern may have: so many cost the library less than a millisecond."""
MAX_ORIGIN = 512
"""Characters of an anchor's origin; patterns for longer ones have no anchor."""

_DYNAMIC = re.compile(r"[(*{]|:(?=[A-Za-z_$\x80-\U0010ffff])")
parse_url = ada_url.URL

_SPECIAL_SCHEMES = ("http", "https", "ws", "wss", "ftp", "file")
_SCHEME_TEXT = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]*)?")


class MatcherError(Exception):
    """A URL pattern cannot be compiled. The text is fixed, because the library's is nothing for strangers."""

    def __init__(self) -> None:
        super().__init__("invalid topic matcher pattern")


@dataclass(frozen=True, slots=True)
class CompiledPattern:
    """A URL pattern and the base that it and all topics are resolved against."""

    base: str
    tests: tuple[tuple[int, bytes | LinearRegexp], ...]
    """What is asked of the components of a topic, by their places; literal ones first, as they cost least."""
    anchor: str | None
    """What all topics that match begin with, in canonical form and up to a slash; among their `topic_anchors`.

    None where protocol, hostname or port are not literal.
    """
    size: int = 0
    """Instructions of all expressions that were compiled for it."""

    def matches(self, topic: str) -> bool:
        """Say whether `topic` matches; what cannot be parsed as a URL does not."""
        url = _parse(topic, self.base)
        if url is None:
            return False
        for place, test in self.tests:  # a generator would cost as much as what it runs
            if url[place] != test if isinstance(test, bytes) else not test.matches(url[place]):
                return False
        return True


def count_dynamic(value: str) -> int:
    """Count what could be a name, a wildcard, a group or a pair of braces, inside expressions too."""
    return len(_DYNAMIC.findall(value))


def compile_pattern(value: str, base: str) -> CompiledPattern:
    """Compile a pattern, or raise MatcherError. `base` is the hub's URL, or a made-up one with a path."""
    text, groups, suffix, size = _take_groups(value)
    if count_dynamic(text) > MAX_DYNAMIC:
        raise MatcherError
    scheme: list[_Part] | None = None
    if "(" in text[:suffix]:
        # The library tries the scheme's expression on the special schemes, so it gets one of the same outcome.
        scheme = _scheme(text[:suffix], groups)
        text = ("(https)" if _is_special(scheme) else "(x)") + text[suffix:]
    try:
        read = URLPattern(text, base)
    except (ValueError, TypeError):
        raise MatcherError from None
    protocol = scheme or list(_parts(read.protocol, groups, _PROTOCOL))
    parts = {component: list(_parts(getattr(read, component.name), groups, component)) for component in _COMPONENTS}
    parts[_PROTOCOL] = protocol
    parts[_PATH] = [_escaped(part) for part in parts[_PATH]]
    asked = [(component.place, _test(found)) for component, found in parts.items() if found != [_ANYTHING]]
    tests = tuple(sorted(asked, key=lambda place_and_test: isinstance(place_and_test[1], LinearRegexp)))
    size += sum(test.size for _, test in tests if isinstance(test, LinearRegexp))
    return CompiledPattern(base, tests, _anchor(protocol, parts[_HOST], parts[_PORT], parts[_PATH]), size)


def topic_anchors(topic: str, base: str) -> tuple[str, ...]:
    """Return every anchor that a pattern that matches `topic` can have; none for what is no URL."""
    url = _parse(topic, base)
    if url is None:
        return ()
    origin = _origin(*(url[component.place].decode() for component in (_PROTOCOL, _HOST, _PORT)))
    if len(origin) > MAX_ORIGIN:
        return ()
    return (origin, *(origin + prefix for prefix in slash_prefixes(url[_PATH.place].decode())))


class _Component(NamedTuple):
    """A component of URLs: how to read it, and what the pattern standard calls its options."""

    name: str
    place: int
    delimiter: str = ""
    prefix: str = ""
    cut: tuple[int | None, int | None] = (None, None)

    def of(self, url: ada_url.URL) -> str:
        text: str = getattr(url, self.name)
        return text[slice(*self.cut)]


_PATH = _Component("pathname", 0, delimiter="/", prefix="/")
_HOST = _Component("hostname", 1, delimiter=".")
_PORT = _Component("port", 2)
_PROTOCOL = _Component("protocol", 7, cut=(None, -1))
_COMPONENTS = (
    _PATH,
    _HOST,
    _PORT,
    _Component("search", 3, cut=(1, None)),
    _Component("hash", 4, cut=(1, None)),
    _Component("username", 5),
    _Component("password", 6),
)


class _Part(NamedTuple):
    """A piece of a component. `value` is an expression; None is literal text, which stands in `prefix`."""

    prefix: str
    value: str | None = None
    suffix: str = ""
    modifier: str = ""

    @property
    def is_literal(self) -> bool:
        return self.value is None and not self.modifier

    @property
    def regexp(self) -> str:
        before, after = quoted(self.prefix), quoted(self.suffix)
        if self.value is None:
            return f"(?:{before}){self.modifier}"
        once = f"(?:{self.value})"
        if self.modifier in {"", "?"}:
            return f"(?:{before}{once}{after}){self.modifier}"
        further = f"(?:{after}{before}{once})*"
        return f"(?:{before}{once}{further}{after})" + ("?" if self.modifier == "*" else "")


_ANYTHING = _Part("", ".*")


# Most topics of the web: URLs in the form that a parser brings them into, with nothing behind their path. Asking the
# library for every component takes 40 us. The last label of a host is a letter's, or it could be a number's.
_PLAIN = re.compile(
    r"(https?)://((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z](?:[a-z0-9-]*[a-z0-9])?)(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?"
)


# A topic is tried on one pattern after the other, and parsing it costs more than they do.
@lru_cache(maxsize=2)
def _parse(topic: str, base: str) -> tuple[bytes, ...] | None:
    """Return the components at their places; None for what is no URL."""
    plain = _PLAIN.fullmatch(topic)
    if plain is not None and "/." not in topic and "//xn--" not in topic and ".xn--" not in topic:
        scheme, host, path = plain.groups()
        return (path or "/").encode(), host.encode(), b"", b"", b"", b"", b"", scheme.encode()
    try:
        url = parse_url(topic, base)
    except ValueError:
        return None
    return tuple(component.of(url).encode() for component in (*_COMPONENTS, _PROTOCOL))


def _passes(test: bytes | LinearRegexp, text: bytes) -> bool:
    return text == test if isinstance(test, bytes) else test.matches(text)


def _literal(parts: Sequence[_Part]) -> str | None:
    return "".join(part.prefix for part in parts) if all(part.is_literal for part in parts) else None


def _test(parts: Sequence[_Part]) -> bytes | LinearRegexp:
    beginning = list(takewhile(lambda part: part.is_literal, parts))
    head = "".join(part.prefix for part in beginning)
    if len(beginning) == len(parts):
        return head.encode()
    try:
        return LinearRegexp("".join(part.regexp for part in parts[len(beginning) :]), head)
    except RegexpError:
        raise MatcherError from None


def _is_special(protocol: Sequence[_Part]) -> bool:
    test = _test(protocol)
    return any(_passes(test, scheme.encode()) for scheme in _SPECIAL_SCHEMES)


def _escaped(part: _Part) -> _Part:
    # The library escapes by a URL standard of before 2024, in which a path may have circumflexes.
    return part._replace(prefix=part.prefix.replace("^", "%5E"), suffix=part.suffix.replace("^", "%5E"))


def _scheme(text: str, groups: list[str]) -> list[_Part]:
    """Do for a scheme what the library does for what it sees: check its literal text and bring it to lower case."""
    parts = [
        part._replace(prefix=part.prefix.lower(), suffix=part.suffix.lower())
        for part in _parts(text, groups, _PROTOCOL)
    ]
    runs = "".join(part.prefix if part.is_literal else f"\n{part.prefix}\n{part.suffix}\n" for part in parts)
    if not all(map(_SCHEME_TEXT.fullmatch, runs.split("\n"))):
        raise MatcherError
    return parts


# -- anchors --------------------------------------------------------------------------------------------------------


def _origin(scheme: str, host: str, port: str) -> str:
    return f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"


def _anchor(protocol: list[_Part], host: list[_Part], port: list[_Part], path: list[_Part]) -> str | None:
    literals = [_literal(parts) for parts in (protocol, host, port)]
    if None in literals:
        return None
    origin = _origin(*map(str, literals))
    beginning = ""
    for part in path:
        # What is before a value is there as often as the value is, which may be never.
        beginning += "" if part.modifier in {"?", "*"} else part.prefix
        if not part.is_literal:
            break
    return origin + ("", *slash_prefixes(beginning))[-1] if len(origin) <= MAX_ORIGIN else None


# -- the text of a pattern ------------------------------------------------------------------------------------------


def _take_groups(value: str) -> tuple[str, list[str], int, int]:
    """Return `value` with a number in the place of each regular expression, these, where its scheme ends, their size.

    Each has been compiled by itself, so that none reaches out of the parentheses it will be put into. That ends once
    they are too large together.
    """
    text = ""
    groups: list[str] = []
    depth = place = size = 0
    suffix: int | None = None
    while place < len(value):
        start, character = place, value[place]
        if character == "(":
            if len(groups) == MAX_DYNAMIC:
                raise MatcherError
            place = _group_end(value, start)
            text += f"({len(groups)})"
            groups.append(value[start + 1 : place - 1])
            size += _size_of(groups[-1])
            if size > MAX_SIZE:
                raise MatcherError
            continue
        place += 2 if character == "\\" else 1
        depth = max(0, depth + (character == "{") - (character == "}"))
        if suffix is None and not depth and _ends_scheme(value, start):
            suffix = len(text)
        text += value[start:place]
    return text, groups, suffix or 0, size


def _ends_scheme(value: str, place: int) -> bool:
    """Say whether there is a colon, escaped or not, that begins no name."""
    if value[place] == "\\":
        return value[place + 1 : place + 2] == ":"
    following = value[place + 1 : place + 2]
    return value[place] == ":" and not (following.isidentifier() or following == "$")


def _group_end(value: str, start: int) -> int:
    """Return the place behind the group that begins at `start`."""
    depth, place = 0, start
    while place < len(value):
        character, following = value[place], value[place + 1 : place + 2]
        # Only the outermost parenthesis may capture.
        if character == "(" and (following == "?") is (depth == 0):
            raise MatcherError
        depth += (character == "(") - (character == ")")
        place += 2 if character == "\\" else 1
        if not depth:
            return place
    raise MatcherError


def _size_of(expression: str) -> int:
    # RE2 reads \Q as the beginning of literal text, which would go on behind the group.
    if not expression or not expression.isascii() or "\\Q" in expression.replace("\\\\", ""):
        raise MatcherError
    try:
        return LinearRegexp(expression).size
    except RegexpError:
        raise MatcherError from None


_TOKEN = re.compile(
    r"\\(?P<escaped>.)|\((?P<group>[0-9]+)\)|:(?P<name>[A-Za-z_$\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)"
    r"|(?P<special>[{}*?+])|(?P<char>.)",
    re.DOTALL,
)


class _Reader:
    """The tokens of one component, as the library has written it: all text that is no name is ASCII."""

    __slots__ = ("_groups", "_segment", "_tokens")

    def __init__(self, text: str, groups: list[str], segment: str) -> None:
        self._tokens = [(match.lastgroup or "", match[match.lastgroup or 0]) for match in _TOKEN.finditer(text)][::-1]
        self._groups = groups
        self._segment = segment

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def take(self, kind: str, *texts: str) -> str | None:
        """Return the next token's text if it is one of these."""
        if not self._tokens or self._tokens[-1][0] != kind or (texts and self._tokens[-1][1] not in texts):
            return None
        return self._tokens.pop()[1]

    def literal(self) -> str:
        found = ""
        while (character := self.take("char") or self.take("escaped")) is not None:
            found += character
        return found

    def value(self) -> str | None:
        """Return the expression of a name, a group, a name with a group, or an asterisk."""
        name, group = self.take("name"), self.take("group")
        if group is not None:
            return self._groups[int(group)]
        if name is not None:
            return self._segment
        return None if self.take("special", "*") is None else ".*"

    def modifier(self) -> str:
        return self.take("special", "?", "*", "+") or ""

    def close(self) -> None:
        if self.take("special", "}") is None:
            raise MatcherError


def _parts(text: str, groups: list[str], component: _Component) -> Iterator[_Part]:
    """Parse a component as the standard's section on pattern strings says; literal text comes by the character."""
    reader = _Reader(text, groups, f"[^{component.delimiter}]+" if component.delimiter else ".+")
    while reader:
        prefix = reader.take("char") or ""
        value = reader.value()
        if value is not None:
            if prefix != component.prefix:
                yield _Part(prefix)
                prefix = ""
            yield _Part(prefix, value, "", reader.modifier())
        elif prefix or (prefix := reader.take("escaped") or ""):
            yield _Part(prefix)
        elif reader.take("special", "{") is not None:
            yield _Part(reader.literal(), reader.value(), reader.literal(), "")._replace(modifier=_closed(reader))
        else:
            raise MatcherError


def _closed(reader: _Reader) -> str:
    reader.close()
    return reader.modifier()
