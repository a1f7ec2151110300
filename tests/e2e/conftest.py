"""What the end-to-end tests share: one backend and one app a module, and a forgetful backend between tests.

A test has a path and channels of its own, so tests of one module do not meet. Modules that need routes of their own
define their own `app`; tests that end the app start one for themselves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[ScriptedBackend]:
    """A scripted backend for the module."""
    async with ScriptedBackend() as backend:
        yield backend


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(backend: ScriptedBackend) -> AsyncIterator[AppProcess]:
    """Holdfast with one route, to `backend`, on a clock that the test turns."""
    async with AppProcess(f"* {backend.address}") as app:
        yield app


@pytest_asyncio.fixture(loop_scope="module")
async def client(app: AppProcess) -> AsyncIterator[RawClient]:
    """A connected client."""
    async with await RawClient.connect(app.proxy_address) as client:
        yield client


@pytest.fixture(autouse=True)
def forgetful(backend: ScriptedBackend) -> None:
    """Let each test begin with nothing recorded."""
    backend.forget()
