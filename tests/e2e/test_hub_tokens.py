"""Who is let in at the hub, with which token, shown how, and who reads private updates (reference 1.9, 2.1, 3, 6.2)."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from proxy.app import App
from tests.support.clock import WALL_START
from tests.support.hub_site import (
    DETAIL_TYPE,
    HOST,
    HUB,
    ISSUER,
    MIXED,
    PUBLISHER_KEY,
    STRICT,
    STRICT_8,
    SUBSCRIBER_KEY,
    ask,
    bearer,
    challenge,
    claims_of,
    detail,
    head_of,
    hub,
    old_publisher,
    old_subscriber,
    post,
    publisher,
    status_of,
    subscribed,
    subscriber,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

Pair = tuple[str, str]

COOKIE, OLD_COOKIE = "__Secure-mercure_access_token", "mercureAuthorization"
SHORT = "x" * 40


# -- how a token is shown -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a01_the_schemes_letter_case_does_not_count(strict: App, mixed: App, scheme: str) -> None:
    for app in (strict, mixed):
        assert await status_of(app, ("Authorization", f"{scheme} {subscriber()}")) == 200


async def test_a02_before_1_0_it_does(strict_8: App) -> None:
    assert await status_of(strict_8, bearer(old_subscriber()), query="topic=a") == 200
    head = await head_of(strict_8, ("Authorization", f"bearer {old_subscriber()}"), query="topic=a")
    assert (head.status, head.values(b"www-authenticate")) == (401, ())


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((bearer(subscriber()), bearer(subscriber())), id="two headers"),
        pytest.param((("Authorization", "Basic dXNlcjpwYXNzd29yZA=="),), id="Basic"),
        pytest.param((("Authorization", subscriber()),), id="no scheme"),
        pytest.param((("Authorization", "Bearer"),), id="no token"),
        pytest.param((("Authorization", ""),), id="empty"),
        pytest.param((bearer(SHORT),), id="short token"),
        pytest.param((bearer(SHORT), ("Cookie", f"{COOKIE}={subscriber()}")), id="short token and a good cookie"),
    ],
)
async def test_a03_a_token_shown_wrongly_is_a_bad_request(
    strict: App, strict_8: App, headers: tuple[Pair, ...]
) -> None:
    head = await head_of(strict, *headers)
    assert (head.status, head.values(b"www-authenticate")) == (400, challenge("invalid_request"))
    assert await status_of(strict_8, *headers, query="topic=a") == 401


async def test_a14_a_bad_header_is_not_made_up_for_by_a_good_cookie(strict: App) -> None:
    head = await head_of(strict, bearer("x" * 41), ("Cookie", f"{COOKIE}={subscriber()}"))
    assert (head.status, head.values(b"www-authenticate")) == (401, challenge("invalid_token"))


@pytest.mark.parametrize(
    ("cookie", "status"),
    [
        pytest.param(f"{COOKIE}={subscriber()}", 200, id="a15 alone"),
        pytest.param(f"a=b; {COOKIE}={subscriber()}; c=d", 200, id="a15 among others"),
        pytest.param(f'{COOKIE}="{subscriber()}"', 200, id="a15 quoted"),
        pytest.param(f"{COOKIE}={SHORT}", 401, id="not a token"),
        pytest.param(f"{OLD_COOKIE}={subscriber()}", 401, id="the older dialects' name"),
        pytest.param(f"mercure_access_token={subscriber()}", 401, id="a name that is not configured"),
    ],
)
async def test_a15_a_cookie_is_accepted_without_an_origin(strict: App, cookie: str, status: int) -> None:
    assert await status_of(strict, ("Cookie", cookie)) == status


async def test_a15_the_cookie_may_have_a_name_of_its_own_beside_the_protocols() -> None:
    async with hub(*MIXED, "mercure.cookie_name=mercure_access_token") as app:
        for name in ("mercure_access_token", COOKIE):
            assert await status_of(app, ("Cookie", f"{name}={subscriber()}")) == 200
        assert await status_of(app, ("Cookie", f"{OLD_COOKIE}={old_subscriber()}")) == 200
        assert await status_of(app, ("Cookie", f"mercure_access_token={SHORT}; {COOKIE}={subscriber()}")) == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param((), 400, id="no Origin"),
        pytest.param((("Origin", "https://evil.example"),), 400, id="bad Origin"),
        pytest.param((("Origin", "https://app.example"),), 200, id="good Origin"),
        pytest.param((("Origin", "https://APP.example"),), 200, id="in another letter case, defect B9"),
        pytest.param((("Origin", "http://app.example"),), 400, id="another scheme"),
        pytest.param((("Origin", "https://app.example:8443"),), 400, id="another port"),
        pytest.param((("Origin", "https://a.b.wild.example"),), 200, id="wildcard"),
        pytest.param((("Origin", "https://wild.example"),), 400, id="wildcard without a label"),
        pytest.param((("Origin", "null"),), 400, id="null"),
        pytest.param((("Referer", "https://app.example/page?x"),), 200, id="good Referer"),
        pytest.param((("Referer", "https://evil.example/https://app.example/"),), 400, id="bad Referer"),
        pytest.param((("Referer", "no URL"),), 400, id="unparsable Referer"),
        pytest.param((("Origin", "null"), ("Referer", "https://app.example/")), 400, id="Origin goes before Referer"),
    ],
)
async def test_a16_a_cookie_publishes_from_listed_origins_alone(
    strict: App, strict_8: App, headers: tuple[Pair, ...], status: int
) -> None:
    for address in (strict.proxy_addresses[0], strict.publish_address):
        found = await post(address, "topic=a", ("Cookie", f"{COOKIE}={publisher()}"), *headers)
        assert found.status == status
        assert found.values(b"www-authenticate") == (() if status == 200 else challenge("invalid_request"))
    if not any("wild" in value for _, value in headers):
        cookie = ("Cookie", f"{OLD_COOKIE}={old_publisher('*')}")
        found = await post(strict_8.proxy_addresses[0], "topic=a", cookie, *headers)
        assert found.status == (200 if status == 200 else 401)


async def test_a16_any_origin_and_null_publish_where_they_are_listed() -> None:
    cookie = ("Cookie", f"{COOKIE}={publisher()}")
    async with hub(*STRICT, "mercure.publish_origins=*") as app:
        for origin in ("null", "https://any.example"):
            assert (await post(app.proxy_addresses[0], "topic=a", cookie, ("Origin", origin))).status == 200
        assert (await post(app.proxy_addresses[0], "topic=a", cookie)).status == 400
    async with hub(*STRICT, "mercure.publish_origins=null") as app:
        assert (await post(app.proxy_addresses[0], "topic=a", cookie, ("Origin", "null"))).status == 200
        assert (await post(app.proxy_addresses[0], "topic=a", cookie, ("Origin", "https://a.example"))).status == 400


async def test_a16_a_header_publishes_from_anywhere(strict: App) -> None:
    found = await post(strict.proxy_addresses[0], "topic=a", ("Origin", "https://evil.example"), token=publisher())
    assert found.status == 200


@pytest.mark.parametrize("name", ["authorization", "access_token"])
async def test_a17_a_token_in_the_url_is_ignored(strict: App, name: str) -> None:
    head = await head_of(strict, query=f"match=a&{name}={subscriber()}")
    assert (head.status, head.values(b"www-authenticate")) == (401, challenge())
    assert await status_of(strict, bearer(subscriber()), query=f"match=a&{name}=rubbish") == 200
    found = await post(strict.proxy_addresses[0], "topic=a", target=f"{HUB}?{name}={publisher()}")
    assert (found.status, found.values(b"www-authenticate")) == (401, challenge())


async def test_a18_before_1_0_it_may_stand_in_the_url(strict_8: App, mixed: App) -> None:
    for app in (strict_8, mixed):
        assert await status_of(app, query=f"topic=a&authorization={old_subscriber()}") == 200
        assert await status_of(app, query=f"topic=a&authorization={old_subscriber()}x") == 401
        assert await status_of(app, query=f"topic=a&authorization={SHORT}") == 401
        for address in (app.proxy_addresses[0], app.publish_address):
            found = await post(address, "topic=a", target=f"{HUB}?authorization={old_publisher('*')}")
            assert found.status == 200
    assert await status_of(strict_8, query=f"topic=a&access_token={old_subscriber()}") == 401
    assert await status_of(mixed, query=f"match=a&authorization={subscriber()}") == 200


async def test_a18_a_short_one_is_overlooked_where_1_0_is_spoken_and_nobody_needs_one() -> None:
    async with hub(*MIXED, "mercure.anonymous=true") as app:
        assert await status_of(app, query=f"topic=a&authorization={SHORT}") == 200
    async with hub(*STRICT_8, "mercure.anonymous=true") as app:
        assert await status_of(app, query=f"topic=a&authorization={SHORT}") == 401


async def test_a18_one_that_is_repeated_is_none_or_a_fault_whoever_asks() -> None:
    twice = "&".join(f"authorization={old_subscriber('*')}" for _ in range(2))
    publishing = "&".join(f"authorization={old_publisher('*')}" for _ in range(2))
    told = "mercure.subscriptions=true"
    async with hub(*MIXED, "mercure.anonymous=true", told) as app:
        assert await status_of(app, query=f"topic=a&{twice}") == 200
        async with subscribed(app, f"topic=a&{twice}") as stream:
            await post(app.proxy_addresses[0], "topic=a&private=on&id=1", token=old_publisher("*"))
            await post(app.proxy_addresses[0], "topic=a&id=2", token=old_publisher("*"))
            assert await stream.id() == "2", "it was overlooked, and nobody may read private updates"
        assert (await ask(app.proxy_addresses[0], f"{HUB}/subscriptions?{twice}")).status == 401
        for address in (app.proxy_addresses[0], app.publish_address):
            found = await post(address, "topic=a", target=f"{HUB}?{publishing}")
            assert found.status == 401
    async with hub(*STRICT_8, "mercure.anonymous=true", told) as app:
        assert await status_of(app, query=f"topic=a&{twice}") == 401
        assert (await ask(app.proxy_addresses[0], f"{HUB}/subscriptions?{twice}")).status == 401
        for address in (app.proxy_addresses[0], app.publish_address):
            assert (await post(address, "topic=a", target=f"{HUB}?{publishing}")).status == 401


async def test_a19_the_header_goes_before_the_url_and_that_before_the_cookie(strict_8: App) -> None:
    good, bad = old_subscriber(), old_subscriber(key="wrong")
    header, query, cookie = bearer(good), f"topic=a&authorization={good}", ("Cookie", f"{OLD_COOKIE}={good}")
    bad_header, bad_query = bearer(bad), f"topic=a&authorization={bad}"
    bad_cookie = ("Cookie", f"{OLD_COOKIE}={bad}")
    assert await status_of(strict_8, header, bad_cookie, query=bad_query) == 200
    assert await status_of(strict_8, bad_header, cookie, query=query) == 401
    assert await status_of(strict_8, bad_cookie, query=query) == 200
    assert await status_of(strict_8, cookie, query=bad_query) == 401
    assert await status_of(strict_8, cookie, query="topic=a") == 200
    assert await status_of(strict_8, bad_cookie, query="topic=a") == 401


# -- which tokens are good ------------------------------------------------------------------------------------------


def details(*entries: object) -> dict[str, object]:
    return {"authorization_details": list(entries)}


def typed(kind: object, match: str = "a") -> dict[str, object]:
    return {"match": match, "match_type": kind}


GOOD_DETAIL = detail("subscribe", "a")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"typ": "JWT"}, 401, id="a04 typ JWT"),
        pytest.param({"typ": None}, 401, id="a04 typ null"),
        pytest.param({"typ": "application/at+jwt"}, 200, id="a05 full media type"),
        pytest.param({"typ": "AT+JWT"}, 200, id="a05 upper case"),
        pytest.param({"key": "the key of somebody else altogether"}, 401, id="a06 another key"),
        pytest.param({"iss": "https://other.example"}, 401, id="a07 another issuer"),
        pytest.param({"iss": None}, 401, id="a07 no issuer"),
        pytest.param({"aud": f"http://{HOST}{HUB}"}, 200, id="a08 aud string"),
        pytest.param({"aud": ["https://x.example", f"http://{HOST}{HUB}"]}, 200, id="a08 aud array"),
        pytest.param({"aud": f"http://other.example{HUB}"}, 401, id="a08 another audience"),
        pytest.param({"aud": f"https://{HOST}{HUB}"}, 401, id="a08 another scheme"),
        pytest.param({"aud": []}, 401, id="a08 nobody"),
        pytest.param({"aud": None}, 401, id="a08 no audience"),
        pytest.param({"exp": None}, 401, id="a09 no exp"),
        pytest.param({"exp": WALL_START}, 401, id="a09 exp now"),
        pytest.param({"exp": WALL_START - 60}, 401, id="a09 exp past"),
        pytest.param({"exp": "tomorrow"}, 401, id="a09 exp text"),
        pytest.param({"nbf": WALL_START + 60}, 401, id="a09 nbf future"),
        pytest.param({"nbf": WALL_START - 60}, 200, id="a09 nbf past"),
        pytest.param({"iat": WALL_START + 60}, 200, id="a10 iat future"),
        pytest.param({"authorization_details": None}, 200, id="a11 absent"),
        pytest.param(details(), 200, id="a11 empty"),
        pytest.param(details({"type": "payment", "actions": 5}), 200, id="a11 foreign type"),
        pytest.param(details({"actions": 5}), 200, id="a11 no type"),
        pytest.param(details(None), 200, id="a11 null entry"),
        pytest.param({"authorization_details": {}}, 401, id="a11 object"),
        pytest.param({"authorization_details": "x"}, 401, id="a11 text"),
        pytest.param(details("x"), 401, id="a11 text entry"),
        pytest.param(details({"type": DETAIL_TYPE, "topics": [{"match": "a"}]}), 401, id="a11 no actions"),
        pytest.param(details(GOOD_DETAIL | {"actions": []}), 401, id="a11 empty actions"),
        pytest.param(details(GOOD_DETAIL | {"actions": [5]}), 401, id="a11 numeric action"),
        pytest.param(details(GOOD_DETAIL | {"actions": ["fly"]}), 200, id="a11 unknown action"),
        pytest.param(details({"type": DETAIL_TYPE, "actions": ["subscribe"]}), 401, id="a11 no topics"),
        pytest.param(details(GOOD_DETAIL | {"topics": []}), 401, id="a11 empty topics"),
        pytest.param(details(GOOD_DETAIL | {"topics": ["a"]}), 401, id="a11 topic as text"),
        pytest.param(details(GOOD_DETAIL | {"topics": [{"match": ""}]}), 401, id="a11 empty match"),
        pytest.param(details(GOOD_DETAIL | {"topics": [typed("URLPattern")]}), 401, id="a11 case"),
        pytest.param(details(GOOD_DETAIL | {"topics": [typed("regexp")]}), 401, id="a11 unknown"),
        pytest.param(details(GOOD_DETAIL | {"topics": [typed("")]}), 200, id="a11 type empty"),
        pytest.param(details(GOOD_DETAIL | {"topics": [typed(None)]}), 200, id="a11 type null"),
        pytest.param(details(GOOD_DETAIL | {"topics": [typed("x", "*")]}), 200, id="a11 wildcard"),
        pytest.param(details(GOOD_DETAIL | {"topics": [typed("urlpattern", "(")]}), 401, id="a11 bad"),
        pytest.param(
            details(GOOD_DETAIL | {"topics": [typed("urlpattern", "x" * 4097)]}), 401, id="a11 long"
        ),
        pytest.param(details(detail("subscribe", *map(str, range(100)))), 200, id="a11 100 topics"),
        pytest.param(details(detail("subscribe", *map(str, range(101)))), 401, id="a11 101 topics"),
        pytest.param(details(*[GOOD_DETAIL] * 101), 401, id="a11 101 details"),
        pytest.param(details(GOOD_DETAIL, GOOD_DETAIL | {"topics": []}), 401, id="a11 one bad detail"),
    ],
)  # fmt: skip
async def test_a04_to_a11_which_tokens_of_1_0_are_good(
    strict: App, mixed: App, changes: dict[str, Any], status: int
) -> None:
    token = subscriber(**({"authorization_details": [GOOD_DETAIL]} | changes))
    for app in (strict, mixed):
        head = await head_of(app, bearer(token))
        assert head.status == status
        assert head.values(b"www-authenticate") == (() if status == 200 else challenge("invalid_token"))


async def test_a04_a_token_without_a_type_is_refused(strict: App) -> None:
    headers = jwt.get_unverified_header(token := jwt.encode(claims_of(), SUBSCRIBER_KEY, headers={"typ": None}))
    assert "typ" not in headers
    assert await status_of(strict, bearer(token)) == 401


async def test_a12_an_invalid_token_does_not_make_its_bearer_anonymous() -> None:
    async with hub(*MIXED, "mercure.anonymous=true") as app:
        assert await status_of(app) == 200
        for token in (subscriber(exp=1), "x" * 41, old_subscriber(key="wrong")):
            head = await head_of(app, bearer(token))
            assert (head.status, head.values(b"www-authenticate")) == (401, challenge("invalid_token"))
        assert await status_of(app, ("Cookie", f"{COOKIE}={SHORT}")) == 401


async def test_a13_without_a_subscribers_key_tokens_are_not_looked_at() -> None:
    issuer = json.dumps([{"id": ISSUER, "publisher_key": PUBLISHER_KEY}])
    async with hub("mercure.anonymous=true", f"mercure.issuers={issuer}") as app:
        for headers in ((bearer("garbage"),), (("Authorization", "Basic x"),), (("Cookie", f"{COOKIE}=x"),)):
            assert await status_of(app, *headers) == 200
    async with hub(f"mercure.issuers={issuer}") as app:
        assert await status_of(app, bearer(subscriber())) == 405


async def test_a20_the_namespaced_claim_goes_before_the_plain_one(strict_8: App, mixed: App) -> None:
    for app in (strict_8, mixed):
        address = app.proxy_addresses[0]
        for plain, namespaced, status in (((), ("a",), 200), (("a",), (), 401), (("a",), None, 200)):
            claim = None if namespaced is None else {"publish": namespaced}
            claims: dict[str, Any] = {"https://mercure.rocks/": claim}
            found = await post(address, "topic=a", token=old_publisher(*plain, **claims))
            assert found.status == (status if status == 200 or app is strict_8 else 403)
