"""Targets that may be anywhere but inside (`untrusted`, reference 1.5; row R16): neither by address nor by link."""

from __future__ import annotations

import pytest

from tests.e2e.holding import open_stream
from tests.support.answers import grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.websocket import handshake

pytestmark = pytest.mark.asyncio(loop_scope="module")

BLOCKED = b"Error: Origin host/IP blocked.\n"


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (
        f"* {backend.address},untrusted",
        f"*,path_beg=/named,debug {backend.named_address},untrusted",
        f"*,path_beg=/spare,debug {backend.address},untrusted {backend.address} test",
        f"*,path_beg=/ws,debug {backend.address},untrusted",
        f"*,path_beg=/events,debug {backend.address},untrusted,over_http",
        f"*,path_beg=/trusted {backend.address}",
        f"*,path_beg=/mixed,debug {backend.address} {backend.address},untrusted",
    )


async def test_r16_an_internal_address_is_not_connected_to(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    before = (await app.counters())["backend_blocked"]
    await client.fetch("/trusted")
    backend.forget()
    found = await client.fetch("/")
    assert (found.status, found.body) == (502, b"Error while proxying to origin.\n")
    line = await app.log_line("is untrusted, and has no address to be connected to")
    assert backend.address in line
    assert "not a public address: 127.0.0.1" in line
    assert (await app.counters())["backend_blocked"] == before + 1
    assert backend.requests == []


@pytest.mark.parametrize("path", ["/named", "/spare"])
async def test_r16_a_debug_route_says_so_and_no_spare_is_asked(
    client: RawClient, backend: ScriptedBackend, path: str
) -> None:
    found = await client.fetch(path)
    assert (found.status, found.body) == (502, BLOCKED)
    assert backend.requests == []


@pytest.mark.parametrize("path", ["/ws", "/events"])
async def test_r16_nor_for_websockets(client: RawClient, backend: ScriptedBackend, path: str) -> None:
    await client.send_request(path, headers=handshake())
    found = await client.response()
    assert (found.status, found.body) == (502, BLOCKED)
    assert backend.requests == []


async def test_r16_nor_for_links_of_such_a_backend(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """Whoever may not be inside must not lead us there; here one that may says it, of a route with one that may not."""
    link = [("Grip-Link", f"<http://{backend.address}/inside>; rel=next; timeout=5")]
    await open_stream(client, backend, "/mixed", grip_stream("r16", headers=link))
    await backend.request()
    await app.advance(11)
    await app.log_line("is untrusted, and has no address to be connected to")
    assert backend.requests_for("/inside") == ()
