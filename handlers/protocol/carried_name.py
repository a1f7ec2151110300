"""Names of channels where they must be text that UTF-8 can hold: on links between processes, in JSON, in questions.

A channel's name is whatever bytes a backend has sent, which in this process is text with surrogateescape
(`fields.decode_field`). No two names become one here: what is told of channels is told by carried names, and whoever
passes it on as bytes has the very bytes. Only people and JSON are shown U+FFFD, with the bytes beside it.
"""

from __future__ import annotations

import base64

from handlers.protocol.fields import decode_field, encode_field

_MARK = "\0"
"""What a carried name begins with that is not the name itself, but its bytes as Latin-1."""


def carry(name: str) -> str:
    """Return what `uncarry` makes the name of: the same text, but for names that are not UTF-8 or begin with NUL."""
    if not name.startswith(_MARK) and is_text(name):
        return name
    return _MARK + encode_field(name).decode("latin-1")


def uncarry(carried: str) -> str:
    """Return the name that was carried. What no `carry` has made is a name of some kind too."""
    if not carried.startswith(_MARK):
        return carried
    return decode_field(carried[len(_MARK) :].encode("latin-1", "replace"))


def is_text(name: str) -> bool:
    """Say whether a name is UTF-8."""
    return name.isascii() or not any("\udc80" <= char <= "\udcff" for char in name)


def show(name: str) -> str:
    """Return a name to be read: U+FFFD stands for bytes that are no UTF-8."""
    return name if is_text(name) else encode_field(name).decode("utf-8", "replace")


def show_bytes(name: str) -> str:
    """Return what stands beside that, for programs: the bytes of the name in base64."""
    return base64.b64encode(encode_field(name)).decode()
