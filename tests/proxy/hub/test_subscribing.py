"""Opening subscriptions: the order of the checks, who is let in, and until when."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.proxy.in_process import advance
from tests.support.clock import WALL_START
from tests.support.hub_site import (
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

ANONYMOUS = "mercure.anonymous=true"
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


async def test_patterns_without_a_beginning_are_bounded_for_all_together() -> None:
    async with hub(*STRICT, ANONYMOUS, "mercure.unanchored_limit=2") as app:
        async with subscribed(app, f"{UNANCHORED}1&{UNANCHORED}2"), subscribed(app, f"{UNANCHORED}1"):
            found = await ask(app.proxy_addresses[0], f"{HUB}?{UNANCHORED}3")
            assert (found.status, found.body) == (503, b"Service Unavailable\n")
            for other in ("match_urlpattern=https://e.example/*", "match_urlpattern=*", "match=a", f"{UNANCHORED}2"):
                assert await status_of(app, query=other) == 200
        await until(lambda: subscribers(app) == 0)
        assert await status_of(app, query=f"{UNANCHORED}3") == 200


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
