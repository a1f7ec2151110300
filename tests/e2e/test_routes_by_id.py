"""Routes that a request asks for by their id (reference 1.6; row R11)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.holding import open_poll
from tests.support.answers import grip_response, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second() -> AsyncIterator[ScriptedBackend]:
    """Another backend, which no condition leads to."""
    async with ScriptedBackend(default=text("second\n")) as second:
        yield second


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend, second: ScriptedBackend) -> tuple[str, ...]:
    """One route for all, and one with an id alone."""
    return (f"*,id=main {backend.address}", f",id=hidden,path_beg=/h {second.address}")


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    """Pushpin-Route counts; a long poll is sent to its backend again after a second."""
    return ("proxy.accept_pushpin_route=true", "hold.update_on_first_subscription=true")


async def test_r11_a_request_names_its_route_and_the_header_goes_no_further(
    client: RawClient, second: ScriptedBackend
) -> None:
    answer = await client.fetch("/h", headers=[("Pushpin-Route", "hidden")])
    assert answer.body == b"second\n"
    assert (await second.request()).values(b"pushpin-route") == ()


@pytest.mark.parametrize(("path", "route_id"), [("/other", "hidden"), ("/h", "unknown")])
async def test_r11_another_path_and_an_unknown_id_are_502(client: RawClient, path: str, route_id: str) -> None:
    answer = await client.fetch(path, headers=[("Pushpin-Route", route_id)])
    assert (answer.status, answer.body) == (502, b"Route not found\n")


async def test_r11_without_the_header_the_condition_decides(client: RawClient, backend: ScriptedBackend) -> None:
    await client.fetch("/h")
    await backend.request()
    await client.fetch("/h", headers=[("Pushpin-Route", "")])
    await backend.request()


async def test_r11_a_held_request_that_is_asked_again_takes_the_same_route(
    app: AppProcess, client: RawClient, second: ScriptedBackend
) -> None:
    second.forget()
    headers = [("Pushpin-Route", "hidden")]
    await open_poll(app, client, second, "/h/poll", grip_response("by-id"), headers=headers)
    second.answers("/h/poll", text("done\n"))
    await app.advance(1.4)
    assert (await client.response()).body == b"done\n"
    assert len(second.requests_for("/h/poll")) == 2


async def test_r11_the_header_counts_for_nothing_unless_it_is_allowed(backend: ScriptedBackend) -> None:
    async with (
        AppProcess(f"* {backend.address}") as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        assert (await client.fetch("/h", headers=[("Pushpin-Route", "hidden")])).status == 200
        assert (await backend.request()).values(b"pushpin-route") == (b"hidden",)
