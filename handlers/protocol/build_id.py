"""The filter `build-id`: content with the ids in it that a client is to know its place by (reference 6.6).

`%I` in the content is the id, `%(x)I` is `x` in its place. The id is made of the session's meta `id_format`, in which
`%(channel)s` is the id of what the session has had last on that channel. With the meta `id_encoding=hex` ids are
written in hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from handlers.protocol.fields import decode_field, encode_field, printable
from handlers.protocol.percent_template import FilterError, Rendering, Resolve, render

BUILD_ID = "build-id"

IdOn = Callable[[str], str | None]
"""Returns the last id on a channel, by the backend's name for it: empty if none is known, None off the channel."""

FORMS = "'%I', '%(id)I'"
"""What a percent sign begins in content."""


def building(meta: Mapping[str, str], id_on: IdOn) -> Rendering:
    """Return what puts ids into content that comes in pieces. Raises FilterError where the meta says no format."""
    return Rendering(BUILD_ID, FORMS, _resolving(meta, id_on))


def build_ids(content: bytes, *, meta: Mapping[str, str], id_on: IdOn) -> bytes:
    """Return an item's content with the ids in it, for a session with this meta. Raises FilterError."""
    return render(BUILD_ID, FORMS, _resolving(meta, id_on), content)


def make_id(id_format: str, id_on: IdOn) -> bytes:
    """Return the id that a format comes to. Raises FilterError."""

    def resolve(kind: bytes, argument: bytes | None) -> bytes | None:
        if kind != b"s" or argument is None:
            return None
        channel = decode_field(argument)
        seen = id_on(channel)
        if seen is None:
            raise FilterError(f"build-id: 'id_format' names a channel that is not held: '{printable(channel)}'")
        return encode_field(seen)

    return render("build-id: 'id_format'", "'%(channel)s'", resolve, encode_field(id_format))


def _resolving(meta: Mapping[str, str], id_on: IdOn) -> Resolve:
    id_format = meta.get("id_format")
    if id_format is None:
        raise FilterError("build-id: no meta 'id_format'")
    encode = _encoding(meta.get("id_encoding", ""))
    made: list[bytes] = []

    def resolve(kind: bytes, argument: bytes | None) -> bytes | None:
        if kind != b"I":
            return None
        if argument is not None:
            return encode(argument)
        if not made:
            made.append(encode(make_id(id_format, id_on)))
        return made[0]

    return resolve


def _encoding(name: str) -> Callable[[bytes], bytes]:
    if not name:
        return _plain
    if name == "hex":
        return _hexadecimal
    raise FilterError(f"build-id: 'id_encoding' is not known: '{printable(name)}'")


def _plain(made: bytes) -> bytes:
    return made


def _hexadecimal(made: bytes) -> bytes:
    return made.hex().encode()
