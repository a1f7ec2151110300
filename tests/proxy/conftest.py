"""What tests of the clients' door share: a scripted backend, and a pool of connections to it of each kind."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator

import pytest

from proxy.backend import BackendPool
from proxy.backend_aiohttp import AiohttpPool
from proxy.backend_pool import OwnPool
from tests.support.backend import ScriptedBackend
from tests.support.clock import ManualClock
from tests.support.turns import settle


@pytest.fixture
async def backend() -> AsyncGenerator[ScriptedBackend]:
    """A backend of the test's own."""
    async with ScriptedBackend() as backend:
        yield backend


@pytest.fixture
def clock() -> ManualClock:
    """A clock of the test's own."""
    return ManualClock()


@pytest.fixture(params=["own", "aiohttp"])
async def pool(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncGenerator[BackendPool]:
    """Our own pool and aiohttp's: whoever uses this is run over both, which must not differ."""
    pool: BackendPool = OwnPool(clock) if request.param == "own" else AiohttpPool(clock)
    yield pool
    await pool.close()
    await settle()


@pytest.fixture
def nothing_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever the test does, the log has no error and no traceback."""
    caplog.set_level(logging.DEBUG)
    yield
    found = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR or record.exc_info]
    assert [record.getMessage() for record in found] == []
