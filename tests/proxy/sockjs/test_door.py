"""Which requests of a route are SockJS's, and what is told apart by where a session is."""

from __future__ import annotations

import pytest

from proxy.app import App
from tests.proxy.in_process import advance, running
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, events


@pytest.mark.parametrize(
    ("path", "status"),
    [("/s", 200), ("/s/info", 200), ("/s/nope", 404), ("/sx/info", 200), ("/S/info", 200), ("/", 200)],
)
async def test_what_is_below_its_path(client: RawClient, backend: ScriptedBackend, path: str, status: int) -> None:
    answer = await client.fetch(path)
    assert answer.status == status
    is_backends = path in ("/sx/info", "/S/info", "/")
    assert (answer.body == b"hello\n") is is_backends


async def test_refusals_are_counted(app: App, client: RawClient) -> None:
    for method, path in (("GET", "/s/nope"), ("POST", "/s/0/a/xhr_send"), ("GET", "/s/0/a/jsonp")):
        await client.fetch(path, method=method, body=b"[]" if method == "POST" else None)
    assert app.counters.requests_refused == 3


async def test_sites_do_not_share_sessions(client: RawClient, app: App, backend: ScriptedBackend) -> None:
    backend.answers("/s", events(OPEN))
    for host in ("one.example", "two.example"):
        assert (await client.fetch("/s/0/a/xhr", method="POST", host=host, body=b"")).body == b"o\n"
    assert app.counters.sockjs_opened == 2


async def test_nor_do_paths_of_one_site(backend: ScriptedBackend) -> None:
    backend.answers("/a", events(OPEN))
    backend.answers("/b", events(OPEN))
    routes = [f"*,path_beg=/{name},sockjs=/{name} {backend.address},over_http" for name in "ab"]
    async with running(*routes) as app, await RawClient.connect(app.proxy_addresses[0]) as client:
        for name in "ab":
            assert (await client.fetch(f"/{name}/0/same/xhr", method="POST", body=b"")).body == b"o\n"
        assert app.counters.sockjs_opened == 2


async def test_the_server_part_of_a_path_says_nothing(client: RawClient, app: App) -> None:
    assert (await client.fetch("/s/0/a/xhr", method="POST", body=b"")).body == b"o\n"
    assert (await client.fetch("/s/1/a/xhr_send", method="POST", body=b"[]")).status == 204
    assert app.counters.sockjs_opened == 1


async def test_there_are_no_more_sessions_than_there_may_be_clients(
    app: App, client: RawClient, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """One connection opens any number of them, one after the other."""
    backend.answers("/s", events(OPEN), events(OPEN), events(), events())
    app.clients.connection_limit = 2
    for name in "ab":
        assert (await client.fetch(f"/s/0/{name}/xhr", method="POST", body=b"")).body == b"o\n"
    for _ in range(2):
        refused = await client.fetch("/s/0/c/xhr", method="POST", body=b"")
        assert (refused.status, refused.body) == (503, b"No room for another SockJS session.\n")
    assert app.counters.sockjs_refused == 2
    assert caplog.messages.count("no room for another SockJS session: 2 are open (said every 10 seconds)") == 1
    await advance(app, 5.2)
    backend.answers("/s", events(OPEN))
    assert (await client.fetch("/s/0/c/xhr", method="POST", body=b"")).body == b"o\n"
