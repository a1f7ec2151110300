"""What the tests of SockJS sessions share: a room with such in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.handlers.sockjs.sockjs_room import SockJsRoom


@pytest_asyncio.fixture
async def room() -> AsyncIterator[SockJsRoom]:
    """A room with small bounds, on a clock that the test turns."""
    async with SockJsRoom() as room:
        yield room
