"""Pages of other origins: CORS headers on every kind of answer of a route with `aco` (reference 3.13; row H43)."""

from __future__ import annotations

import pytest

from tests.e2e.holding import open_poll, open_stream
from tests.support.answers import chunked, grip_instruct, grip_response, grip_stream, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.client import RawClient
from tests.support.http import Response, ResponseHead
from tests.support.publisher import close_item, publish, response_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = ("Origin", "http://o.example")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (
        f"*,aco {backend.address}",
        f"*,path_beg=/shut {backend.address}",
        f"*,path_beg=/down,aco 127.0.0.1:{closed_port()}",
        "*,path_beg=/test,aco test",
    )


def cors(head: ResponseHead) -> dict[str, str]:
    prefix = "access-control-"
    found = {name.decode().lower(): value.decode() for name, value in head.headers}
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def opened(origin: str = PAGE[1], **others: str) -> dict[str, str]:
    return {
        "allow-methods": "OPTIONS, HEAD, GET, POST, PUT, DELETE",
        "allow-credentials": "true",
        "allow-origin": origin,
        "max-age": "3600",
        **{name.replace("_", "-"): value for name, value in others.items()},
    }


async def ask(client: RawClient, path: str, *headers: tuple[str, str], method: str = "GET") -> Response:
    return await client.fetch(path, method=method, headers=headers)


async def test_h43_a_plain_answer_is_open(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/plain", text(b"hello\n", headers=[(b"X-One", b"1"), (b"Set-Cookie", b"a=b")]), text(b"again"))
    assert cors((await ask(client, "/plain", PAGE)).head) == opened(expose_headers="X-One, Set-Cookie")
    assert cors((await ask(client, "/plain")).head) == opened("*")


async def test_h43_a_preflight_is_the_backends_to_answer_and_is_told_what_it_asked(
    client: RawClient, backend: ScriptedBackend
) -> None:
    asked = [("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "X-A, X-B")]
    found = await ask(client, "/preflight", PAGE, *asked, method="OPTIONS")
    assert cors(found.head) == opened(allow_methods="PUT", allow_headers="X-A, X-B")
    assert (await backend.request()).method == b"OPTIONS"


async def test_h43_what_the_backend_says_stays(client: RawClient, backend: ScriptedBackend) -> None:
    theirs = [(b"access-control-allow-origin", b"http://only.example"), (b"Access-Control-Max-Age", b"1")]
    backend.answers("/theirs", text(b"", headers=theirs))
    assert cors((await ask(client, "/theirs", PAGE)).head) == opened("http://only.example", max_age="1")


async def test_h43_other_routes_stay_shut(client: RawClient) -> None:
    assert cors((await ask(client, "/shut", PAGE)).head) == {}


async def test_h43_errors_can_be_read_by_the_page(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/503", text(b"", status=503))
    backend.answers("/odd", grip_response(headers=[("Grip-Timeout", "x")]))
    for path, status in (("/503", 503), ("/odd", 502), ("/down", 502), ("/test/none", 404)):
        found = await ask(client, path, PAGE)
        assert (found.status, cors(found.head)) == (status, opened())


async def test_h43_answers_of_any_form(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/chunked", chunked(b"a", b"b"))
    backend.answers("/instruct", grip_instruct({"response": {"headers": {"X-A": "1"}, "body": "b"}}))
    assert cors((await ask(client, "/chunked", PAGE)).head) == opened()
    assert cors((await ask(client, "/instruct", PAGE)).head) == opened(expose_headers="X-A")
    assert cors((await ask(client, "/test", PAGE, method="HEAD")).head) == opened()


async def test_h43_a_stream_is_open(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    script = grip_stream("h43s", body=b"open\n", headers=[("X-Keep", "1")])
    head = await open_stream(client, backend, "/stream", script, headers=[PAGE])
    assert cors(head) == opened(expose_headers="X-Keep")
    assert await client.chunk() == b"open\n"
    await publish(app, close_item("h43s"))
    assert await client.chunk() == b""


async def test_h43_a_timeout_is_open(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    script = grip_response("h43t", headers=[("X-Orig", "1")])
    await open_poll(app, client, backend, "/timeout", script, headers=[PAGE])
    await app.advance(56)
    assert cors((await client.response()).head) == opened(expose_headers="X-Orig")


async def test_h43_a_published_answer_is_open_and_exposes_what_was_published(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    async with await RawClient.connect(app.proxy_address) as other:
        script = grip_response("h43p", headers=[("X-Orig", "1")])
        await open_poll(app, client, backend, "/published", script, headers=[PAGE])
        await open_poll(app, other, backend, "/published", script)
        headers = {"X-New": "2", "Access-Control-Max-Age": "5"}
        await publish(app, response_item("h43p", "body", headers=headers))
        # The same publication, for two pages.
        assert cors((await client.response()).head) == opened(expose_headers="X-Orig, X-New", max_age="5")
        assert cors((await other.response()).head) == opened("*", expose_headers="X-Orig, X-New", max_age="5")


async def test_h43_all_routes_can_be_opened_at_once(backend: ScriptedBackend) -> None:
    async with (
        AppProcess(f"* {backend.address}", settings=["proxy.auto_cross_origin=true"]) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        assert cors((await ask(client, "/", PAGE)).head) == opened()
        assert (await client.fetch("/?callback=cb")).body.startswith(b"/**/cb({")
