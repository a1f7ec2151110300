"""What the tests of SockJS's door share: an app in this process, with SockJS at /s, and a client."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from proxy.app import App
from tests.proxy.in_process import client_of, running
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, events


@pytest.fixture
async def app(backend: ScriptedBackend) -> AsyncGenerator[App]:
    backend.answers("/s", events(OPEN), events())
    async with running(f"*,id=chat,sockjs=/s {backend.address},over_http", "*,path_beg=/t,sockjs=/t test") as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncGenerator[RawClient]:
    async with await client_of(app) as client:
        yield client
