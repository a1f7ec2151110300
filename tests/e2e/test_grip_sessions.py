"""GRIP sessions: a state service remembers what a backend's own sessions have seen (row H45)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.conversing import connected, message_item
from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import Answer, text
from tests.support.app_process import AppProcess, console
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.events import OPEN, control, events, message
from tests.support.publisher import publish, response_item, stream_item
from tests.support.state_service import StateService, state_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

DETECT = "path-prefix=/s/; sid-ptr=/user/sid"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the service connects."""
    return f"ipc://{tmp_path_factory.mktemp('state')}/state"


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    """One route with sessions and a prefix, one for WebSockets, one without sessions, one without GRIP."""
    return (
        f"*,session,prefix=p- {backend.address}",
        f"*,path_beg=/ws,prefix=p- {backend.address},over_http",
        f"plain.example {backend.address}",
        f"nogrip.example,session,no_grip {backend.address}",
    )


@pytest.fixture(scope="module")
def settings(endpoint: str) -> tuple[str, ...]:
    """The setting that turns sessions on."""
    return (f"session.state={endpoint}",)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_service(app: AppProcess, endpoint: str) -> AsyncIterator[StateService]:
    """The service."""
    async with state_service(endpoint) as service:
        yield service


@pytest.fixture
def service(running_service: StateService) -> StateService:
    """The service, which knows nothing."""
    running_service.rules.clear()
    running_service.last_ids.clear()
    running_service.calls.clear()
    running_service.is_mute = False
    return running_service


def answer(*headers: tuple[str, str]) -> Answer:
    """An answer with these headers."""
    return text(b"ok", headers=tuple((name.encode(), value.encode()) for name, value in headers))


async def begin_session(client: RawClient, backend: ScriptedBackend, sid: str, *more: tuple[str, str]) -> None:
    """Have the backend begin a session in its answer."""
    backend.answers("/begin", answer(("Grip-Session-Id", sid), ("Grip-Session-Detect", DETECT), *more))
    response = await client.fetch("/begin")
    assert not [name for name in response.head.names() if name.startswith(b"grip-")]
    await backend.request()


async def test_h45_a_session_is_set_up_as_its_backend_says(
    client: RawClient, backend: ScriptedBackend, service: StateService
) -> None:
    await begin_session(client, backend, "s1", ("Grip-Last", "c1; last-id=5, c2; last-id=6"))
    assert service.calls == [
        (
            "session-detect-rules-set",
            {b"rules": [{b"domain": b"example.com", b"path-prefix": b"/s/", b"sid-ptr": b"/user/sid"}]},
        ),
        ("session-create-or-update", {b"sid": b"s1", b"last-ids": {b"c1": b"5", b"c2": b"6"}}),
    ]


async def test_h45_a_later_request_carries_what_its_session_has_seen(
    client: RawClient, backend: ScriptedBackend, service: StateService
) -> None:
    await begin_session(client, backend, "s2", ("Grip-Last", "c1; last-id=5"))
    backend.answers("/s/later", text(b"fine"))
    await client.fetch("/s/later?q=1", method="POST", body=b'{"user": {"sid": "s2"}}')
    request = await backend.request()
    assert request.values(b"grip-session-id") == (b"s2",)
    assert request.values(b"grip-last") == (b"c1; last-id=5",)
    assert request.body == b'{"user": {"sid": "s2"}}'
    assert service.called("session-detect-rules-get") == [{b"domain": b"example.com", b"path": b"/s/later"}]


async def test_a_session_may_be_in_a_parameter(
    client: RawClient, backend: ScriptedBackend, service: StateService
) -> None:
    backend.answers("/begin", answer(("Grip-Session-Detect", "path-prefix=/s/; sid-ptr=/0; json-param=p")))
    await client.fetch("/begin")
    backend.answers("/s/form", text(b"fine"))
    await client.fetch("/s/form", method="POST", body=b"a=b&p=%5B%22s3%22%5D")
    assert (await backend.request()).values(b"grip-session-id") == ()
    assert (await backend.request()).values(b"grip-session-id") == (b"s3",)


@pytest.mark.parametrize(
    "body", [None, b"", b"{", b"[]", b'"s"', b'{"user": {"sid": 7}}', b'{"user": {"sid": ""}}', b"x" * 100_001]
)
async def test_without_a_session_in_the_body_nothing_is_added(
    client: RawClient, backend: ScriptedBackend, service: StateService, body: bytes | None
) -> None:
    await begin_session(client, backend, "s4")
    backend.answers("/s/none", text(b"fine"))
    await client.fetch("/s/none", method="POST", body=body)
    request = await backend.request()
    assert request.values(b"grip-session-id") == ()
    assert request.body == (body or b"")
    assert service.called("session-get-last-ids") == []


async def test_an_unknown_session_is_named_without_last_ids(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, service: StateService
) -> None:
    failures = (await app.counters())["state_failures"]
    await begin_session(client, backend, "s5")
    backend.answers("/s/unknown", text(b"fine"))
    await client.fetch("/s/unknown", method="POST", body=b'{"user": {"sid": "nobody"}}')
    request = await backend.request()
    assert request.values(b"grip-session-id") == (b"nobody",)
    assert request.values(b"grip-last") == ()
    assert (await app.counters())["state_failures"] == failures


async def test_h45_the_service_is_told_what_a_held_session_is_sent(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, service: StateService
) -> None:
    script = answer(("Grip-Hold", "stream"), ("Grip-Channel", "c6"), ("Grip-Session-Id", "s6"))
    await open_stream(client, backend, "/hold", script)
    assert await client.chunk() == b"ok"
    await publish(app, stream_item("p-c6", "news", id="17"))
    assert await client.chunk() == b"news"
    told = await service.until_called("session-update-many")
    assert told == {b"sid-last-ids": {b"s6": {b"c6": b"17"}}}
    assert service.last_ids == {b"s6": {b"c6": b"17"}}


async def test_a_websocket_belongs_to_the_session_that_its_backend_names(
    app: AppProcess, backend: ScriptedBackend, service: StateService
) -> None:
    said = control("session", id="s10") + control("subscribe", channel="c10")
    async with connected(app, backend, "/ws", events(OPEN, said), events(control("session"), message("bye"))) as client:
        assert await service.until_called("session-create-or-update") == {b"sid": b"s10", b"last-ids": {}}
        await publish(app, {**message_item("p-c10", "news"), "id": "5"})
        assert await client.heard() == "news"
        assert await service.until_called("session-update-many") == {b"sid-last-ids": {b"s10": {b"c10": b"5"}}}
        await client.say("x")
        assert await client.heard() == "bye"
        await publish(app, {**message_item("p-c10", "more"), "id": "6"})
        assert await client.heard() == "more"
    assert service.last_ids == {b"s10": {b"c10": b"5"}}


async def test_a_long_poll_has_the_first_item_alone(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, service: StateService
) -> None:
    script = answer(("Grip-Hold", "response"), ("Grip-Channel", "c7"), ("Grip-Session-Id", "s7"))
    await open_poll(app, client, backend, "/poll", script)
    await publish(app, {**response_item("p-c7", "one"), "id": "1"}, {**response_item("p-c7", "two"), "id": "2"})
    assert (await client.response()).body == b"one"
    await service.until_called("session-update-many")
    assert service.last_ids == {b"s7": {b"c7": b"1"}}


async def test_who_has_gone_is_not_told_of(app: AppProcess, backend: ScriptedBackend, service: StateService) -> None:
    script = answer(("Grip-Hold", "stream"), ("Grip-Channel", "c8"), ("Grip-Session-Id", "s8"))
    async with await RawClient.connect(app.proxy_address) as gone:
        await open_stream(gone, backend, "/gone", script)
        assert await gone.chunk() == b"ok"
    await app.until(lambda counters: counters["sessions_stream"] == 0)
    async with await RawClient.connect(app.proxy_address) as here:
        backend.answers("/here", answer(("Grip-Hold", "stream"), ("Grip-Channel", "c8"), ("Grip-Session-Id", "s9")))
        await here.send_request("/here")
        await here.head()
        assert await here.chunk() == b"ok"
        await publish(app, stream_item("p-c8", "news", id="1"))
        await service.until_called("session-update-many")
    assert service.last_ids == {b"s8": {}, b"s9": {b"c8": b"1"}}


@pytest.mark.parametrize("host", ["plain.example", "nogrip.example"])
async def test_other_routes_have_no_sessions(
    client: RawClient, backend: ScriptedBackend, service: StateService, host: str
) -> None:
    backend.answers("/begin", answer(("Grip-Session-Id", "s"), ("Grip-Session-Detect", DETECT)))
    await client.fetch("/begin", host=host, method="POST", body=b"{}")
    await backend.request()
    assert service.calls == []


async def test_h45_a_service_that_does_not_answer_costs_a_second(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, service: StateService
) -> None:
    failures = (await app.counters())["state_failures"]
    service.is_mute = True
    backend.answers("/s/mute", text(b"fine"))
    await client.send_request("/s/mute", method="POST", body=b'{"user": {"sid": "s"}}')
    await service.until_called("session-detect-rules-get")
    await app.advance(1)
    assert (await client.response()).body == b"fine"
    assert (await backend.request()).values(b"grip-session-id") == ()
    assert (await app.counters())["state_failures"] == failures + 1
    await app.log_line("session state service: session-detect-rules-get: no reply in 1 second")


async def test_without_a_service_a_request_does_not_wait(backend: ScriptedBackend, tmp_path: Path) -> None:
    async with (
        AppProcess(f"*,session {backend.address}", settings=(f"session.state=ipc://{tmp_path}/state",)) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        backend.answers("/s/alone", text(b"fine"))
        assert (await client.fetch("/s/alone", method="POST", body=b"{}")).body == b"fine"
        await app.log_line("session state service: session-detect-rules-get: nobody is connected")


async def test_sessions_without_a_setting_are_told_of(backend: ScriptedBackend) -> None:
    async with AppProcess(f"*,session {backend.address}") as app:
        await app.log_line("there are routes with sessions, but session.state is empty: they have none")


async def test_an_endpoint_in_use_ends_the_start(backend: ScriptedBackend, tmp_path: Path) -> None:
    routes, settings = (f"*,session {backend.address}",), (f"session.state=ipc://{tmp_path}/state", "proxy.workers=1")
    async with AppProcess(*routes, settings=settings):
        status, _, errors = await console(
            *("--route", routes[0], "--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--workers", "1"),
            *("--set", settings[0]),
        )
    assert status == 1
    assert errors.splitlines()[-1].endswith("/state: Address already in use")
