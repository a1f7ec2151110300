"""What tests of the clients' door share: a scripted backend."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.support.backend import ScriptedBackend


@pytest.fixture
async def backend() -> AsyncGenerator[ScriptedBackend]:
    """A backend of the test's own."""
    async with ScriptedBackend() as backend:
        yield backend
