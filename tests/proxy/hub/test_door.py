"""The hub's place at the clients' door: which requests are its, and how it refuses (reference 1.1, 1.10, 4.1, 4.2)."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.app import App
from tests.proxy.in_process import advance
from tests.support.client import RawClient
from tests.support.http import Response
from tests.support.hub_site import (
    FORM,
    HOST,
    HUB,
    ISSUER,
    METADATA,
    MIXED,
    OLD_KEYS,
    PUBLISHER_KEY,
    SECURITY,
    STRICT,
    STRICT_8,
    SUBSCRIBER_KEY,
    ask,
    bearer,
    hub,
    old_publisher,
    old_subscriber,
    post,
    publisher,
    subscribed,
    subscriber,
)
from tests.support.turns import until

NOT_FOUND = (404, b"404 page not found\n")
BUILT_IN = (b"no such test resource\n", b"Hello from the Holdfast test handler!\n")
"""What the built-in target says, where the hub leaves requests to the routes."""


@pytest.fixture
async def app() -> AsyncGenerator[App]:
    async with hub(*MIXED, "mercure.anonymous=true", "mercure.cors_origins=https://app.example") as app:
        yield app


async def asked(app: App, target: str = HUB, *headers: tuple[str, str], method: str = "GET") -> Response:
    return await ask(app.proxy_addresses[0], target, method=method, headers=headers)


# -- whose a request is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [HUB + rest for rest in ("/", "/x", "/subscriptions", "/subscriptionsx", "/debug", "/debug/", "/?match=a")],
)  # fmt: skip
async def test_s26_l14_what_the_hub_does_not_have_is_not_found(app: App, target: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        found = await asked(app, target, method=method)
        assert (found.status, found.body) == NOT_FOUND


@pytest.mark.parametrize(
    "target",
    ["/", "/hub", "/.well-known", "/.well-known/mercurex", "/.WELL-KNOWN/mercure", "/playground/x", "/healthz"],
)
async def test_other_paths_are_the_routes(app: App, target: str) -> None:
    assert (await asked(app, target)).body in BUILT_IN


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1:7999", "[::1]", "HUB.example"])
async def test_the_hub_is_on_every_host(app: App, host: str) -> None:
    found = await ask(app.proxy_addresses[0], HUB, host=host)
    assert (found.status, found.body) == (400, b'missing "match" subscription parameter\n')


async def test_an_absolute_target_is_the_hubs_too(app: App) -> None:
    found = await asked(app, f"http://{HOST}{HUB}")
    assert found.body == b'missing "match" subscription parameter\n'


async def test_the_hub_may_be_elsewhere() -> None:
    async with hub(*MIXED, "mercure.path=/a/hub", "mercure.anonymous=true") as app:
        assert (await asked(app, "/a/hub")).status == 400
        assert (await asked(app, HUB)).body in BUILT_IN
        found = await asked(app, "/.well-known/oauth-protected-resource/a/hub")
        assert json.loads(found.body)["resource"] == f"http://{HOST}/a/hub"
        refused = await post(app.proxy_addresses[0], "topic=/a/hub/x", token=old_publisher("*"), target="/a/hub")
        assert refused.body == b'"/a/hub/x": topic value resolves into the reserved "/a/hub" namespace\n'


async def test_the_hub_goes_before_the_routes_and_without_one_there_is_none() -> None:
    async with hub(routes=(f"*,path_beg={HUB} test",)) as app:
        assert (await asked(app)).body in BUILT_IN
    async with hub("mercure.anonymous=true", routes=(f"*,path_beg={HUB} test",)) as app:
        assert (await asked(app)).status == 400


# -- methods --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get"])
async def test_s27_other_methods_are_refused_without_a_word(app: App, method: str) -> None:
    found = await asked(app, f"{HUB}?match=a", method=method)
    assert (found.status, found.body) == (405, b"")
    assert found.values(b"allow") == ()


@pytest.mark.parametrize("method", ["GET", "HEAD", "QUERY"])
async def test_s28_a_hub_that_lets_nobody_subscribe(method: str) -> None:
    issuers = json.dumps([{"id": ISSUER, "publisher_key": PUBLISHER_KEY}])
    async with hub(f"mercure.issuers={issuers}") as app:
        found = await asked(app, f"{HUB}?match=a", method=method)
        assert (found.status, found.body) == (405, b"")


async def test_p24_a_hub_that_lets_nobody_publish() -> None:
    issuers = json.dumps([{"id": ISSUER, "subscriber_key": SUBSCRIBER_KEY}])
    for settings in (("mercure.anonymous=true",), (f"mercure.issuers={issuers}",)):
        async with hub(*settings) as app:
            found = await post(app.proxy_addresses[0], "topic=a", token=publisher())
            assert (found.status, found.body) == (405, b"")


async def test_p23_a_publisher_that_leaves_while_its_update_is_stored_is_forgotten_behind_that(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with (
        hub(*MIXED, "mercure.anonymous=true", f"mercure.history={file}") as app,
        subscribed(app, "match=a") as stream,
    ):
        subscribers = app.counters.connections
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # until it ends nothing else is stored
            headers = (bearer(publisher()), ("Content-Type", FORM))
            async with await RawClient.connect(app.proxy_addresses[0]) as client:
                await client.send_request(HUB, method="POST", host=HOST, headers=headers, body=b"topic=a&id=1")
                await until(lambda: app.counters.requests > 1)
            await until(lambda: app.counters.connections == subscribers)
            assert app.counters.requests_abandoned == 0
            other.execute("ROLLBACK")
        assert await stream.event() == b"id: 1\ndata: "
        await until(lambda: app.counters.requests_abandoned == 1)


async def test_a_refusal_leaves_the_connection_to_further_requests(app: App) -> None:
    async with await RawClient.connect(app.proxy_addresses[0]) as client:
        for status in (405, 405):
            assert (await client.fetch(HUB, method="PUT", host=HOST, body=b"x" * 100_000)).status == status
        assert (await client.fetch(HUB, host=HOST)).status == 400
        token = bearer(publisher("a"))
        for status in (403, 403):
            found = await client.fetch(
                HUB, method="POST", host=HOST, headers=(token, ("Content-Type", FORM)), body=b"topic=b"
            )
            assert found.status == status
        assert (await client.fetch(HUB, method="POST", host=HOST, body=b"topic=b" * 100_000)).status == 401
        assert (await client.fetch(f"{HUB}/x", host=HOST)).status == 404


# -- metadata -------------------------------------------------------------------------------------------------------


async def test_o04_metadata_say_what_the_hub_is() -> None:
    async with hub(*STRICT) as app:
        found = await asked(app, METADATA)
        assert (found.status, found.values(b"content-type")) == (200, (b"application/json",))
        assert found.body == (
            b'{"resource":"http://hub.example/.well-known/mercure","bearer_methods_supported":["header"],'
            b'"authorization_details_types_supported":["https://mercure.rocks/authorization-detail"],'
            b'"mercure_cookie":"__Secure-mercure_access_token"}\n'
        )
        for method, status, body in (("HEAD", 200, b""), ("POST", 405, b""), ("OPTIONS", 405, b"")):
            other = await asked(app, METADATA, method=method)
            assert (other.status, other.body) == (status, body)
        there = await ask(app.proxy_addresses[0], METADATA, host="other.example:88")
        assert json.loads(there.body)["resource"] == "http://other.example:88/.well-known/mercure"


async def test_o04_l14_metadata_say_that_there_are_subscriptions_and_the_cookies_name() -> None:
    pinned = "https://pinned.example/.well-known/mercure"
    settings = ("mercure.subscriptions=true", "mercure.cookie_name=c", f"mercure.resource_identifier={pinned}")
    async with hub(*MIXED, *settings) as app:
        metadata = json.loads((await asked(app, METADATA)).body)
        assert metadata["mercure_subscriptions"] is True
        assert (metadata["mercure_cookie"], metadata["resource"]) == ("c", pinned)


async def test_o04_a_hub_without_keys_has_none_nor_has_one_that_does_not_speak_1_0() -> None:
    for settings in (("mercure.anonymous=true",), STRICT_8):
        async with hub(*settings) as app:
            found = await asked(app, METADATA)
            assert (found.status, found.body) == NOT_FOUND


async def test_o05_metadata_name_only_issuers_that_clients_can_ask() -> None:
    issuers = [
        {"id": f"https://{name}.example", "publisher_key": name * 32, "authorization_server": name != "b"}
        for name in "abc"
    ]
    async with hub(f"mercure.issuers={json.dumps(issuers)}") as app:
        metadata = json.loads((await asked(app, METADATA)).body)
        assert metadata["authorization_servers"] == ["https://a.example", "https://c.example"]


# -- headers of every answer ----------------------------------------------------------------------------------------


async def test_o06_every_answer_has_the_security_headers(app: App) -> None:
    address = app.proxy_addresses[0]
    preflight = (("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST"))
    answers = [
        await post(address, "topic=a", token=publisher()),
        await post(address, "topic=*", token=publisher()),
        await post(address, "topic=a"),
        await post(address, "topic=b", token=publisher("a")),
        await asked(app),
        await asked(app, METADATA),
        await asked(app, f"{HUB}/"),
        await asked(app, method="PUT"),
        await asked(app, HUB, *preflight, method="OPTIONS"),
    ]
    assert [answer.status for answer in answers] == [200, 400, 401, 403, 400, 200, 404, 405, 204]
    for answer in answers:
        assert set(SECURITY) < set(answer.head.headers)
        assert len(answer.values(b"content-security-policy")) == 1
    async with subscribed(app, "match=a") as stream:
        assert set(SECURITY) < set(stream.head.headers)


async def test_a27_o06_all_but_a_misdirected_request() -> None:
    async with hub(*MIXED, "mercure.public_urls=https://hub.example", "mercure.cors_origins=*") as app:
        found = await asked(app, HUB, ("Origin", "https://app.example"))
        assert (found.status, found.body) == (421, b"Misdirected Request\n")
        assert not {name.lower() for name, _ in SECURITY} & set(found.head.names())


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((), "no token"),
        ((bearer("x" * 40),), "the token in the Authorization header has 40 bytes, too few for a token"),
        ((bearer(publisher(exp=1)),), r"publisher's token refused: it expired 1799999999 seconds ago"),
        ((bearer(publisher(aud="x")),), "publisher's token refused: its 'aud' is 'x', expected 'http://hub.example/"),
        ((bearer(publisher(iss="y")),), "publisher's token refused: its 'iss', 'y', has no key for this role"),
        ((bearer(publisher(key="z" * 32)),), "publisher's token refused: its signature is wrong"),
        ((bearer(publisher("b")),), "tester: the token does not allow to publish to a"),
    ],
)
async def test_a_refusal_has_the_number_under_which_the_log_has_the_reason(
    app: App, caplog: pytest.LogCaptureFixture, headers: tuple[tuple[str, str], ...], reason: str
) -> None:
    answer = await post(app.proxy_addresses[0], "topic=a", *headers)
    [number] = answer.values(b"x-request-id")
    [line] = [text for text in caplog.messages if f"request id {number.decode()}: " in text]
    assert line.startswith(f"POST http://{HOST}{HUB}: refused with {answer.status}, ")
    assert line.partition(f"{number.decode()}: ")[2].startswith(reason)
    assert reason.encode() not in answer.body


async def test_refusals_are_counted_by_their_kind(app: App) -> None:
    await post(app.proxy_addresses[0], "topic=a")
    await post(app.proxy_addresses[0], "topic=b", token=publisher("a"))
    await post(app.publish_address, "topic=a", token="x" * 41)
    await asked(app)
    await post(app.publish_address, "", token=publisher())
    assert (app.counters.mercure_tokens_refused, app.counters.mercure_refused) == (3, 2)


async def test_no_line_of_the_log_has_a_token_or_a_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = [publisher(), publisher(exp=1), subscriber("*"), old_publisher("*"), old_subscriber("*", exp=1)]
    async with hub(*MIXED, "mercure.subscriptions=true", "mercure.write_timeout=100") as app:
        for token in tokens:
            for name in ("authorization", "access_token", "jwt", "Authorization", "%61uthorization"):
                target = f"{HUB}?topic=a&{name}={token}&x=y"
                cookie = ("Cookie", f"__Secure-mercure_access_token={token}")
                referer = ("Referer", f"http://{HOST}{target}")
                for body in (
                    "topic=a&id=1",
                    f"authorization={token};",
                    f"topic={token}&retry=x",
                    f"type=%00&id={token}",
                ):
                    await post(app.proxy_addresses[0], body, cookie, referer, target=target)
                    await post(app.publish_address, body, target=target, token=token)
                async with await RawClient.connect(app.proxy_addresses[0]) as client:
                    await client.send_request(target, host=HOST, headers=(cookie, referer))
                    await client.head()
                await ask(app.proxy_addresses[0], f"{HUB}/subscriptions?authorization={token}", headers=(referer,))
                await ask(app.proxy_addresses[0], target, method="QUERY", body=f"authorization={token};".encode())
        async with subscribed(app, f"topic=a&authorization={old_subscriber('*')}"):
            await advance(app, 101)
        await until(lambda: app.counters.mercure_expired == 1)
    assert "authorization=..." in caplog.text
    for token in (*tokens, old_subscriber("*")):
        assert token.rpartition(".")[2] not in caplog.text
    for key in (PUBLISHER_KEY, SUBSCRIBER_KEY, *(setting.partition("=")[2] for setting in OLD_KEYS)):
        assert key not in caplog.text


async def test_a_fault_of_ours_is_answered_with_500_and_logged(
    app: App, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("on purpose")

    assert app.hub is not None
    monkeypatch.setattr(app.hub.authority, "check", broken)
    answer = await post(app.proxy_addresses[0], "topic=a", token=publisher())
    assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
    assert set(SECURITY) < set(answer.head.headers)
    assert "ZeroDivisionError: on purpose" in caplog.text
