"""Filters that change content, as clients see them (reference 6.6; row H40)."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.holding import open_poll, open_stream
from tests.e2e.linking import SOON, gap, linked
from tests.support.answers import Answer, chunked, grip_instruct, grip_response, grip_stream, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.publisher import publish, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINK = ("Grip-Link", "<next>; rel=next; timeout=30")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (
        f"*,path_beg=/debug/,debug {backend.address}",
        f"*,path_beg=/pre/,prefix=p- {backend.address}",
        f"* {backend.address}",
    )


def id_format(text: str, **meta: str) -> tuple[str, str]:
    pairs = {"id_format": text, **meta}
    return "Grip-Set-Meta", ", ".join(f'{name}="{value}"' for name, value in pairs.items())


def built_stream(channel: str, seen: int, *, body: bytes = b"", **meta: str) -> Answer:
    """A stream whose ids are built of what was seen last on its channel."""
    headers = [LINK, id_format(f"{channel}:%({channel})s", **meta)]
    return grip_stream(f"{channel}; prev-id={seen}; filter=build-id", body=body, headers=headers)


def built_item(channel: str, item_id: int, content: str = "id: %I;") -> dict[str, object]:
    item = stream_item(channel, content, id=str(item_id), **{"prev-id": str(item_id - 1)})
    item["formats"]["http-stream"]["content-filters"] = ["build-id"]
    return item


async def test_h40_build_id_puts_each_connections_place_into_what_it_gets(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_stream(client, backend, "/build/", built_stream("build", 3, body=b"id: %I, %(x)I, 100%%;"))
    assert await client.chunk() == b"id: build:3, x, 100%;"
    await publish(app, built_item("build", 4), built_item("build", 5, "%I is not %(build:5)I%%"))
    assert await client.chunk() == b"id: build:4;"
    assert await client.chunk() == b"build:5 is not build:5%"


async def test_h40_with_several_channels_the_id_names_where_each_of_them_stands(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    channels = ("one; prev-id=1; filter=build-id", "two; prev-id=7; filter=build-id")
    headers = [LINK, id_format("%(one)s/%(two)s", id_encoding="hex")]
    await open_stream(client, backend, "/both/", grip_stream(*channels, body=b"%I", headers=headers))
    assert bytes.fromhex((await client.chunk()).decode()) == b"1/7"
    await publish(app, built_item("one", 2, "%I"))
    assert bytes.fromhex((await client.chunk()).decode()) == b"2/7"
    await publish(app, built_item("two", 8, "%I"))
    assert bytes.fromhex((await client.chunk()).decode()) == b"2/8"


async def test_h40_channels_are_called_as_the_backend_calls_them(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_stream(client, backend, "/pre/", built_stream("named", 1, body=b"%I"))
    assert await client.chunk() == b"named:1"
    await publish(app, built_item("p-named", 2, "%I"))
    assert await client.chunk() == b"named:2"


async def test_h40_what_the_next_link_brings_is_built_too_and_goes_on_from_there(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_stream(client, backend, "/linked/", built_stream("linked", 1))
    again = built_stream("linked", 10, body=b"caught up: %I;")
    backend.answers("/linked/next", again)
    await publish(app, gap("linked"))
    await app.advance(SOON)
    assert await client.chunk() == b"caught up: linked:10;"
    await publish(app, built_item("linked", 11))
    assert await client.chunk() == b"id: linked:11;"


async def test_h40_a_page_of_the_next_link_that_cannot_be_built_is_tried_again(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_stream(client, backend, "/broken/", built_stream("broken", 1))
    backend.answers(
        "/broken/next", linked("broken; filter=build-id", body=b"%"), built_stream("broken", 10, body=b"%I")
    )
    await publish(app, gap("broken"))
    await app.advance(SOON)
    await app.log_line(r"/broken/next: filter error: build-id: no meta 'id_format'; to be tried again")
    await app.advance(2.5)
    assert await client.chunk() == b"broken:10"


async def test_h40_the_bodies_of_other_answers_are_built_too(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    channel, meta = "other; prev-id=4; filter=build-id", id_format("%(other)s")
    await open_poll(app, client, backend, "/poll", grip_response(channel, body=b"nothing since %I", headers=[meta]))
    await app.advance(55.5)
    assert (await client.response()).body == b"nothing since 4"
    headers = [(name.encode(), value.encode()) for name, value in (meta, ("Grip-Channel", channel))]
    backend.answers("/plain", text(b"now at %I", headers=headers))
    assert (await client.fetch("/plain")).body == b"now at 4"
    hold = {"mode": "response", "timeout": 5, "channels": [], "meta": {"id_format": ""}}
    hold["channels"] = [{"name": "other", "filters": ["build-id"]}]
    backend.answers("/json", grip_instruct({"hold": hold, "response": {"body": "%(me)I"}}))
    await client.send_request("/json")
    await app.settle()
    await app.advance(5.5)
    assert (await client.response()).body == b"me"


async def test_h40_a_first_body_that_cannot_be_built_is_an_instruct_that_is_refused(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    backend.answers("/debug/bad", grip_stream("bad; filter=build-id", body=b"x"))
    answer = await client.fetch("/debug/bad")
    assert (answer.status, answer.body) == (
        502,
        b"Failed to parse accept instructions: filter error: build-id: no meta 'id_format'\n",
    )
    backend.answers("/bad", built_stream("bad", 1, body=b"100%!"))
    answer = await client.fetch("/bad")
    assert (answer.status, answer.body) == (502, b"Error while proxying to origin.\n")


async def test_h40_a_body_that_turns_out_bad_later_is_cut(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    pairs = [("Grip-Hold", "stream"), ("Grip-Channel", "late; filter=build-id"), id_format("")]
    headers = [(name.encode(), value.encode()) for name, value in pairs]
    rest = asyncio.Event()
    backend.answers("/late", chunked(b"well,", rest, b"%2", headers=headers))
    await client.send_request("/late")
    await client.head()
    assert await client.chunk() == b"well,"
    rest.set()
    await client.until_cut()
    await app.log_line(r"/late: instruct refused: filter error: build-id: '%' at byte 5 begins neither")


async def test_h40_an_item_whose_ids_cannot_be_built_is_not_delivered(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await open_stream(client, backend, "/debug/item/", built_stream("item", 1))
    before = await app.counters()
    await publish(app, built_item("item", 2, "100%"))
    assert b"'%' at byte 3 begins neither" in await client.chunk()
    assert await client.chunk() == b""
    assert (await app.counters())["filters_failed"] == before["filters_failed"] + 1
