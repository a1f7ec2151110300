"""SockJS by TLS with several workers: a connection stays with the worker that deciphers it, and is served elsewhere."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.conversing import message_item, told
from tests.e2e.sockjs import ORIGIN, SockJs
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.events import OPEN, control, echo, events
from tests.support.publisher import publish
from tests.support.tls_client import TlsClient, install, trusting

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = 8


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs")
    install(folder, "default", "localhost", "127.0.0.1")
    return folder


@pytest.fixture(scope="module")
def trust(certs: Path) -> ssl.SSLContext:
    return trusting(certs / "default.crt")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(certs: Path, backend: ScriptedBackend) -> AsyncGenerator[AppProcess]:
    names = ("talk", "long", "leave", "peer")
    routes = [f"*,path_beg=/{name},sockjs=/{name} {backend.address},over_http" for name in names]
    settings = (
        "proxy.workers=3",
        "proxy.tls_listen=127.0.0.1:0",
        f"proxy.tls_certs={certs}",
        "proxy.x_forwarded_for=append",
    )
    async with AppProcess(*routes, settings=settings) as app:
        yield app


async def connect(app: AppProcess, trust: ssl.SSLContext) -> TlsClient:
    return await TlsClient.connect_tls(app.proxy_addresses[-1], trust)


class TlsSockJs(SockJs):
    """A session whose client connects for each poll: an answer that was relayed is the last on its connection."""

    def __init__(self, app: AppProcess, client: TlsClient, path: str, session: str, trust: ssl.SSLContext) -> None:
        super().__init__(app, client, path, session)
        self._trust = trust

    async def begin(self, transport: str = "xhr", *, headers: Iterable[tuple[str, str]] = (ORIGIN,)) -> None:
        self.client.close()
        self.client = await connect(self.app, self._trust)
        await super().begin(transport, headers=headers)


@asynccontextmanager
async def session_at(app: AppProcess, trust: ssl.SSLContext, path: str, name: str) -> AsyncGenerator[TlsSockJs]:
    session = TlsSockJs(app, await connect(app, trust), path, name, trust)
    try:
        yield session
    finally:
        session.client.close()


async def test_every_request_finds_its_session(
    app: AppProcess, backend: ScriptedBackend, trust: ssl.SSLContext
) -> None:
    for number in range(SESSIONS):
        backend.answers("/talk", events(OPEN, control("subscribe", channel=f"talk{number}")), echo)
        async with session_at(app, trust, "/talk", f"t{number}") as session, await connect(app, trust) as other:
            assert await session.heard() == "o"
            request = await told(backend, "/talk")
            assert request.values(b"x-forwarded-proto") == (b"wss",)
            assert request.values(b"x-forwarded-for") == (b"127.0.0.1",)
            sent = await other.fetch(f"{session.url}/xhr_send", method="POST", body=b'["x"]')
            assert sent.status == 204
            assert await session.heard() == 'a["x"]'
            await session.begin("xhr_streaming")
            client = session.client
            await client.head()
            await client.chunk()
            await app.settle()
            await publish(app, message_item(f"talk{number}", "y" * 100_000))
            assert await client.chunk() == b'a["%b"]\n' % (b"y" * 100_000)
            await publish(app, message_item(f"talk{number}", action="close", code=4000))
            assert [await client.chunk(), await client.chunk()] == [b'c[4000,""]\n', b""]
            assert await session.heard() == 'c[4000,""]'
    assert (await app.counters())["sockjs_passed"] > 0


async def test_a_connection_is_relayed_once_at_most(app: AppProcess, trust: ssl.SSLContext) -> None:
    """Else requests for sessions here and there would have it relayed to and fro, once more with each."""
    passed = (await app.counters())["sockjs_passed"]
    closed = 0
    for number in range(SESSIONS):
        async with await connect(app, trust) as client:
            sent = await client.fetch(f"/talk/000/nobody{number}/xhr_send", method="POST", body=b'["x"]')
            assert sent.status == 404
            if sent.values(b"connection") == (b"close",):
                closed += 1
                assert await client.until_closed() == b""
    assert closed > 0
    await app.until(lambda counters: counters["sockjs_passed"] - passed == closed)


async def test_a_client_that_leaves_has_left(app: AppProcess, backend: ScriptedBackend, trust: ssl.SSLContext) -> None:
    for number in range(SESSIONS):
        backend.answers("/leave", echo)
        async with session_at(app, trust, "/leave", f"l{number}") as session:
            assert await session.heard() == "o"
            assert (await told(backend, "/leave")).body == OPEN
            await session.begin()
            await app.settle()
        assert (await told(backend, "/leave")).body == b"DISCONNECT\r\n"
    await app.until(lambda counters: counters["connections"] == 0)
