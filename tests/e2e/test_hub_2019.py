"""The hub as it was spoken to in 2018 and 2019: `/hub`, targets, bare ids (reference 3).

Rows S34, P25 to P27, A29 and H18.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from proxy.app import App
from tests.e2e.hub_talking import READER, Stream, open_events, query, shown
from tests.e2e.hub_talking import subscribed as subscribed_at
from tests.handlers.hub.signing import token as sign
from tests.support.app_process import ConsoleProcess
from tests.support.client import RawClient
from tests.support.http import Response
from tests.support.hub_site import (
    ANONYMOUS,
    HUB,
    MIXED,
    OLD_PUBLISHER_KEY,
    STRICT_2019,
    ask,
    hub,
    old_publisher,
    old_subscriber,
    post,
    publisher,
)

OLD = "/hub"
BARE_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """There is no backend here."""


@pytest.fixture
async def app() -> AsyncGenerator[App]:
    async with hub(*STRICT_2019, ANONYMOUS) as app:
        yield app


async def send(app: App, *fields: tuple[str, str], token: str | None = None, path: str = OLD) -> Response:
    """Publish with a token that allows public updates, or with another."""
    return await post(app.proxy_addresses[0], fields, token=old_publisher() if token is None else token, target=path)


async def listen(app: App, client: RawClient, *pairs: tuple[str, str], token: str | None = None) -> Stream:
    return await open_events(client, query(*pairs, path=OLD), headers=shown(token))


async def client_of(app: App) -> RawClient:
    return await RawClient.connect(app.proxy_addresses[0])


async def test_the_tutorial_of_that_time_works_as_it_was_written(tmp_path: Path) -> None:
    """The environment, the page's EventSource, and the publisher's POST of an introduction to Mercure of 2018."""
    environment = {
        "HOLDFAST_MERCURE_PROTOCOLS": "2019",
        "ADDR": "127.0.0.1:0",
        "JWT_KEY": "!ChangeMe!",
        "ALLOW_ANONYMOUS": "1",
        "CORS_ALLOWED_ORIGINS": "http://localhost:8000",
        "DB_PATH": str(tmp_path / "updates.db"),
    }
    token = sign({"mercure": {"publish": []}}, "!ChangeMe!", typ="JWT")
    async with (
        ConsoleProcess("--set", "publish.listen=127.0.0.1:0", "--route", "* test", environment=environment) as app,
        subscribed_at(
            app.proxy_address,
            query(("topic", "http://example.com/books/{id}"), path=OLD),
            headers=[
                ("Origin", "http://localhost:8000"),
                ("Accept", "text/event-stream"),
                ("Cache-Control", "no-cache"),
            ],
        ) as page,
    ):
        assert page.head.values(b"access-control-allow-origin") == (b"http://localhost:8000",)
        assert page.head.values(b"access-control-allow-credentials") == (b"true",)
        body = urlencode({"topic": "http://example.com/books/1", "data": '{"isbn": "9780307346612"}'})
        response = await post(app.proxy_address, body, token=token, target=OLD)
        assert response.status == 200
        event = await page.event()
        assert (event.id, event.type, event.data) == (response.body.decode(), "", '{"isbn": "9780307346612"}')
        assert BARE_UUID.fullmatch(event.id)
    # Not in the file itself, which may be that of a hub of then.
    assert (tmp_path / "updates.holdfast.db").exists()


async def test_s34_the_hub_is_at_its_old_place_and_at_its_new_one(app: App) -> None:
    async with await client_of(app) as old, await client_of(app) as new:
        streams = [
            await listen(app, old, ("topic", "a"), ("topic", "/b/{id}")),
            await open_events(new, query(("topic", "/b/{id}"))),
        ]
        for stream in streams:
            assert stream.head.values(b"content-type") == (b"text/event-stream",)
            assert await stream.client.chunk() == b":\n"
            assert not [name for name in stream.head.names() if b"last-event-id" in name]
        assert (await send(app, ("topic", "/b/1"), ("data", "x"), ("id", "one"))).body == b"one"
        assert (await send(app, ("topic", "/b/2"), ("data", "y"), ("id", "two"), path=HUB)).body == b"two"
        for stream in streams:
            assert [event.id for event in await stream.events(2)] == ["one", "two"]


async def test_s34_a_subscriber_without_a_topic_is_refused(app: App) -> None:
    for target in (OLD, f"{OLD}?match=a", HUB):
        found = await ask(app.proxy_addresses[0], target)
        assert (found.status, found.body) == (400, b'Missing "topic" parameter.\n')


async def test_s34_there_is_no_old_place_where_2019_is_not_spoken() -> None:
    async with hub(*MIXED, ANONYMOUS, routes=["* test"]) as app:
        assert (await ask(app.proxy_addresses[0], f"{OLD}?topic=a")).body == b"no such test resource\n"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([("topic", "a")], b'Missing "data" parameter\n'),
        ([("topic", "a"), ("data", "")], b'Missing "data" parameter\n'),
        ([("data", "x")], b'Missing "topic" parameter\n'),
        ([], b'Missing "topic" parameter\n'),
        ([("topic", "a"), ("retry", "x")], b'Missing "data" parameter\n'),
        ([("topic", "a"), ("data", "x"), ("retry", "x")], b'Invalid "retry" parameter\n'),
    ],
)
async def test_p25_topic_and_data_are_required_in_this_order(
    app: App, fields: list[tuple[str, str]], text: bytes
) -> None:
    for path in (OLD, HUB):
        found = await send(app, *fields, path=path)
        assert (found.status, found.body) == (400, text)


@pytest.mark.parametrize(
    ("claim", "targets", "status"),
    [
        ({"publish": []}, [], 200),
        ({"publish": []}, ["t"], 401),
        ({"publish": ["t"]}, [], 200),
        ({"publish": ["t"]}, ["t"], 200),
        ({"publish": ["t"]}, ["u"], 401),
        ({"publish": ["t"]}, ["t", "u"], 401),
        ({"publish": ["t", "u"]}, ["u", "t"], 200),
        ({"publish": ["https://e.com/users/{id}"]}, ["https://e.com/users/{id}"], 200),
        ({"publish": ["https://e.com/users/{id}"]}, ["https://e.com/users/1"], 401),
        ({"publish": ["*"]}, ["t", "u"], 200),
        ({"publish": ["*"]}, [], 200),
        ({"publish": None}, [], 401),
        ({"subscribe": ["*"]}, [], 401),
        (None, [], 401),
    ],
)
async def test_p26_a_claim_lists_the_targets_that_may_be_addressed(
    app: App, claim: object, targets: list[str], status: int
) -> None:
    token = sign({"mercure": claim}, OLD_PUBLISHER_KEY)
    fields = [("topic", "a"), ("data", "x"), *(("target", target) for target in targets)]
    async with await client_of(app) as client:
        stream = await listen(app, client, ("topic", "a"), token=old_subscriber("*"))
        found = await send(app, *fields, token=token)
        assert found.status == status
        assert status == 200 or (found.body, found.values(b"www-authenticate")) == (b"Unauthorized\n", ())
        await send(app, ("topic", "a"), ("data", "next"))
        assert [event.data for event in await stream.events(2 if status == 200 else 1)][-1] == "next"


async def test_p27_the_answer_is_the_id_without_a_urn_or_the_publishers_own(app: App) -> None:
    found = await send(app, ("topic", "a"), ("data", "x"))
    assert BARE_UUID.fullmatch(found.body.decode())
    assert found.values(b"content-type") == (b"text/plain; charset=utf-8",)
    assert (await send(app, ("topic", "a"), ("data", "x"), ("id", "my é"))).body.decode() == "my é"


@pytest.mark.parametrize(
    ("subscribe", "readable"),
    [
        (None, ["public"]),
        ((), ["public"]),
        (("t",), ["public", "t", "t and u"]),
        (("u",), ["public", "t and u"]),
        (("x", "u"), ["public", "t and u"]),
        (("{v}",), ["public"]),
        (("*",), ["public", "t", "t and u", "v"]),
    ],
    ids=["anonymous", "nothing", "t", "u", "x and u", "a template is no pattern here", "everything"],
)
async def test_a29_targets_decide_who_gets_an_update_and_topics_who_is_asked(
    app: App, subscribe: tuple[str, ...] | None, readable: list[str]
) -> None:
    """The claim limits no topic: one with `t` alone reads the public updates of every topic."""
    token = None if subscribe is None else old_subscriber(*subscribe)
    async with await client_of(app) as client:
        stream = await listen(app, client, ("topic", "a"), ("topic", "t"), token=token)
        for targets in ("public", "t", "t and u", "v"):
            fields = [("target", each) for each in targets.split(" and ") if each != "public"]
            assert (await send(app, ("topic", "a"), ("data", targets), *fields, token=old_publisher("*"))).status == 200
        await send(app, ("topic", "a"), ("data", "end"))
        assert [event.data for event in await stream.events(len(readable) + 1)] == [*readable, "end"]


async def test_a29_the_name_of_a_target_is_no_topic(app: App) -> None:
    """Neither for who asks for the target's name as a topic, nor for a public update on a topic of that name."""
    async with await client_of(app) as curious, await client_of(app) as entitled:
        asks = await listen(app, curious, ("topic", "t"), ("topic", "{+any}"), token=old_subscriber("a"))
        reads = await listen(app, entitled, ("topic", "a"), token=old_subscriber("t"))
        await send(app, ("topic", "a"), ("data", "secret"), ("target", "t"), token=old_publisher("t"))
        await send(app, ("topic", "t"), ("data", "public"))
        assert (await asks.event()).data == "public"
        assert (await reads.event()).data == "secret"
    # As a topic, what a target is called within the hub cannot be spelled.
    assert (await ask(app.proxy_addresses[0], f"{OLD}?topic=%00t")).status == 400


async def test_a29_beside_the_newer_dialects_targets_are_understood_on_either_path() -> None:
    settings = ("mercure.protocols=1.0,8,2019", *MIXED, ANONYMOUS)
    async with hub(*settings) as app, await client_of(app) as old, await client_of(app) as new:
        entitled = await listen(app, old, ("topic", "a"), token=old_subscriber("t"))
        anybody = await open_events(new, query(("match", "a")))
        for path in (OLD, HUB):
            token = old_publisher("a", "t")
            sent = await send(app, ("topic", "a"), ("data", "x"), ("target", "t"), token=token, path=path)
            assert sent.status == 200
            assert BARE_UUID.fullmatch(sent.body.decode())
        # Without a target the new path is that of the newer dialects: topics have to be granted, data may be missing.
        assert (await send(app, ("topic", "a"), ("data", "x"), token=old_publisher("t"), path=HUB)).status == 403
        newer = await send(app, ("topic", "a"), token=old_publisher("a"), path=HUB)
        assert newer.body.startswith(b"urn:uuid:")
        assert [event.data for event in await entitled.events(3)] == ["x", "x", ""]
        assert (await anybody.event()).id == newer.body.decode()


@pytest.mark.parametrize(
    ("protocols", "claim", "fields", "status"),
    [
        ("8", ("b",), "topic=a", 403),
        ("8", ("b",), "topic=a&target=b", 403),
        ("8", ("b",), "topic=b&target=t", 403),
        ("8", ("b", "t"), "topic=b&target=t", 200),
        ("8", ("b", "t"), "topic=b&topic=a&target=t", 403),
        ("8", ("*",), "topic=a&target=t", 200),
        ("8", (), "topic=a", 403),
        ("7", (), "topic=a", 200),
        ("7", ("b",), "topic=a&private=on", 403),
        ("7", ("t",), "topic=a&target=t", 403),
        ("7", ("b", "t"), "topic=b&target=t", 200),
        ("8,7", (), "topic=a", 200),
        ("8,7", ("t",), "topic=a&target=t", 403),
    ],
)
async def test_p26_beside_newer_dialects_targets_do_not_stand_in_for_topics(
    protocols: str, claim: tuple[str, ...], fields: str, status: int
) -> None:
    """A token of 8 limits topics, on whichever path and with whatever fields it is shown."""
    async with hub(f"mercure.protocols=1.0,{protocols},2019", *MIXED) as app:
        for path in (OLD, HUB):
            found = await post(app.proxy_addresses[0], f"{fields}&data=x", token=old_publisher(*claim), target=path)
            assert found.status == status, path


async def test_p26_beside_1_0_alone_targets_are_all_that_a_claim_limits() -> None:
    async with hub("mercure.protocols=1.0,2019", *MIXED) as app:
        for fields, status in (("topic=a", 200), ("topic=a&target=t", 200), ("topic=t&target=u", 403)):
            found = await post(app.proxy_addresses[0], f"{fields}&data=x", token=old_publisher("t"))
            assert found.status == status, fields


async def test_p26_a_token_of_1_0_addresses_targets_only_if_it_grants_everything() -> None:
    async with hub("mercure.protocols=1.0,8,2019", *MIXED) as app:
        for topics, fields, status in [
            (("a", "t"), "topic=a&target=t", 403),
            (("a",), "topic=a", 200),
            (("a",), "topic=b", 403),
            (("*",), "topic=a&target=t", 200),
        ]:
            for path in (OLD, HUB):
                token, body = publisher(*topics), f"{fields}&data=x"
                found = await post(app.proxy_addresses[0], body, token=token, target=path)
                assert found.status == status, (topics, fields)


async def test_h18_an_unknown_id_gives_nothing_and_no_header_and_a_known_one_what_came_after_it(tmp_path: Path) -> None:
    async with hub(*STRICT_2019, ANONYMOUS, f"mercure.history={tmp_path / 'h.db'}") as app:
        for number, target in [(1, ""), (2, "t"), (3, ""), (4, "u")]:
            fields = [("target", target)] if target else []
            for topic in ("a", "b"):
                text = f"{topic}{number}"
                await send(app, ("topic", topic), ("data", text), ("id", text), *fields, token=old_publisher("*"))
        for cursor, ids in [("nobody's", []), ("a1", ["a2", "a3"]), ("b1", ["a2", "a3"]), ("a4", [])]:
            for pairs, headers in (([("Last-Event-ID", cursor)], []), ([], [("Last-Event-ID", cursor)])):
                async with await client_of(app) as client:
                    target = query(("topic", "a"), *pairs, path=OLD)
                    stream = await open_events(client, target, headers=[*shown(old_subscriber("t")), *headers])
                    assert not [name for name in stream.head.names() if b"last-event-id" in name]
                    await send(app, ("topic", "a"), ("data", "live"), ("id", f"live-{cursor}"))
                    found = [event.id for event in await stream.events(len(ids) + 1)]
                    assert [each for each in found if not each.startswith("live")] == ids


async def test_a_token_of_1_0_means_nothing_to_a_hub_of_2019(app: App) -> None:
    found = await ask(app.proxy_addresses[0], query(("topic", "a"), path=OLD), headers=shown(READER))
    assert (found.status, found.body) == (401, b"Unauthorized\n")


async def test_a_hub_that_is_not_anonymous_asks_everybody_for_a_token() -> None:
    async with hub(*STRICT_2019) as app, await client_of(app) as client:
        found = await ask(app.proxy_addresses[0], f"{OLD}?topic=a")
        assert (found.status, found.body, found.values(b"www-authenticate")) == (401, b"Unauthorized\n", ())
        stream = await listen(app, client, ("topic", "a"), token=old_subscriber())
        await send(app, ("topic", "a"), ("data", "x"))
        assert (await stream.event()).data == "x"
