"""Publications that there is no room for now: a worker is too far behind to be given more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from handlers.errors import Busy
from handlers.protocol.mercure.update import StoredUpdate, Update
from proxy.app import App
from tests.support.hub_site import STRICT, hub, post, publisher

Address = tuple[str, int]


@pytest.fixture
async def app() -> AsyncGenerator[App]:
    async with hub(*STRICT) as app:
        yield app


@pytest.fixture(params=["clients' port", "publish port"])
def door(app: App, request: pytest.FixtureRequest) -> Address:
    return app.proxy_addresses[0] if request.param == "clients' port" else app.publish_address


async def test_a_publication_that_there_is_no_room_for_is_refused_for_now_and_reaches_nobody(
    app: App, door: Address
) -> None:
    assert app.hub is not None

    def refuse(updates: int) -> None:
        assert updates == 1
        raise Busy(3)

    app.hub.hub.check_room = refuse
    response = await post(door, "topic=a", token=publisher())
    assert (response.status, response.body, response.values(b"retry-after")) == (503, b"Service Unavailable\n", (b"3",))
    assert app.hub.hub.last_seq == 0


async def test_so_is_one_that_another_process_has_no_room_for(app: App, door: Address) -> None:
    assert app.hub is not None

    def append(update: Update, *, at: float) -> asyncio.Future[StoredUpdate]:
        future: asyncio.Future[StoredUpdate] = asyncio.get_running_loop().create_future()
        future.set_exception(Busy(3))
        return future

    app.hub.hub.engine.append = append  # type: ignore[method-assign]
    response = await post(door, "topic=a", token=publisher())
    assert (response.status, response.values(b"retry-after")) == (503, (b"3",))
