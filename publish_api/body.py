"""A body that is not here whole with its head, while it comes.

Fed by `publish_api.connection`, which sees to the time it may take and to what is done with it.
"""

from __future__ import annotations

from typing import Final

from publish_api.errors import RequestRefused

INCOMPLETE: Final = RequestRefused(400, "Request body incomplete.")
"""The publisher is gone: nobody is left to read this, and the line in the log is what it is for."""

NOT_IN_TIME: Final = RequestRefused(408, "Request body not received in time.")


class Body:
    """So many bytes, of which some are missing."""

    __slots__ = ("_pieces", "missing", "size")

    def __init__(self, length: int, begin: bytes) -> None:
        """`begin` is what is here of `length` bytes: less than all."""
        self._pieces = [begin]
        self.size = len(begin)
        """Bytes that are here."""
        self.missing = length - len(begin)
        """Bytes still to come."""

    def feed(self, data: bytes) -> bytes:
        """Take what belongs to the body; return the bytes behind it."""
        piece, behind = data[: self.missing], data[self.missing :]
        self._pieces.append(piece)
        self.size += len(piece)
        self.missing -= len(piece)
        return behind

    def join(self) -> bytes:
        """Return what is here."""
        return b"".join(self._pieces)
