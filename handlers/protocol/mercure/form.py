"""Forms: `application/x-www-form-urlencoded`, read as the reference hub reads it (reference 1.3, 1.7).

Called for query strings and for bodies. Bytes that are not UTF-8 become lone surrogates, so that whoever checks a value
sees them and can say which parameter is wrong; nothing is judged here but the encoding itself.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

Pairs = tuple[tuple[str, str], ...]
"""(name, value) in order of appearance, decoded."""

MAX_PAIRS: Final = 20_000
"""Pairs of a body. More than any request needs, and what is read before a token is looked at must be read quickly."""

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def parse_form(data: bytes, *, strict: bool) -> Pairs:
    """Parse the pairs of a form. Empty ones are skipped; a name without `=` has an empty value.

    A pair with a raw `;` or a bad percent escape is malformed. `strict`, for bodies, raises ValueError for it; in a
    query string the pair alone is dropped (row S25). A body of more than `MAX_PAIRS` is refused in the same way; query
    strings are as short as request lines.
    """
    if strict and data.count(b"&") >= MAX_PAIRS:
        raise ValueError(f"more than {MAX_PAIRS} pairs in a form")
    pairs: list[tuple[str, str]] = []
    for pair in data.split(b"&"):
        if not pair:
            continue
        if b";" in pair or (b"%" in pair and _BAD_ESCAPE.search(pair)):
            if strict:
                name = pair.partition(b"=")[0][:20]  # the value might be a token, and so might a bare name
                raise ValueError(f"malformed pair in a form: {name!r}")
            continue
        name, _, value = pair.partition(b"=")
        pairs.append((_decode(name), _decode(value)))
    return tuple(pairs)


def first_value(pairs: Pairs, name: str) -> str | None:
    """Return the first value of a parameter, None when it is absent."""
    return next((value for key, value in pairs if key == name), None)


def values_of(pairs: Pairs, name: str) -> tuple[str, ...]:
    """Return all values of a parameter, in order."""
    return tuple(value for key, value in pairs if key == name)


def _decode(text: bytes) -> str:
    text = text.replace(b"+", b" ")
    return (unquote_to_bytes(text) if b"%" in text else text).decode("utf-8", "surrogateescape")
