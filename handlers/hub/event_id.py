"""Random ids: what the hub calls updates that their publishers gave no name.

Used by `hub`. The random bytes come from the kernel, for many ids at once: each call to it gives the interpreter's lock
away, and while an update is being written to the disk the event loop has to wait for it to come back.
"""

from __future__ import annotations

import os
from typing import Final

SIZE: Final = 16
MOST: Final = 256
"""Ids that one call is for."""


class RandomIds:
    """Makes ids. A process that is forked makes others than its parent."""

    def __init__(self) -> None:
        self._random = b""
        self._left = 0
        os.register_at_fork(after_in_child=self._forget)

    def take(self) -> str:
        """Return a UUID of version 4 (RFC 9562 section 5.4), in lower case."""
        if not self._left:
            self._random, self._left = os.urandom(SIZE * MOST), MOST
        self._left -= 1
        value = self._random[self._left * SIZE : (self._left + 1) * SIZE]
        digits = value.hex()
        variant = "89ab"[value[8] & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def _forget(self) -> None:
        self._left = 0
