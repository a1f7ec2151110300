"""What the tests of the hub share: rooms with subscribers on real connections."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.handlers.hub.hub_room import HubRoom


@pytest_asyncio.fixture
async def hub_room() -> AsyncIterator[HubRoom]:
    """A hub's room with small bounds."""
    async with HubRoom() as room:
        yield room


@pytest_asyncio.fixture
async def telling() -> AsyncIterator[HubRoom]:
    """A hub's room that tells of subscriptions."""
    async with HubRoom(tells=True) as room:
        yield room
