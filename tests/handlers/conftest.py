"""What the tests of the room share: a room with real connections in it."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.handlers.room import Room


@pytest_asyncio.fixture
async def room() -> AsyncIterator[Room]:
    """A room with small bounds, on a clock that the test turns; its clients are connected by real sockets."""
    async with Room() as room:
        yield room


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Have nothing collected that is held by a circle of its own."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
