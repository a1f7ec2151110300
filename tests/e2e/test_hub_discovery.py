"""How clients find the hub: the link that a route adds to what its backend answers, followed to the end.

Reference 1.2.
"""

from __future__ import annotations

import re

import pytest

from tests.e2e.holding import one_more_held
from tests.e2e.hub_talking import NO_HISTORY, open_events, published, query
from tests.support.answers import Answer, answer, grip_response, grip_stream, head, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.http import ResponseHead
from tests.support.hub_site import ANONYMOUS, HOST, METADATA, MIXED, ask, json_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINK = re.compile(rb'<([^>]*)>; rel="mercure"')
TOPIC = "http://hub.example/books/1"


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (
        f"*,mercure_link {backend.address}",
        f"*,path_beg=/elsewhere,mercure_link=https://other.example/hub {backend.address}",
        f"*,path_beg=/silent {backend.address}",
        f"*,path_beg=/plain,no_grip,mercure_link {backend.address}",
        "*,path_beg=/test,mercure_link test",
    )


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return (*MIXED, ANONYMOUS, NO_HISTORY, "mercure.path=/events")


def hubs_of(found: ResponseHead) -> list[bytes]:
    """Return the hubs that an answer names."""
    return [link[1] for link in map(LINK.fullmatch, found.values(b"link")) if link]


async def test_a_client_that_follows_the_links_of_a_page_is_told_of_its_changes(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    own = (b"Link", f'<{TOPIC}>; rel="self"'.encode())
    backend.answers("/books/1", text(b'{"title": "old"}', headers=[own]))
    page = await client.fetch("/books/1", host=HOST)
    assert (page.body, page.values(b"link")[0]) == (b'{"title": "old"}', own[1])
    (path,) = hubs_of(page.head)
    stream = await open_events(client, query(("match", TOPIC), path=path.decode()))
    async with await RawClient.connect(app.proxy_address) as other:
        assert hubs_of((await other.fetch("/books/2")).head) == [path]
    await published(app.proxy_address, TOPIC, "new", path=path.decode())
    assert (await stream.event()).data == "new"


@pytest.mark.parametrize(
    ("path", "hubs"),
    [("/x", [b"/events"]), ("/elsewhere", [b"https://other.example/hub"]), ("/silent", []), ("/plain", [b"/events"])],
)
@pytest.mark.parametrize(
    "script",
    [text(b"x"), text(b"no", status=404), answer(head(304, b"Not Modified", []))],
    ids=["answer", "error", "not modified"],
)
async def test_each_route_says_where_its_hub_is(
    client: RawClient, backend: ScriptedBackend, path: str, hubs: list[bytes], script: Answer
) -> None:
    backend.answers(path, script)
    assert hubs_of((await client.fetch(path)).head) == hubs


@pytest.mark.parametrize("script", [grip_stream("room"), grip_response("room", body=b"later")], ids=["stream", "poll"])
async def test_what_is_held_names_the_hub_too(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, script: Answer
) -> None:
    backend.answers("/held", script)
    async with one_more_held(app):
        await client.send_request("/held")
    await app.advance(56)
    assert hubs_of(await client.head()) == [b"/events"]


async def test_the_built_in_backend_can_be_linked_as_well(client: RawClient) -> None:
    assert hubs_of((await client.fetch("/test/")).head) == [b"/events"]


async def test_l14_the_metadata_tells_of_subscriptions_where_they_are_told_of() -> None:
    for told in (True, False):
        setting = f"mercure.subscriptions={str(told).lower()}"
        async with AppProcess("* test", settings=(*MIXED, NO_HISTORY, setting)) as app:
            metadata = json_of(await ask(app.proxy_address, METADATA))
            assert metadata.get("mercure_subscriptions") == (True if told else None)
            found = await ask(app.proxy_address, "/.well-known/mercure/subscriptions")
            assert found.status == (401 if told else 404)
