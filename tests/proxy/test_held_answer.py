"""Bodies that have to be kept whole are bounded."""

from __future__ import annotations

import pytest

from proxy.builtin_target import answer_test
from proxy.errors import UpstreamError
from proxy.held_answer import HELD_BODY_LIMIT, read_limited
from proxy.protocol.route import Route


class Pieces:
    """An answer whose body comes in these pieces."""

    status, reason, headers, length, has_body_waiting = 200, b"OK", (), None, False

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]

    async def read(self) -> bytes:
        return self._pieces.pop(0)


async def test_a_body_is_read_to_its_end() -> None:
    assert await read_limited(Pieces(b"one,", b"two"), target="a:1") == b"one,two"
    assert await read_limited(answer_test(b"/", Route(host="*", targets=())), target="test")


async def test_one_that_is_too_long_is_the_backends_fault() -> None:
    fitting = b"x" * HELD_BODY_LIMIT
    assert await read_limited(Pieces(fitting), target="a:1") == fitting
    with pytest.raises(UpstreamError, match="GRIP instruct response too large from a:1"):
        await read_limited(Pieces(fitting, b"x"), target="a:1")
