"""Clients' entrances: plain, TLS and Unix sockets lead to one server. What comes of it is tested end to end."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.client_entrances import ClientEntrances
from proxy.errors import SettingsError
from tests.proxy.client_door import listening
from tests.proxy.in_process import running
from tests.support.client import RawClient
from tests.support.settings import settings_from
from tests.support.tls_client import TlsClient, install, trusting
from tests.support.turns import settle, until
from tests.support.unix_client import connect_unix


async def test_all_lead_to_the_same_server(tmp_path: Path) -> None:
    trust = trusting(install(tmp_path, "default", "localhost"))
    with TemporaryDirectory() as folder:
        path = Path(folder, "s")
        settings = ["proxy.tls_listen=127.0.0.1:0", f"proxy.tls_certs={tmp_path}", f"proxy.unix_listen={path}"]
        async with (
            running("* test", settings=settings) as app,
            await RawClient.connect(app.proxy_addresses[0]) as plain,
            await TlsClient.connect_tls(app.proxy_addresses[1], trust) as tls,
            await connect_unix(path) as local,
        ):
            for client in (plain, tls, local):
                assert (await client.fetch("/")).status == 200
            assert len(app.clients.open_transports) == 3


async def test_o08_one_limit_is_for_all_of_them_and_handshakes_count(tmp_path: Path) -> None:
    trust = trusting(install(tmp_path, "default", "localhost"))
    settings = ["proxy.tls_listen=127.0.0.1:0", f"proxy.tls_certs={tmp_path}"]
    async with running("* test", settings=settings) as app:
        app.clients.connection_limit = 3
        plain, tls = app.proxy_addresses
        async with (
            await RawClient.connect(plain) as first,
            await TlsClient.connect_tls(tls, trust) as second,
            await RawClient.connect(tls) as shaking,
        ):
            for client in (first, second):
                assert (await client.fetch("/")).status == 200
            await settle()  # the third is seen
            refused = app.counters.connections_refused
            for address in (plain, tls):
                async with await RawClient.connect(address) as refused_client:
                    assert await refused_client.until_cut() == b""
            assert app.counters.connections_refused == refused + 2
            shaking.close()
            await until(lambda: app.counters.tls_failures == 1)
            async with await TlsClient.connect_tls(tls, trust) as third:
                assert (await third.fetch("/")).status == 200
                with pytest.raises((ssl.SSLError, ConnectionResetError)):
                    await TlsClient.connect_tls(tls, trust)


async def test_o08_as_many_as_there_is_room_for_may_come_at_once(tmp_path: Path) -> None:
    trust = trusting(install(tmp_path, "default", "localhost"))
    settings = ["proxy.tls_listen=127.0.0.1:0", f"proxy.tls_certs={tmp_path}"]
    async with running("* test", settings=settings) as app:
        app.clients.connection_limit = 20
        tls = app.proxy_addresses[1]
        clients = await asyncio.gather(*(TlsClient.connect_tls(tls, trust) for _ in range(20)))
        for client in clients:
            assert (await client.fetch("/")).status == 200
        assert (app.counters.connections, app.counters.connections_refused) == (20, 0)
        for client in clients:
            client.close()


async def test_without_certificates_it_does_not_load(tmp_path: Path) -> None:
    settings = settings_from(["proxy.tls_listen=:8443", f"proxy.tls_certs={tmp_path}"], routes=["* test"]).proxy
    async with listening() as door:
        entrances = ClientEntrances(settings, door.clients, clock=door.clock, counters=door.counters)
        with pytest.raises(SettingsError, match=r"^proxy\.tls_certs: .* neither default_8443\.crt"):
            entrances.load()
        install(tmp_path, "default", "localhost")
        entrances.load()
        entrances.reload()
        await entrances.close(0)
        await entrances.wait_closed()
