"""Other people's clients by TLS and on Unix sockets: httpx, aiohttp, the websockets library, unmodified (row R39)."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.support.answers import grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.events import echo
from tests.support.patience import bounded
from tests.support.publisher import close_item, publish, stream_item
from tests.support.tls_client import install, trusting

HOSTS = ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6"))]


@pytest.fixture
async def backend() -> AsyncIterator[ScriptedBackend]:
    """What is behind it."""
    async with ScriptedBackend() as backend:
        yield backend


@pytest.fixture
def trust(tmp_path: Path) -> ssl.SSLContext:
    """What clients trust; the certificate is in the same folder."""
    return trusting(install(tmp_path, "default", "localhost", "127.0.0.1"))


@pytest_asyncio.fixture
async def app(backend: ScriptedBackend, tmp_path: Path, trust: ssl.SSLContext) -> AsyncIterator[AppProcess]:
    """Holdfast with a port for TLS on every interface."""
    settings = ("proxy.tls_listen=:0", f"proxy.tls_certs={tmp_path}")
    async with AppProcess(f"* {backend.address},over_http", settings=settings) as app:
        yield app


async def test_r39_httpx_reads_a_stream(app: AppProcess, backend: ScriptedBackend, trust: ssl.SSLContext) -> None:
    backend.answers("/stream", grip_stream("stream"))
    url = f"https://localhost:{app.proxy_addresses[-1][1]}/stream"
    async with bounded(), httpx.AsyncClient(verify=trust) as client, client.stream("GET", url) as response:
        assert response.status_code == 200
        await app.settle()
        await publish(app, stream_item("stream", "one"), stream_item("stream", "two"), close_item("stream"))
        assert await response.aread() == b"onetwo"


@pytest.mark.parametrize("host", HOSTS)
async def test_r39_the_websockets_library_talks(
    app: AppProcess, backend: ScriptedBackend, trust: ssl.SSLContext, host: str
) -> None:
    backend.answers("/ws", echo)
    port = app.proxy_addresses[-1][1]
    async with bounded(), connect(f"wss://localhost:{port}/ws", ssl=trust, host=host, port=port, proxy=None) as client:
        await client.send("hello")
        assert await client.recv() == "hello"


async def test_r39_unix_sockets_are_found(backend: ScriptedBackend) -> None:
    with TemporaryDirectory() as folder:
        path = f"{folder}/s"
        async with AppProcess(f"* {backend.address}", settings=[f"proxy.unix_listen={path}"]), bounded():
            async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=path)) as client:
                assert (await client.get("http://example.com/")).text == "hello\n"
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
                session.get("http://example.com/") as response,
            ):
                assert await response.text() == "hello\n"
