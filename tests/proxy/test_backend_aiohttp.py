"""The contract with aiohttp's client internals; what it does with them is what test_backend tests, for both clients."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from proxy.backend import BackendAddress
from proxy.backend_aiohttp import AiohttpPool, AiohttpProtocol
from tests.support.backend import ScriptedBackend
from tests.support.clock import ManualClock
from tests.support.turns import settle


@pytest.fixture
async def pool(clock: ManualClock) -> AsyncGenerator[AiohttpPool]:
    pool = AiohttpPool(clock)
    yield pool
    await pool.close()
    await settle()


async def test_what_is_relied_on_is_there(pool: AiohttpPool, backend: ScriptedBackend) -> None:
    """A release of aiohttp that renames one of these fails here rather than in production."""
    connection = await pool.connect(BackendAddress(host=backend.host, port=backend.port))
    protocol = connection._protocol  # noqa: SLF001
    assert isinstance(protocol, AiohttpProtocol)
    assert (protocol.upgraded, protocol._tail, protocol._buffer_paused, protocol._reading_paused) == (  # noqa: SLF001
        False, b"", False, False,
    )  # fmt: skip
    assert protocol.transport is not None
    assert callable(protocol.transport.set_protocol)
    connection.close()
