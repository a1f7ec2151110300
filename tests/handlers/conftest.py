"""What the tests of the room share: a room with real connections in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.handlers.room import Room


@pytest_asyncio.fixture
async def room() -> AsyncIterator[Room]:
    """A room with small bounds, on a clock that the test turns; its clients are connected by real sockets."""
    async with Room() as room:
        yield room
