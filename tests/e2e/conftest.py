"""What the end-to-end tests share: one backend and one app a module, and a forgetful backend between tests.

A test has a path and channels of its own, so tests of one module do not meet. Modules that need routes of their own
define their own `app`; tests that end the app start one for themselves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from proxy.app import App
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.hub_site import MIXED, STRICT, STRICT_8, hub


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[ScriptedBackend]:
    """A scripted backend for the module."""
    async with ScriptedBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    """One route, to `backend`, which WebSockets reach over HTTP."""
    return (f"* {backend.address},over_http",)


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    """Settings other than the defaults: none."""
    return ()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(routes: tuple[str, ...], settings: tuple[str, ...]) -> AsyncIterator[AppProcess]:
    """Holdfast on a clock that the test turns."""
    async with AppProcess(*routes, settings=settings) as app:
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict() -> AsyncIterator[App]:
    """A hub that speaks 1.0 alone, and lets nobody in without a token."""
    async with hub(*STRICT, "mercure.publish_origins=https://app.example,https://*.wild.example") as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict_8() -> AsyncIterator[App]:
    """One that speaks 8 alone."""
    async with hub(*STRICT_8, "mercure.publish_origins=https://app.example") as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mixed() -> AsyncIterator[App]:
    """One that speaks both."""
    async with hub(*MIXED, "mercure.publish_origins=https://app.example") as app:
        yield app
