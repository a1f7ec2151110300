"""The API that lists active subscriptions, as clients before 1.0 know it (reference 2.1, 6.2; rows L15 and L16)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from urllib.parse import quote

import pytest

from proxy.app import App
from tests.proxy.hub.test_listing import LD_JSON, NOWHERE, ROOT, TOLD, get, ids_of, last_id, publish
from tests.support.hub_site import MIXED, STRICT_8, hub, json_of, old_subscriber, subscribed, subscriber


@pytest.fixture
async def app() -> AsyncGenerator[App]:
    async with hub(*MIXED, *TOLD) as app:
        yield app


@pytest.mark.parametrize("how", ["accept", "token", "hub", "path"])
async def test_l15_the_older_shape_of_a_list(how: str) -> None:
    settings = STRICT_8 if how == "hub" else MIXED
    shows = subscriber("*") if how in {"accept", "path"} else old_subscriber("*")
    path = f"{ROOT}/a%20b" if how == "path" else ROOT
    async with hub(*settings, *TOLD) as app, subscribed(app, "topic=a%20b"):
        found = await get(app, path, *((LD_JSON,) if how == "accept" else ()), token=shows)
        (own,) = ids_of(app)
        last = last_id(app)
    assert list(json_of(found).items()) == [
        ("@context", "https://mercure.rocks/"),
        ("id", path),
        ("type", "Subscriptions"),
        ("lastEventID", last),
        (
            "subscriptions",
            [
                {
                    "id": f"{ROOT}/a%20b/{quote(own, safe='')}",
                    "type": "Subscription",
                    "subscriber": own,
                    "topic": "a b",
                    "active": True,
                }
            ],
        ),
    ]
    assert found.values(b"content-type") == (b"application/ld+json",)
    assert found.values(b"etag") == (last.encode(),)
    assert found.values(b"link") == ()


@pytest.mark.parametrize("escaped", [True, False])
async def test_l15_the_older_shape_of_one(app: App, escaped: bool) -> None:
    """The reference hub writes a space as `+`; we escape it, and undo both only where it is an escape."""
    async with subscribed(app, "topic=a%20b"), subscribed(app, "match=a%20b"):
        for own in ids_of(app):
            path = f"{ROOT}/a%20b/{quote(own, safe='') if escaped else own}"
            found = await get(app, path, token=old_subscriber("*"))
            assert list(json_of(found)) == ["@context", "id", "type", "subscriber", "topic", "active", "lastEventID"]
            assert (json_of(found)["topic"], json_of(found)["subscriber"]) == ("a b", own)
    gone = await get(app, f"{ROOT}/a%20b/{NOWHERE}", token=old_subscriber("*"))
    assert (gone.status, gone.body) == (404, b"")


async def test_l15_an_older_client_may_leave_the_quotes_of_the_tag_out(app: App) -> None:
    await publish(app, id="an id")
    for tag in ("an id", '"an%20id"'):
        assert (await get(app, ROOT, ("If-None-Match", tag), token=old_subscriber("*"))).status == 304
    assert (await get(app, ROOT, ("If-None-Match", "another"), token=old_subscriber("*"))).status == 200


@pytest.mark.parametrize(
    ("granted", "target", "status"),
    [
        (ROOT, ROOT, 200),
        (ROOT, f"{ROOT}?x=1", 401),
        (f"{ROOT}?x=1", f"{ROOT}?x=1", 200),
        (ROOT + "{?x}", f"{ROOT}?x=1", 200),
        ("*", f"{ROOT}?x=1", 200),
    ],
)
async def test_l16_in_a_hub_of_the_older_dialect_the_query_is_part_of_what_has_to_be_granted(
    granted: str, target: str, status: int
) -> None:
    async with hub(*STRICT_8, *TOLD) as app:
        found = await get(app, target, token=old_subscriber(granted))
        assert found.status == status
        assert found.values(b"www-authenticate") == ()
