"""The API that lists active subscriptions (reference 1.12; rows L07 to L14)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from urllib.parse import quote

import pytest

from handlers.errors import StorageError
from handlers.protocol.mercure.headers import SECURITY_HEADERS
from handlers.protocol.mercure.update import ActiveSubscription
from handlers.protocol.names import EventId
from proxy.app import App
from tests.handlers.hub.signing import token as sign
from tests.support.http import Response
from tests.support.hub_site import (
    HUB,
    METADATA,
    MIXED,
    STRICT,
    SUBSCRIBER_KEY,
    ask,
    bearer,
    claims_of,
    detail,
    hub,
    json_of,
    old_publisher,
    old_subscriber,
    post,
    subscribed,
    subscriber,
)
from tests.support.turns import until

ROOT = f"{HUB}/subscriptions"
TOLD = ("mercure.subscriptions=true", "mercure.anonymous=true")
LD_JSON = ("Accept", "application/ld+json")
NOWHERE = "urn:uuid:00000000-0000-4000-8000-000000000000"
WITH_PAYLOAD = sign(claims_of(detail("subscribe", "a", payload=[1])), SUBSCRIBER_KEY, typ="at+jwt")
PATTERN = {"match": f"{ROOT}/:kind/:match", "match_type": "urlpattern"}
BY_PATTERN = sign(claims_of({**detail("subscribe"), "topics": [PATTERN]}), SUBSCRIBER_KEY, typ="at+jwt")


@pytest.fixture
async def app() -> AsyncGenerator[App]:
    async with hub(*MIXED, *TOLD) as app:
        yield app


async def get(
    app: App, target: str, *headers: tuple[str, str], token: str | None = None, method: str = "GET"
) -> Response:
    shown = bearer(subscriber("*") if token is None else token)
    return await ask(app.proxy_addresses[0], target, method=method, headers=[shown, *headers])


async def publish(app: App, **fields: str) -> None:
    response = await post(app.proxy_addresses[0], {"topic": "any", **fields}, token=old_publisher("*"))
    assert response.status == 200, response


def ids_of(app: App) -> list[str]:
    """Return who is connected, in the order of their coming."""
    assert app.hub is not None
    return [session.subscriber.id for session in app.hub.hub.audience.subscribers]


def last_id(app: App) -> str:
    assert app.hub is not None
    return app.hub.hub.last_id


async def test_l07_the_list_of_all_is_by_subscriber_and_then_by_matcher(app: App) -> None:
    shows = subscriber("a b/c")
    async with (
        subscribed(app, "match_urlpattern=/:id&match=a%20b%2Fc", token=shows),
        subscribed(app, "topic=https://example.com/%7Bid%7D"),
    ):
        found = await get(app, ROOT)
        first, second = (quote(each, safe="") for each in ids_of(app))
        plain_first, plain_second = ids_of(app)
    assert (
        found.body.decode()
        == f"""{{
  "id": "{ROOT}",
  "type": "subscriptions",
  "subscriptions": [
    {{
      "id": "{ROOT}/exact/a%20b%2Fc/{first}",
      "type": "subscription",
      "subscriber": "{plain_first}",
      "match": "a b/c",
      "match_type": "exact",
      "active": true
    }},
    {{
      "id": "{ROOT}/urlpattern/%2F%3Aid/{first}",
      "type": "subscription",
      "subscriber": "{plain_first}",
      "match": "/:id",
      "match_type": "urlpattern",
      "active": true
    }},
    {{
      "id": "{ROOT}/selector/https%3A%2F%2Fexample.com%2F%7Bid%7D/{second}",
      "type": "subscription",
      "subscriber": "{plain_second}",
      "topic": "https://example.com/{{id}}",
      "active": true
    }}
  ]
}}"""
    )


async def test_l07_the_list_of_one_matcher_is_by_type_and_value_and_called_as_it_was_asked_for(app: App) -> None:
    async with (
        subscribed(app, "match=a%2Fb&match=a+b"),
        subscribed(app, "match=a%2Fb"),
        subscribed(app, "match_urlpattern=a%2Fb"),
    ):
        for path in (f"{ROOT}/exact/a%2Fb", f"{ROOT}/exact/a%2fb", f"{ROOT}/exact/%61%2Fb"):
            document = json_of(await get(app, path))
            assert document["id"] == path
            assert [each["subscriber"] for each in document["subscriptions"]] == ids_of(app)[:2]
            assert {each["match"] for each in document["subscriptions"]} == {"a/b"}


async def test_l05_a_plus_in_a_path_is_a_plus(app: App) -> None:
    async with subscribed(app, "match=a%2Bb"), subscribed(app, "match=a%20b"):
        for path, match in ((f"{ROOT}/exact/a+b", "a+b"), (f"{ROOT}/exact/a%20b", "a b")):
            assert [each["match"] for each in json_of(await get(app, path))["subscriptions"]] == [match]


async def test_l07_one_subscription_is_what_the_event_of_its_coming_said(app: App) -> None:
    async with (
        subscribed(app, f"match_urlpattern={ROOT}/exact/:match/:subscriber", token=subscriber("*")) as watcher,
        subscribed(app, "match=a", token=WITH_PAYLOAD),
    ):
        data = await watcher.data()
        found = await get(app, json.loads(data)["id"])
    assert (found.status, found.body.decode()) == (200, data)
    assert json_of(found)["payload"] == [1]


async def test_l07_an_unknown_subscription_is_404_and_names_the_cursor_all_the_same(app: App) -> None:
    """One of nobody, and one of a subscriber that is gone."""
    async with subscribed(app, "match=a"):
        gone = f"{ROOT}/exact/a/{quote(ids_of(app)[0], safe='')}"
        assert (await get(app, gone)).status == 200
    await until(lambda: not ids_of(app))
    for path in (gone, f"{ROOT}/exact/a/{quote(NOWHERE, safe='')}"):
        found = await get(app, path)
        assert (found.status, found.body) == (404, b"404 page not found\n")
        assert found.values(b"content-type") == (b"text/plain; charset=utf-8",)
        assert found.values(b"etag") == (b'"%b"' % last_id(app).encode(),)
        assert b"last-event-id" in found.values(b"link")[0]
        assert_secure(found)


def assert_secure(found: Response) -> None:
    for name, value in SECURITY_HEADERS:
        assert found.values(name) == (value,)


async def test_l07_a_matcher_that_nobody_has_is_an_empty_list(app: App) -> None:
    found = await get(app, f"{ROOT}/exact/nobody")
    assert found.status == 200
    assert json_of(found) == {"id": f"{ROOT}/exact/nobody", "type": "subscriptions", "subscriptions": []}


async def test_l08_the_entity_tag_is_the_last_event_of_the_hub_and_an_equal_one_is_not_sent_again(app: App) -> None:
    await publish(app, id="first")
    found = await get(app, ROOT)
    assert found.values(b"etag") == (b'"first"',)
    same = await get(app, ROOT, ("If-None-Match", '"first"'))
    assert (same.status, same.body) == (304, b"")
    assert same.values(b"etag") == (b'"first"',)
    assert (same.values(b"link"), same.values(b"content-type")) == ((), ())
    assert_secure(same)
    for other in ("first", 'W/"first"', '"first", "x"', "*", '"FIRST"', '""'):
        assert (await get(app, ROOT, ("If-None-Match", other))).status == 200, other
    await publish(app, id="second")
    changed = await get(app, ROOT, ("If-None-Match", '"first"'))
    assert (changed.status, changed.values(b"etag")) == (200, (b'"second"',))


async def test_l08_a_coming_and_a_going_change_the_tag(app: App) -> None:
    tags = [(await get(app, ROOT)).values(b"etag")]
    async with subscribed(app, "match=a"):
        tags.append((await get(app, ROOT)).values(b"etag"))
    await until(lambda: not ids_of(app))
    tags.append((await get(app, ROOT)).values(b"etag"))
    assert tags[0] == (b'"earliest"',)
    assert len(set(tags)) == 3


async def test_l09_the_link_names_the_hub_the_cursor_the_type_and_the_content_type(app: App) -> None:
    link = b'</.well-known/mercure>; rel="mercure"; last-event-id="%b"; type="mercure"; content-type="application/json"'
    assert (await get(app, ROOT)).values(b"link") == (link % b"earliest",)
    await publish(app, id='my "id" 100% é\\x')
    found = await get(app, ROOT)
    assert found.values(b"link") == (link % 'my \\"id\\" 100% é\\\\x'.encode(),)
    assert found.values(b"etag") == ('"my%20%22id%22%20100%25%20é\\x"'.encode(),)


async def test_b19_an_id_that_no_header_could_hold_is_not_put_into_one(app: App) -> None:
    await publish(app, id="x" * 4096)
    found = await get(app, ROOT)
    assert (b"last-event-id" in found.values(b"link")[0], len(found.values(b"etag")[0])) == (False, 66)
    assert (await get(app, ROOT, ("If-None-Match", found.values(b"etag")[0].decode()))).status == 304


@pytest.mark.parametrize(
    "path", [ROOT, f"{ROOT}/exact/a", f"{ROOT}/exact/a/{quote(NOWHERE, safe='')}", f"{ROOT}/a/{NOWHERE}"]
)
async def test_l10_without_a_token_it_is_401_though_the_hub_is_anonymous_and_without_a_grant_403(
    app: App, path: str
) -> None:
    nobody = await ask(app.proxy_addresses[0], path)
    assert (nobody.status, nobody.body) == (401, b"Unauthorized\n")
    assert nobody.values(b"www-authenticate")[0].startswith(b"Bearer ")
    assert b"error=" not in nobody.values(b"www-authenticate")[0]
    for shows in (subscriber(), subscriber("elsewhere"), old_subscriber("elsewhere"), old_subscriber()):
        found = await get(app, path, token=shows)
        assert (found.status, found.body) == (403, b"Forbidden\n")
        assert b'error="insufficient_scope"' in found.values(b"www-authenticate")[0]
    bad = await get(app, path, token="x" * 60)
    assert bad.status == 401
    assert b'error="invalid_token"' in bad.values(b"www-authenticate")[0]


@pytest.mark.parametrize(
    ("granted", "path", "status"),
    [
        (f"{ROOT}/exact/a%20b", f"{ROOT}/exact/a%20b", 200),
        (f"{ROOT}/exact/a%20b", f"{ROOT}/exact/a%20b?x=1", 200),
        (f"{ROOT}/exact/a b", f"{ROOT}/exact/a%20b", 403),
        (f"{ROOT}/exact/a", f"{ROOT}/exact/%61", 403),
        (ROOT, f"{ROOT}/exact/a", 403),
        (ROOT, f"{ROOT}?authorization=x", 200),
        ("*", f"{ROOT}/exact/a", 200),
    ],
)
async def test_l11_the_path_as_it_stands_is_what_has_to_be_granted_without_its_query(
    app: App, granted: str, path: str, status: int
) -> None:
    assert (await get(app, path, token=subscriber(granted))).status == status


async def test_l11_a_pattern_or_a_template_may_grant_it(app: App) -> None:
    by_template = old_subscriber(ROOT + "{/kind}{/match}")
    for shows in (BY_PATTERN, by_template):
        assert (await get(app, f"{ROOT}/exact/a%2Fb", token=shows)).status == 200
    assert (await get(app, ROOT, token=BY_PATTERN)).status == 403
    assert (await get(app, ROOT, token=by_template)).status == 200


async def test_a15_a_cookie_will_do(app: App) -> None:
    for name in ("__Secure-mercure_access_token", "mercureAuthorization"):
        cookie = ("Cookie", f"{name}={subscriber('*')}")
        assert (await ask(app.proxy_addresses[0], ROOT, headers=[cookie])).status == 200


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        (f"{ROOT}/regexp/a", 400, b"unsupported topic matcher type\n"),
        (f"{ROOT}/Exact/a", 400, b"unsupported topic matcher type\n"),
        (f"{ROOT}/regexp/a/{NOWHERE}", 400, b"unsupported topic matcher type\n"),
        (f"{ROOT}/exact/%zz", 400, b"Bad Request\n"),
        (f"{ROOT}/exact/a/b/c", 404, b"404 page not found\n"),
        (f"{ROOT}/", 404, b"404 page not found\n"),
    ],
)
@pytest.mark.parametrize("strict", [False, True], ids=["mixed", "strict"])
async def test_l12_paths_that_name_nothing(path: str, status: int, body: bytes, strict: bool) -> None:
    async with hub(*(STRICT if strict else MIXED), *TOLD) as app:
        found = await get(app, path)
        assert (found.status, found.body) == (status, body)


async def test_l07_a_strict_hub_knows_nothing_of_older_paths() -> None:
    async with hub(*STRICT, *TOLD) as app, subscribed(app, "match=a"):
        (own,) = ids_of(app)
        assert (await get(app, f"{ROOT}/a")).status == 404
        assert (await get(app, f"{ROOT}/a/{own}")).status == 400
        assert (await get(app, f"{ROOT}/selector/a")).status == 400
        found = await get(app, ROOT, LD_JSON)
        assert found.values(b"content-type") == (b"application/json",)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "QUERY"])
async def test_l13_nothing_but_get_is_served(app: App, method: str) -> None:
    for path in (ROOT, f"{ROOT}/exact/a"):
        found = await get(app, path, method=method)
        assert (found.status, found.body) == (405, b"")
        assert_secure(found)


async def test_l14_without_the_feature_there_is_no_api_and_the_metadata_does_not_tell_of_it(app: App) -> None:
    assert json_of(await ask(app.proxy_addresses[0], METADATA))["mercure_subscriptions"] is True
    async with hub(*MIXED, "mercure.anonymous=true") as without, subscribed(without, "match=a"):
        for path in (ROOT, f"{ROOT}/exact/a", f"{ROOT}/exact/a/{NOWHERE}"):
            found = await get(without, path)
            assert (found.status, found.body) == (404, b"404 page not found\n")
        assert "mercure_subscriptions" not in json_of(await ask(without.proxy_addresses[0], METADATA))
        assert last_id(without) == "earliest"


async def test_l11_a_mixed_hub_leaves_the_query_out_for_either_dialect(app: App) -> None:
    assert (await get(app, f"{ROOT}?x=1", token=old_subscriber(ROOT))).status == 200


async def test_a_path_that_only_begins_like_it_is_not_of_the_api(app: App) -> None:
    found = await ask(app.proxy_addresses[0], f"{ROOT}s")
    assert (found.status, found.body) == (404, b"404 page not found\n")


# -- subscribers of more than this process --------------------------------------------------------------------------


class LostRoll:
    """A parent that has ended."""

    async def call_roll(self) -> tuple[tuple[ActiveSubscription, ...], EventId]:
        raise StorageError("the history is closed")


async def test_subscribers_that_are_not_known_any_more_are_no_empty_list(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    front = app.side._front  # noqa: SLF001  # a roll of another process is told of at its making
    assert front._hub is not None  # noqa: SLF001
    front._hub._listing._roll = LostRoll()  # noqa: SLF001
    assert (await get(app, ROOT)).status == 500
    assert "subscribers not known: the history is closed" in caplog.text
