"""JSON-P: requests of routes with `aco` that are made by a script's address, and answered by a script (row H44)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.holding import one_more_held
from tests.support.answers import Script, chunked, grip_instruct, grip_response, grip_stream, never, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.client import RawClient
from tests.support.http import Response
from tests.support.publisher import hint_item, publish, response_item

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def routes(backend: ScriptedBackend) -> tuple[str, ...]:
    return (
        f"*,aco {backend.address}",
        f"*,path_beg=/basic,aco,jsonp_mode=basic,jsonp_body=q,jsonp_defcb=fallback {backend.address}",
        f"*,path_beg=/debug,aco,debug {backend.address}",
        f"*,path_beg=/shut {backend.address}",
        f"*,path_beg=/slow,aco {backend.address},timeout=5",
        f"*,path_beg=/nogrip,aco,no_grip {backend.address}",
        f"*,path_beg=/down,aco 127.0.0.1:{closed_port()}",
    )


def called(response: Response) -> Any:
    """Return what the page's function was called with; the answer is a script."""
    assert (response.status, response.values(b"content-type")) == (200, (b"application/javascript",))
    assert response.values(b"x-content-type-options") == (b"nosniff",)
    assert response.body.startswith(b"/**/cb(")
    assert response.body.endswith(b");\n")
    return json.loads(response.body[7:-3])


async def hold(app: AppProcess, client: RawClient, backend: ScriptedBackend, target: str, script: Script) -> None:
    """Have the backend answer with a response hold, and return when the client is held."""
    backend.answers(target.partition("?")[0], script)
    async with one_more_held(app):
        await client.send_request(target)


async def test_h44_the_request_that_is_meant_is_sent(client: RawClient, backend: ScriptedBackend) -> None:
    asked = quote(json.dumps({"X-A": "1", "Content-Type": "text/a", "Host": "evil", "Grip-Sig": "x"}))
    found = await client.fetch(f"/meant?a=b&callback=cb&_method=POST&_headers={asked}&_body=b%20d%26")
    assert called(found)["body"] == "hello\n"
    request = await backend.request()
    assert (request.method, request.target, request.body) == (b"POST", b"/meant?a=b", b"b d&")
    assert request.values(b"x-a") == (b"1",)
    assert request.values(b"content-type") == (b"text/a",)
    assert request.values(b"content-length") == (b"4",)
    assert request.values(b"host") == (b"example.com",)
    assert b"x" not in request.values(b"grip-sig")


async def test_h44_an_answer_in_the_extended_form(client: RawClient, backend: ScriptedBackend) -> None:
    headers = [(b"X-A", b"1"), (b"Cache-Control", b"no-store"), (b"Set-Cookie", b"s=1; HttpOnly")]
    backend.answers("/404", text(b"no\n", status=404, headers=headers))
    found = await client.fetch("/404?callback=cb")
    read = called(found)
    assert (read["code"], read["reason"], read["body"]) == (404, "OK", "no\n")
    assert (read["headers"]["X-A"], "Set-Cookie" in read["headers"]) == ("1", False)
    assert found.values(b"cache-control") == (b"no-store",)
    assert found.values(b"set-cookie") == (b"s=1; HttpOnly",)
    assert found.values(b"x-a") == ()
    assert found.values(b"access-control-allow-origin") == (b"*",)
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_h44_an_answer_in_the_basic_form(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/basic", text(b'{"a":\n1}\n'))
    found = await client.fetch("/basic?callback=cb&q=%7B%7D")
    assert found.body == b'/**/cb({"a":\n1});\n'
    request = await backend.request()
    assert (request.method, request.body, request.values(b"content-type")) == (b"POST", b"{}", (b"application/json",))


async def test_h44_a_body_alone_is_enough_where_there_is_a_default(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/basic", text(b"1"))
    assert (await client.fetch("/basic?q=x")).body == b"/**/fallback(1);\n"


async def test_h44_chunked_and_large_answers(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/pieces", chunked(b"o", b"ne"))
    backend.answers("/large", text(b"x" * 1_048_576), text(b"x" * 1_048_577))
    backend.answers("/debug", text(b"x" * 1_048_577))
    assert called(await client.fetch("/pieces?callback=cb"))["body"] == "one"
    assert len(called(await client.fetch("/large?callback=cb"))["body"]) == 1_048_576
    assert called(await client.fetch("/large?callback=cb"))["code"] == 502
    assert called(await client.fetch("/debug?callback=cb"))["body"].startswith("answer for JSON-P too large from ")


async def test_h44_the_method_may_be_one_without_a_body(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/head", text(b"", headers=[(b"X-A", b"1")]))
    assert called(await client.fetch("/head?callback=cb&_method=HEAD"))["body"] == ""
    assert (await backend.request()).method == b"HEAD"


async def test_h44_our_own_errors_are_scripts_too(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    down = called(await client.fetch("/down?callback=cb"))
    assert (down["code"], down["body"]) == (502, "Error while proxying to origin.\n")
    backend.answers("/slow", never())
    await client.send_request("/slow?callback=cb")
    await backend.request()
    await app.advance(6)
    assert called(await client.response())["code"] == 504
    assert (await client.fetch("/basic/x?callback=cb")).body == b'/**/cb("hello");\n'


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("callback=a()", b"callback"),
        ("callback=cb&_method=a%20b", b"_method"),
        ("callback=cb&_headers=x", b"_headers"),
        ("callback=cb&_body=%25%", b"_body"),
    ],
)
async def test_h44_a_bad_parameter_is_a_400(
    app: AppProcess, client: RawClient, backend: ScriptedBackend, query: str, name: bytes
) -> None:
    before = (await app.counters())["requests_refused"]
    found = await client.fetch(f"/bad?{query}")
    assert (found.status, found.body) == (400, b"Invalid %b parameter.\n" % name)
    assert found.values(b"access-control-allow-origin") == (b"*",)
    assert (await app.counters())["requests_refused"] == before + 1
    assert backend.requests == []


async def test_h44_a_route_without_aco_knows_nothing_of_it(client: RawClient, backend: ScriptedBackend) -> None:
    assert (await client.fetch("/shut?callback=cb")).body == b"hello\n"
    assert (await backend.request()).target == b"/shut?callback=cb"


async def test_h44_other_methods_are_no_scripts(client: RawClient) -> None:
    assert (await client.fetch("/?callback=cb", method="POST", body=b"x")).body == b"hello\n"


async def test_h44_nobody_poses_as_us_by_it(client: RawClient, backend: ScriptedBackend) -> None:
    asked = quote(json.dumps({"Content-Type": "application/websocket-events"}))
    found = called(await client.fetch(f"/events?callback=cb&_method=POST&_headers={asked}&_body=OPEN"))
    assert found["code"] == 403
    assert backend.requests == []


async def test_h44_what_is_not_utf_8_is_a_500(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    before = (await app.counters())["jsonp_failures"]
    backend.answers("/bytes", text(b"\xff"))
    found = await client.fetch("/bytes?callback=cb")
    assert (found.status, found.body) == (500, b"Upstream response could not be JSON-P encoded.\n")
    await app.log_line("an answer cannot be a script: invalid start byte at byte 0")
    assert (await app.counters())["jsonp_failures"] == before + 1
    assert (await client.fetch("/next")).body == b"hello\n"


async def test_h44_a_hold_is_answered_by_its_timeout(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    await hold(app, client, backend, "/poll?callback=cb", grip_response("h44t", body=b"late\n"))
    await app.advance(56)
    found = await client.response()
    assert (
        found.body == b'/**/cb({"body":"late\\n","code":200,"headers":{"Content-Type":"text/plain"},"reason":"OK"});\n'
    )
    assert called(found)["body"] == "late\n"


async def test_h44_a_hold_is_answered_by_a_publication(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    async with await RawClient.connect(app.proxy_address) as other:
        await hold(app, client, backend, "/poll?callback=cb", grip_response("h44p"))
        await hold(app, other, backend, "/basic?callback=other", grip_response("h44p"))
        await publish(app, response_item("h44p", "[1]\n", code=202, headers={"X-New": "2"}))
        read = called(await client.response())
        assert (read["code"], read["reason"], read["body"]) == (202, "Accepted", "[1]\n")
        assert read["headers"] == {"Content-Type": "text/plain", "X-New": "2"}
        assert (await other.response()).body == b"/**/other([1]);\n"
        assert (await client.fetch("/next")).body == b"hello\n"


async def test_h44_a_publication_that_cannot_be_a_script_is_a_500(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    before = (await app.counters())["jsonp_failures"]
    await hold(app, client, backend, "/poll?callback=cb", grip_response("h44b"))
    item = {"channel": "h44b", "formats": {"http-response": {"body-bin": "/w=="}}}
    await publish(app, item)
    found = await client.response()
    assert (found.status, found.body) == (500, b"Upstream response could not be JSON-P encoded.\n")
    assert (await app.counters())["jsonp_failures"] == before + 1


async def test_h44_a_retry_is_of_the_request_that_was_meant(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    path = "/again?callback=cb&_method=POST&_body=payload"
    await hold(app, client, backend, path, grip_response("h44r"))
    first = await backend.request()
    backend.answers("/again", text(b"fresh\n"))
    await publish(app, hint_item("h44r"))
    assert called(await client.response())["body"] == "fresh\n"
    again = await backend.request()
    for request in (first, again):
        assert (request.method, request.target, request.body) == (b"POST", b"/again", b"payload")


async def test_h44_a_stream_cannot_be_a_script(app: AppProcess, client: RawClient, backend: ScriptedBackend) -> None:
    before = (await app.counters())["instructs_refused"]
    for script in (grip_stream("h44s", body=b"open"), text(b"", headers=[(b"Grip-Link", b"</next>; rel=next")])):
        backend.answers("/debug", script)
        found = called(await client.fetch("/debug?callback=cb"))
        assert found["code"] == 502
        assert found["body"] == "Failed to parse accept instructions: a stream cannot be had by JSON-P\n"
    assert (await app.counters())["instructs_refused"] == before + 2
    assert (await app.counters())["sessions_stream"] == 0


async def test_h44_answers_with_an_instruct_and_no_hold(client: RawClient, backend: ScriptedBackend) -> None:
    backend.answers("/instruct", grip_instruct({"response": {"code": 201, "body": "made\n"}}))
    backend.answers("/status", text(b"body", headers=[(b"Grip-Status", b"203")]))
    backend.answers("/nogrip", text(b"body", headers=[(b"Grip-Status", b"203")]))
    made = called(await client.fetch("/instruct?callback=cb"))
    assert (made["code"], made["body"]) == (201, "made\n")
    assert called(await client.fetch("/status?callback=cb"))["code"] == 203
    passed = called(await client.fetch("/nogrip?callback=cb"))
    assert (passed["code"], passed["headers"]["Grip-Status"]) == (200, "203")


async def test_h44_the_log_has_the_request_that_was_meant(app: AppProcess, client: RawClient) -> None:
    """A query may hold a password: in `_headers`, or in the body."""
    secret = quote(json.dumps({"Authorization": "secret"}))
    await client.fetch(f"/logged?a=b&callback=cb&_method=PUT&_headers={secret}&_body=secret")
    assert "PUT http://example.com/logged?a=b " in await app.log_line("/logged")
    assert not app.log_lines("secret")
