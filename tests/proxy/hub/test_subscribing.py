"""Opening subscriptions: the order of the checks, who is let in, and until when."""

from __future__ import annotations

import logging
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

from handlers.protocol.mercure import matching
from handlers.protocol.mercure.matcher import Matcher
from handlers.protocol.mercure.url_pattern import CompiledPattern, compile_pattern
from tests.proxy.in_process import advance, client_of
from tests.support.client import RawClient
from tests.support.clock import WALL_START
from tests.support.hub_site import (
    ANONYMOUS,
    HOST,
    HUB,
    MIXED,
    STRICT,
    STRICT_8,
    ask,
    bearer,
    challenge,
    head_of,
    hub,
    numbered,
    old_subscriber,
    status_of,
    store,
    subscribed,
    subscriber,
    subscribers,
)
from tests.support.turns import until
from tests.support.websocket import websocket

UNANCHORED = "match_urlpattern=*://*/"


# -- the order of the checks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "shown", "status"),
    [
        pytest.param("%zz", False, 401, id="no token, and nothing to subscribe to"),
        pytest.param("match_urlpattern=(&last_event_id=x", False, 401, id="no token, and the rest is wrong too"),
        pytest.param("match_urlpattern=(&last_event_id=x", True, 400, id="a bad matcher, and an unknown cursor"),
        pytest.param("match=a&last_event_id=x", True, 410, id="an unknown cursor"),
        pytest.param("match=a", True, 200, id="nothing is wrong"),
    ],
)
async def test_s18_the_token_is_told_of_first_then_matchers_then_the_cursor(
    tmp_path: Path, query: str, shown: bool, status: int
) -> None:
    async with hub(*STRICT, f"mercure.history={tmp_path / 'hub.db'}", "mercure.on_unknown_cursor=error") as app:
        assert await status_of(app, *([bearer(subscriber())] if shown else []), query=query) == status


async def test_whoever_is_refused_was_never_a_subscriber() -> None:
    async with hub(*STRICT, "mercure.subscriptions=true") as app:
        for query in ("match=a", "match=a&match_=b"):
            assert await status_of(app, query=query) == 401
        assert await status_of(app, bearer(subscriber()), query="match_=a") == 400
        assert app.counters.mercure_subscribers_opened == 0
        assert app.hub is not None
        assert app.hub.hub.last_seq == 0, "nobody is told of it either (row L18)"


# -- who is let in --------------------------------------------------------------------------------------------------


async def test_a12_a_bad_token_is_refused_though_none_is_needed() -> None:
    async with hub(*STRICT, ANONYMOUS) as app:
        assert await status_of(app) == 200
        found = await head_of(app, bearer(subscriber(exp=int(WALL_START) - 100)))
        assert (found.status, found.values(b"www-authenticate")) == (401, challenge("invalid_token"))


async def test_a13_a_hub_without_a_key_for_subscribers_does_not_look_at_tokens() -> None:
    async with hub(MIXED[1], ANONYMOUS) as app:
        for headers in ((), (bearer("nonsense"),), (bearer(subscriber()),), (("Authorization", "Basic x"),)):
            assert await status_of(app, *headers, query="topic=a&authorization=x") == 200


async def test_patterns_without_a_beginning_are_bounded_for_each_and_for_all_together() -> None:
    async with hub(*STRICT, ANONYMOUS, "mercure.unanchored_limit=2") as app:
        async with (
            subscribed(app, f"{UNANCHORED}1"),
            subscribed(app, f"{UNANCHORED}2"),
            subscribed(app, f"{UNANCHORED}1"),
        ):
            found = await ask(app.proxy_addresses[0], f"{HUB}?{UNANCHORED}3")
            assert (found.status, found.body) == (503, b"Service Unavailable\n")
            for other in ("match_urlpattern=https://e.example/*", "match_urlpattern=*", "match=a", f"{UNANCHORED}2"):
                assert await status_of(app, query=other) == 200
        await until(lambda: subscribers(app) == 0)
        assert await status_of(app, query=f"{UNANCHORED}3&{UNANCHORED}4") == 503, "a subscriber's share is one"
        assert await status_of(app, query=f"{UNANCHORED}3") == 200


async def test_patterns_under_one_anchor_are_bounded_for_all_together() -> None:
    async with hub(*STRICT, ANONYMOUS, "mercure.unanchored_limit=2") as app:
        query = "match_urlpattern=https://e.example/:a/"
        async with subscribed(app, f"{query}1&{query}2"):
            assert await status_of(app, query=f"{query}3") == 503
            for other in (f"{query}2", "match=https://e.example/1/3", "match_urlpattern=https://f.example/:a/3"):
                assert await status_of(app, query=other) == 200


async def test_who_finds_no_room_only_when_it_joins_is_cut_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hub(*MIXED, ANONYMOUS, "mercure.unanchored_limit=1") as app:
        assert app.hub is not None
        audience, asked = app.hub.hub.audience, count(1)
        check_room = audience.check_room

        def check_for_all_but_the_door(matchers: tuple[Matcher, ...]) -> None:
            if next(asked) % 2 == 0:  # as though all others had come since the door asked
                check_room(matchers)

        monkeypatch.setattr(audience, "check_room", check_for_all_but_the_door)
        async with subscribed(app, "topic={a}"):
            found = await ask(app.proxy_addresses[0], f"{HUB}?topic={{b}}&poll=1")
            assert (found.status, found.body) == (503, b"Service Unavailable\n")
            async with await RawClient.connect(app.proxy_addresses[0]) as client:
                await client.send_request(f"{HUB}?topic={{b}}", host=HOST)
                assert b"\r\n0\r\n" not in await client.until_cut()
            assert subscribers(app) == app.counters.mercure_subscribers_opened == 1


async def test_patterns_that_become_too_large_in_all_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = list[str]()

    def compiling(value: str, base: str) -> CompiledPattern:
        compiled.append(value)
        return compile_pattern(value, base)

    monkeypatch.setattr(matching, "compile_pattern", compiling)
    async with hub(*STRICT, ANONYMOUS) as app:
        query = "&".join(rf"match_urlpattern=/(\pL{{4}})/{number}" for number in range(50))
        found = await ask(app.proxy_addresses[0], f"{HUB}?{quote(query, safe='&=')}")
        assert (found.status, found.body) == (400, b"topic matcher patterns too complex in all\n")
        assert len(compiled) < 20


async def test_the_log_has_the_pattern_that_does_not_compile(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "holdfast.hub")
    async with hub(*STRICT, ANONYMOUS) as app:
        found = await ask(app.proxy_addresses[0], f"{HUB}?match_urlpattern=/:a/:a")
        assert found.body == b"invalid topic matcher pattern\n"
    (line,) = [record.getMessage() for record in caplog.records if "refused with 400" in record.getMessage()]
    assert "pattern does not compile: /:a/:a" in line


# -- who they are then ----------------------------------------------------------------------------------------------


async def test_equal_matchers_are_one_subscription_and_equal_grants_one_object() -> None:
    async with hub(*STRICT, "mercure.subscriptions=true") as app:
        query = "match=a&match=a&match_exact=a&match_urlpattern=/a"
        async with (
            subscribed(app, query, token=subscriber("a")),
            subscribed(app, "match=b", token=subscriber("a")),
        ):
            assert app.hub is not None
            one, other = (session.subscriber for session in app.hub.hub.audience.subscribers)
            assert len(one.matchers) == len(one.subscriptions) == 2
            assert one.readable is other.readable
            assert one.id != other.id
            assert one.id.startswith("urn:uuid:")


@pytest.mark.parametrize(
    ("query", "headers", "count"),
    [
        pytest.param("match=a&match_urlpattern=/b", (), 2, id="stream"),
        pytest.param("match=a&poll=60", (), 0, id="long poll"),
        pytest.param("topic=a&poll=60", (), 0, id="long poll of a selector"),
    ],
)
async def test_long_polls_are_not_told_of(query: str, headers: tuple[tuple[str, str], ...], count: int) -> None:
    async with hub(*MIXED, ANONYMOUS, "mercure.subscriptions=true") as app, await client_of(app) as client:
        assert app.hub is not None
        await client.send_request(f"{HUB}?{query}", host=HOST, headers=headers)
        await until(lambda: subscribers(app) == 1)
        (session,) = app.hub.hub.audience.subscribers
        assert (len(session.subscriber.subscriptions), app.hub.hub.last_seq) == (count, count)


async def test_a_websocket_is_told_of_though_it_mentions_polls() -> None:
    settings = (*MIXED, ANONYMOUS, "mercure.subscriptions=true")
    async with hub(*settings) as app, websocket(app.proxy_addresses[0], f"{HUB}?match=a&poll=60", host=HOST):
        assert app.hub is not None
        await until(lambda: subscribers(app) == 1)
        (session,) = app.hub.hub.audience.subscribers
        assert len(session.subscriber.subscriptions) == 1


async def test_a_strict_hub_answers_what_asks_for_a_poll_with_a_stream() -> None:
    async with hub(*STRICT, ANONYMOUS) as app, subscribed(app, "match=a&poll=soon") as stream:
        assert stream.head.values(b"content-type") == (b"text/event-stream",)


# -- what the log has of it -----------------------------------------------------------------------------------------


async def test_a_token_that_went_astray_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "holdfast")
    token = old_subscriber("*")
    async with hub(*MIXED, ANONYMOUS) as app:
        for body in (
            f"{token};",
            f"{token}%zz=1",
            f"authorization={token};",
            f"match{token}=1",
            f"match=a&poll={token}",
        ):
            found = await ask(app.proxy_addresses[0], method="QUERY", body=body.encode())
            assert found.status == 400
    assert caplog.text.count("refused with 400") == 5
    assert token[25:60] not in caplog.text
    assert token.rpartition(".")[2] not in caplog.text


# -- until when -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write_timeout", "expires_in", "life"),
    [
        pytest.param(100, None, 80, id="as long as anybody"),
        pytest.param(100, 50, 40, id="the token is sooner"),
        pytest.param(100, 500, 80, id="the token is later"),
        pytest.param(0, 50, 40, id="the token alone"),
        pytest.param(0, None, None, id="for ever"),
    ],
)
async def test_e09_e10_whatever_is_sooner_ends_a_stream(
    write_timeout: int, expires_in: int | None, life: float | None
) -> None:
    token = old_subscriber() if expires_in is None else old_subscriber(exp=int(WALL_START) + expires_in)
    settings = (f"mercure.write_timeout={write_timeout}", "mercure.heartbeat=0", "hold.idle_timeout=0")
    async with (
        hub(*STRICT_8, *settings) as app,
        subscribed(app, "topic=a", token=token) as stream,
    ):
        await advance(app, 10_000 if life is None else life - 0.2)
        await store(app, numbered([1]))
        assert await stream.id() == "1"
        if life is not None:
            await advance(app, 0.2)
            assert await stream.rest() == []
