"""Who reads private updates: by grants, by selectors and, of 2019, by targets (reference 1.9.4, 2.1, 3)."""

from __future__ import annotations

import pytest

from proxy.app import App
from tests.support.hub_site import (
    STRICT,
    STRICT_2019,
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


# -- who reads private updates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "granted", "topics", "is_read"),
    [
        pytest.param("match=1", ("2",), ("1", "2"), True, id="a21 routed by one topic, granted by the other"),
        pytest.param("match=2", ("1",), ("1", "2"), True, id="a21 the other way round"),
        pytest.param("match=1", ("1",), ("1",), True, id="routed and granted"),
        pytest.param("match=*", ("1",), ("1",), True, id="routed by wildcard"),
        pytest.param("match=1", ("*",), ("1",), True, id="granted by wildcard"),
        pytest.param("match=1", ("3",), ("1", "2"), False, id="a22 granted on another topic"),
        pytest.param("match=3", ("1",), ("1", "2"), False, id="granted and not routed"),
        pytest.param("match=1", (), ("1",), False, id="a24 a token without grants"),
    ],
)
async def test_a21_a22_a24_a_private_update_needs_a_route_and_a_grant(
    strict: App, query: str, granted: tuple[str, ...], topics: tuple[str, ...], is_read: bool
) -> None:
    address = strict.proxy_addresses[0]
    async with subscribed(strict, f"{query}&match=end", token=subscriber(*granted)) as stream:
        fields = [*(("topic", topic) for topic in topics), ("id", "secret"), ("private", "on")]
        assert (await post(address, fields, token=publisher())).status == 200
        assert (await post(address, "topic=end&id=end", token=publisher())).status == 200
        got = [await stream.event()]
        if is_read:
            got.append(await stream.event())
        assert got == [b"id: secret\ndata: ", b"id: end\ndata: "][not is_read :]


async def test_a23_an_anonymous_subscriber_reads_no_private_update() -> None:
    async with hub(*STRICT, "mercure.anonymous=true") as app, subscribed(app, "match=*") as stream:
        for fields in ("topic=a&id=secret&private=on", "topic=a&id=open"):
            assert (await post(app.proxy_addresses[0], fields, token=publisher())).status == 200
        assert await stream.event() == b"id: open\ndata: "


async def test_a24_a_token_without_grants_gets_public_updates_of_a_hub_that_is_not_anonymous(strict: App) -> None:
    assert await status_of(strict) == 401
    async with subscribed(strict, "match=a", token=subscriber()) as stream:
        assert (await post(strict.proxy_addresses[0], "topic=a&id=1", token=publisher())).status == 200
        assert await stream.event() == b"id: 1\ndata: "


async def test_private_updates_before_1_0_go_by_selectors(strict_8: App) -> None:
    address = strict_8.proxy_addresses[0]
    token = old_subscriber("https://e.example/books/{id}")
    async with subscribed(strict_8, "topic=https://e.example/{kind}/{id}", token=token) as stream:
        for topic in ("https://e.example/films/1", "https://e.example/books/2"):
            fields = {"topic": topic, "id": topic[-1], "private": "on"}
            assert (await post(address, fields, token=old_publisher("*"))).status == 200
        assert await stream.event() == b"id: 2\ndata: "


async def test_a21_the_two_generations_read_each_others_private_updates(mixed: App) -> None:
    address = mixed.proxy_addresses[0]
    async with (
        subscribed(mixed, "topic={x}", token=old_subscriber("{x}")) as older,
        subscribed(mixed, "match=a", token=subscriber("a")) as newer,
        subscribed(mixed, "match=a&topic=b", token=old_subscriber("b")) as both,
    ):
        for number, token in enumerate((publisher(), old_publisher("*"))):
            assert (await post(address, f"topic=a&id={number}&private=on", token=token)).status == 200
        assert (await post(address, "topic=b&id=2&private=on", token=publisher())).status == 200
        assert [await older.event() for _ in range(3)] == [b"id: 0\ndata: ", b"id: 1\ndata: ", b"id: 2\ndata: "]
        assert [await newer.event() for _ in range(2)] == [b"id: 0\ndata: ", b"id: 1\ndata: "]
        assert await both.event() == b"id: 2\ndata: "


@pytest.mark.parametrize(
    ("granted", "got"),
    [
        pytest.param(None, ["public"], id="anonymous"),
        pytest.param((), ["public"], id="no target"),
        pytest.param(("t",), ["public", "one", "two"], id="a common target"),
        pytest.param(("u", "x"), ["public", "two"], id="one of two"),
        pytest.param(("x",), ["public"], id="no common target"),
        pytest.param(("*",), ["public", "one", "two"], id="every target"),
        pytest.param(("a",), ["public"], id="a topic is no target"),
    ],
)
async def test_a29_targets_say_who_reads(granted: tuple[str, ...] | None, got: list[str]) -> None:
    async with hub(*STRICT_2019, "mercure.anonymous=true") as app:
        token = None if granted is None else old_subscriber(*granted)
        async with subscribed(app, "topic=a", token=token, path="/hub") as stream:
            for number, targets in (("public", ""), ("one", "&target=t"), ("two", "&target=t&target=u"), ("end", "")):
                fields = f"topic=a&data=x&id={number}{targets}"
                found = await post(app.proxy_addresses[0], fields, token=old_publisher("*"), target="/hub")
                assert found.status == 200
            events = [await stream.event() for _ in range(len(got) + 1)]
            assert events == [f"id: {number}\ndata: x".encode() for number in (*got, "end")]
