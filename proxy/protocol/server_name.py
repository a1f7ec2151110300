"""Which files may hold the certificate for a name that a TLS client asks for (reference 2.5).

The name is a stranger's text, and becomes part of a path: what is not plainly a host's name asks for nothing.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")

NAME_LIMIT = 251
"""Characters of the longest name there can be a file for: with `.crt` it has the 255 of most file systems. A host's
name may have 253 (RFC 1035 section 3.1)."""


def certificate_names(name: str) -> tuple[str, ...]:
    """Return the file names, without their ends, to look for in this order: `a.b.c`, then `_.b.c` for `*.b.c`.

    Empty for what is no host's name, or is too long for a file's. Case does not count, nor a dot at the end.
    """
    name = name.lower().removesuffix(".")
    if len(name) > NAME_LIMIT or not _NAME.fullmatch(name) or name.startswith("_."):
        return ()
    _, dot, parent = name.partition(".")
    return (name, f"_.{parent}") if dot else (name,)
