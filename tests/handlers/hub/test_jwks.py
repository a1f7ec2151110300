"""Key sets that change while the hub runs, from real files and a real server (reference 1.9.2, row A28)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from handlers.errors import HubRefusal, InvalidSetting
from handlers.hub.jwks import (
    REFRESH_AFTER,
    RETRY_AFTER,
    SIZE_LIMIT,
    FileKeySet,
    KeyFetcher,
    RemoteKeySet,
    make_key_set,
)
from handlers.hub.keys import SET_ALGORITHMS, KeySource
from tests.handlers.hub.signing import jwk, key_set, private_key
from tests.support.clock import ManualClock

FIRST = jwk(private_key("ES256"), "ES256", kid="first")
SECOND = jwk(private_key("ES256", 1), "ES256", kid="second")
UNNAMED = jwk(private_key("ES256", 2), "ES256")


class Issuer:
    """Serves a key set, counts how often, and can be made to wait or to fail."""

    def __init__(self) -> None:
        self.text = key_set(FIRST)
        self.status = 200
        self.asked = 0
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.url = ""

    async def serve(self, _request: web.Request) -> web.StreamResponse:
        self.asked += 1
        self.is_asked.set()
        await self.may_answer.wait()
        return web.Response(body=self.text, status=self.status, headers={"Location": "/elsewhere"})


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    application = web.Application()
    application.router.add_get("/jwks", issuer.serve)
    server = TestServer(application)
    await server.start_server()
    issuer.url = f"http://127.0.0.1:{server.port}/jwks"
    yield issuer
    issuer.may_answer.set()
    await server.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def remote(issuer: Issuer, clock: ManualClock) -> AsyncIterator[RemoteKeySet]:
    fetcher = KeyFetcher()
    source = RemoteKeySet(issuer.url, algorithms=SET_ALGORITHMS, clock=clock, fetcher=fetcher)
    yield source
    await source.close()
    await fetcher.close()


async def kids(source: KeySource, kid: str | None = None, algorithm: str = "ES256") -> list[str | None]:
    return [key.kid for key in (await source.candidates(algorithm, kid)).keys]


async def status_of(source: KeySource, kid: str | None = None) -> int:
    with pytest.raises(HubRefusal) as caught:
        await source.candidates("ES256", kid)
    return caught.value.status


# -- a URL ----------------------------------------------------------------------------------------------------------


async def test_a_set_is_fetched_with_the_first_token_and_remembered(issuer: Issuer, remote: RemoteKeySet) -> None:
    assert issuer.asked == 0
    for _ in range(3):
        assert await kids(remote, "first") == ["first"]
        assert await kids(remote) == ["first"]
        assert await kids(remote, "first", "RS256") == []

    assert issuer.asked == 1


async def test_a28_an_unknown_kid_fetches_the_new_key_at_once(
    issuer: Issuer, remote: RemoteKeySet, clock: ManualClock
) -> None:
    await kids(remote, "first")
    issuer.text = key_set(SECOND)
    clock.advance(RETRY_AFTER)

    assert await kids(remote, "second") == ["second"]
    assert issuer.asked == 2


async def test_a28_unknown_kids_do_not_fetch_more_often_than_every_ten_seconds(
    issuer: Issuer, remote: RemoteKeySet, clock: ManualClock
) -> None:
    await kids(remote, "first")
    issuer.text = key_set(FIRST, SECOND)
    clock.advance(RETRY_AFTER - 0.5)
    for number in range(5):
        # A kid is a hint: all keys may be tried.
        assert await kids(remote, f"made up {number}") == ["first"]
    assert issuer.asked == 1

    clock.advance(0.5)
    assert await kids(remote, "second") == ["second"]
    assert await kids(remote, "made up") == ["first", "second"]
    assert issuer.asked == 2


async def test_a28_whether_an_unknown_kid_is_anybodys_is_not_known_before_the_next_fetch(
    issuer: Issuer, remote: RemoteKeySet, clock: ManualClock
) -> None:
    async def pause(kid: str | None) -> float:
        return (await remote.candidates("ES256", kid)).retry_after

    assert await pause("made up") == 0, "it is the fetch's answer that nobody has this key"
    assert (await pause("first"), await pause(None)) == (0, 0)
    clock.advance(4)
    assert await pause("second") == RETRY_AFTER - 4
    assert issuer.asked == 1

    issuer.status = 500
    clock.advance(RETRY_AFTER)
    assert await pause("second") == RETRY_AFTER, "a fetch that failed says nothing"
    issuer.status, issuer.text = 200, key_set(FIRST, SECOND)
    clock.advance(RETRY_AFTER)
    assert await pause("second") == 0


async def test_a28_a_key_that_was_withdrawn_is_refused_after_five_minutes(
    issuer: Issuer, remote: RemoteKeySet, clock: ManualClock
) -> None:
    await kids(remote, "first")
    issuer.text = key_set(SECOND)
    clock.advance(REFRESH_AFTER - 0.5)
    assert await kids(remote) == ["first"]

    clock.advance(0.5)
    assert await kids(remote) == ["second"]
    assert issuer.asked == 2


async def test_requests_at_once_share_one_fetch(issuer: Issuer, remote: RemoteKeySet) -> None:
    issuer.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(kids(remote, "first")) for _ in range(20)]
        await issuer.is_asked.wait()
        issuer.may_answer.set()

    assert [task.result() for task in asking] == [["first"]] * 20
    assert issuer.asked == 1


async def test_the_fetch_outlives_the_request_that_began_it(issuer: Issuer, remote: RemoteKeySet) -> None:
    issuer.may_answer.clear()
    gone, staying = asyncio.create_task(kids(remote)), asyncio.create_task(kids(remote))
    await issuer.is_asked.wait()
    gone.cancel()
    issuer.may_answer.set()

    assert await staying == ["first"]
    assert gone.cancelled()
    assert issuer.asked == 1


async def test_who_knows_the_key_does_not_wait_for_anothers_fetch(
    issuer: Issuer, remote: RemoteKeySet, clock: ManualClock
) -> None:
    await kids(remote, "first")
    clock.advance(RETRY_AFTER)
    issuer.may_answer.clear()
    issuer.is_asked.clear()
    waiting = asyncio.create_task(kids(remote, "second"))
    await issuer.is_asked.wait()

    assert await kids(remote, "first") == ["first"]
    assert not waiting.done()
    issuer.may_answer.set()
    await waiting


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        pytest.param(500, key_set(SECOND), "the answer's status is 500", id="status"),
        pytest.param(302, key_set(SECOND), "the answer's status is 302", id="redirect"),
        pytest.param(200, b"<html>", "it is not JSON", id="no key set"),
        pytest.param(200, b" " * (SIZE_LIMIT + 1), "it is longer than 262144 bytes", id="too long"),
    ],
)
async def test_a28_a_failed_fetch_keeps_the_keys(
    issuer: Issuer,
    remote: RemoteKeySet,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    status: int,
    text: bytes,
    reason: str,
) -> None:
    await kids(remote, "first")
    issuer.status, issuer.text = status, text
    clock.advance(REFRESH_AFTER)
    with caplog.at_level(logging.WARNING, "holdfast.hub"):
        assert await kids(remote, "first") == ["first"]
        assert await kids(remote, "first") == ["first"]

    assert issuer.asked == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"key set {issuer.url}: {reason}; its former keys stay in use"
    ]


async def test_once_a_server_fails_nobody_who_knows_the_key_waits_for_it(
    issuer: Issuer, remote: RemoteKeySet, clock: ManualClock
) -> None:
    await kids(remote, "first")
    issuer.status = 500
    clock.advance(REFRESH_AFTER)
    await kids(remote, "first")
    clock.advance(RETRY_AFTER)
    issuer.status = 200
    issuer.may_answer.clear()

    assert await kids(remote, "first") == ["first"]
    assert issuer.asked == 2, "it did not even wait for the third request to be sent"


async def test_without_any_keys_the_request_is_refused_and_the_next_tries_again(
    issuer: Issuer, remote: RemoteKeySet, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.status = 503
    assert await status_of(remote) == 503
    assert await status_of(remote, "first") == 503
    assert issuer.asked == 1
    assert "there are no keys" in caplog.text

    issuer.status = 200
    clock.advance(RETRY_AFTER)
    assert await kids(remote) == ["first"]


async def test_a_set_emptied_by_its_issuer_is_obeyed(issuer: Issuer, remote: RemoteKeySet, clock: ManualClock) -> None:
    await kids(remote)
    issuer.text = key_set()
    clock.advance(REFRESH_AFTER)

    assert await status_of(remote) == 503


async def test_a_server_that_is_not_there_is_a_failed_fetch(clock: ManualClock) -> None:
    fetcher = KeyFetcher()
    source = RemoteKeySet("http://127.0.0.1:1/jwks", algorithms=SET_ALGORITHMS, clock=clock, fetcher=fetcher)

    assert await status_of(source) == 503
    await fetcher.close()


async def test_closing_ends_a_fetch(issuer: Issuer, clock: ManualClock) -> None:
    fetcher = KeyFetcher()
    source = RemoteKeySet(issuer.url, algorithms=SET_ALGORITHMS, clock=clock, fetcher=fetcher)
    issuer.may_answer.clear()
    waiting = asyncio.create_task(kids(source))
    await issuer.is_asked.wait()
    await source.close()
    await fetcher.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_named_key_is_the_only_one_tried(issuer: Issuer, remote: RemoteKeySet) -> None:
    issuer.text = key_set(FIRST, SECOND, UNNAMED)

    assert await kids(remote, "second") == ["second"]
    assert await kids(remote) == ["first", "second", None]


# -- a file ---------------------------------------------------------------------------------------------------------


async def test_a28_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(FIRST))
    source = FileKeySet("publisher_jwks", path, algorithms=SET_ALGORITHMS)
    assert await kids(source) == ["first"]

    path.write_bytes(key_set(FIRST, SECOND))
    assert await kids(source) == ["first", "second"]

    (tmp_path / "new").write_bytes(key_set(SECOND))
    os.replace(tmp_path / "new", path)  # noqa: PTH105  # as deployments do it
    assert await kids(source) == ["second"]


@pytest.mark.parametrize("content", [None, b"{", b" " * (SIZE_LIMIT + 1)], ids=["gone", "cut", "too long"])
async def test_a_file_that_cannot_be_read_any_more_is_complained_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(FIRST))
    source = FileKeySet("publisher_jwks", path, algorithms=SET_ALGORITHMS)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)

    with caplog.at_level(logging.WARNING, "holdfast.hub"):
        assert await kids(source) == ["first"]
        assert await kids(source) == ["first"]
    assert len(caplog.records) == 1
    assert "its former keys stay in use" in caplog.text

    path.write_bytes(key_set(SECOND))
    assert await kids(source) == ["second"]


# -- the setting ----------------------------------------------------------------------------------------------------


def made(url: str) -> KeySource:
    return make_key_set("publisher_jwks", url, algorithms=(), clock=ManualClock(), fetcher=KeyFetcher())


@pytest.mark.parametrize(
    "url", ["https://issuer.example/jwks", "http://127.0.0.1:8000/", "http://localhost/x", "http://[::1]:80/"]
)
def test_a_url_is_encrypted_or_of_this_machine(url: str) -> None:
    assert isinstance(made(url), RemoteKeySet)


def test_a_file_is_named_by_its_url(tmp_path: Path) -> None:
    path = tmp_path / "my keys.json"
    path.write_bytes(key_set(FIRST))

    assert isinstance(made(path.as_uri()), FileKeySet)


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks",
        "http://127.0.0.1.example/jwks",
        "ftp://issuer.example/jwks",
        "https:///jwks",
        "file://jwks.json",
        "file://issuer.example/jwks",
        "/etc/jwks",
        "https://[::1",
        "file:///no/such/file",
        f"file://{os.devnull}",
    ],
)
def test_any_other_ends_the_start(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^publisher_jwks: "):
        made(url)
