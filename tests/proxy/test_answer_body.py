"""The body that a client gets of an answer with an instruct (reference 6.6)."""

from __future__ import annotations

import pytest

from handlers.errors import InstructError
from handlers.protocol.grip import parse_instruct
from handlers.protocol.http1 import Headers
from handlers.protocol.instruct import Instruct
from proxy.answer_body import built, is_built, pieces_of

HELD = (b"Grip-Hold", b"stream")
BUILT = (b"Grip-Channel", b"room; prev-id=3; filter=build-id")
PLAIN = (b"Grip-Channel", b"lobby; prev-id=9; filter=var-subst")
FORMAT = (b"Grip-Set-Meta", b'id_format="%(room)s-%(lobby)s"')


class Pieces:
    """An answer whose body comes in these pieces."""

    status, reason, headers, length, has_body_waiting = 200, b"OK", (), None, False

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]

    async def read(self) -> bytes:
        return self._pieces.pop(0)


def instruct(*headers: tuple[bytes, bytes], body: bytes | None = None) -> Instruct:
    kind: Headers = ((b"Content-Type", b"application/grip-instruct"),) if body is not None else ()
    return parse_instruct(status=200, reason=b"OK", headers=(*headers, *kind), body=body)


async def read(found: Instruct, *pieces: bytes) -> list[bytes]:
    return [piece async for piece in pieces_of(found, Pieces(*pieces))]


@pytest.mark.parametrize("headers", [(HELD, PLAIN), (HELD, PLAIN, FORMAT)])
async def test_a_body_goes_as_it_comes(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    found = instruct(*headers)
    assert not is_built(found)
    assert await read(found, b"%I", b"100%") == [b"%I", b"100%"]
    assert built(found, b"%I 100%") == b"%I 100%"


async def test_h40_ids_are_built_into_it_where_a_channel_says_so() -> None:
    found = instruct(HELD, PLAIN, BUILT, FORMAT)
    assert is_built(found)
    assert await read(found, b"id: %", b"I\n%(a", b"b)I 100%%") == [b"id: ", b"3-9\n", b"ab 100%"]
    assert built(found, b"id: %I 100%%") == b"id: 3-9 100%"


async def test_h40_a_channel_without_an_id_has_an_empty_one() -> None:
    found = instruct(HELD, (b"Grip-Channel", b"room; filter=build-id"), (b"Grip-Set-Meta", b'id_format="r:%(room)s"'))
    assert await read(found, b"%I") == [b"r:"]


async def test_h40_the_instructs_own_body_is_built_too() -> None:
    body = (
        b'{"hold": {"mode": "stream", "channels": [{"name": "room", "prev-id": "7", "filters": ["build-id"]}],'
        b' "meta": {"id_format": "%(room)s"}}, "response": {"body": "<%I>"}}'
    )
    found = instruct(body=body)
    assert await read(found) == [b"<7>"]
    assert await read(instruct(body=body.replace(b"<%I>", b""))) == []


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ((HELD, BUILT), b"", "filter error: build-id: no meta 'id_format'"),
        ((HELD, BUILT, FORMAT), b"%I", "filter error: build-id: 'id_format' names a channel that is not held: 'lobby'"),
        ((HELD, BUILT, FORMAT), b"5%", "filter error: build-id: '%' at byte 1 begins neither '%I', '%(id)I' nor '%%'"),
    ],
)
async def test_h40_what_cannot_be_built_is_the_backends_fault(
    headers: tuple[tuple[bytes, bytes], ...], body: bytes, reason: str
) -> None:
    found = instruct(*headers)
    with pytest.raises(InstructError) as by_pieces:
        await read(found, body)
    with pytest.raises(InstructError) as whole:
        built(found, body)
    assert str(by_pieces.value) == str(whole.value) == reason
