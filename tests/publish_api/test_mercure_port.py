"""The hub on the publish port: what differs there from the clients' port, and how the hub says it is doing (4.3)."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator

import pytest

from proxy.app import App
from tests.proxy.in_process import clock_of
from tests.support.client import RawClient, encode_request
from tests.support.hub_site import (
    FORM,
    HOST,
    HUB,
    MIXED,
    SECURITY,
    STRICT,
    ask,
    bearer,
    hub,
    old_publisher,
    post,
    publisher,
    subscribed,
)
from tests.support.publisher import publish as publish_items
from tests.support.publisher import stream_item

READY, LIVE = "/mercure/health/ready", "/mercure/health/live"
JSON = "application/json"


@pytest.fixture
async def app() -> AsyncGenerator[App]:
    async with hub(*MIXED, "mercure.anonymous=true") as app:
        yield app


# -- beside items ---------------------------------------------------------------------------------------------------


async def test_items_and_updates_come_in_on_one_port(app: App) -> None:
    await publish_items(app, stream_item("room", "x"))
    assert (await post(app.publish_address, "topic=a", token=old_publisher("*"))).status == 200


async def test_the_credentials_of_items_do_not_publish_updates() -> None:
    async with hub(*MIXED, "publish.token=the secret of who publishes items") as app:
        answer = await post(app.publish_address, "topic=a", token="the secret of who publishes items")
        assert answer.status == 400  # too short for a token, as the clients' port has it
        assert (await post(app.publish_address, "topic=a", token=publisher())).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "QUERY", "OPTIONS"])
async def test_the_publish_port_has_no_subscribers(app: App, method: str) -> None:
    answer = await ask(app.publish_address, f"{HUB}?match=a", method=method, body=b"")
    assert (answer.status, answer.body) == (405, b"")
    assert answer.values(b"allow") == (b"POST",)


async def test_without_a_hub_its_path_is_unknown() -> None:
    async with hub() as app:
        for target in (HUB, READY):
            answer = await ask(app.publish_address, target, method="POST", body=b"topic=a")
            assert (answer.status, answer.body) == (404, b"Not Found\n")


async def test_the_hub_may_be_elsewhere() -> None:
    async with hub(*MIXED, "mercure.path=/updates") as app:
        found = await post(app.publish_address, "topic=a", token=old_publisher("*"), target="/updates?x=1")
        assert found.status == 200
        assert (await post(app.publish_address, "topic=a", token=old_publisher("*"))).status == 404


async def test_o06_answers_have_the_hubs_security_headers(app: App) -> None:
    for answer in (
        await post(app.publish_address, "topic=a", token=publisher()),
        await post(app.publish_address, "topic=*", token=publisher()),
        await post(app.publish_address, "topic=a"),
        await ask(app.publish_address, HUB),
    ):
        assert set(SECURITY) < set(answer.head.headers), answer


async def test_a_refusal_has_the_number_under_which_the_log_has_the_reason(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    token = publisher("only this")
    answer = await post(app.publish_address, "topic=a", token=token)
    [number] = answer.values(b"x-request-id")
    [line] = [record.getMessage() for record in caplog.records if number.decode() in record.getMessage()]
    assert line.endswith("tester: the token does not allow to publish to a")
    assert "POST /.well-known/mercure (publish port)" in line


async def test_no_line_of_the_log_has_a_token(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "holdfast")
    token = old_publisher("*")
    good = await post(app.publish_address, "topic=a", target=f"{HUB}?authorization={token}&x=1")
    bad = await post(app.publish_address, "topic=a", target=f"{HUB}?%61uthorization={token}x")
    assert (good.status, bad.status) == (200, 401)
    assert "control: POST /.well-known/mercure?authorization=...&x=1 code=200" in caplog.text
    assert token.rpartition(".")[2] not in caplog.text


# -- lists ----------------------------------------------------------------------------------------------------------


async def test_a_list_is_published_in_its_order_and_answered_with_its_ids(app: App) -> None:
    body = json.dumps([{"topic": "a", "id": "1"}, {"topic": ["b", "a"], "data": "x"}, {"topic": "a", "id": "3"}])
    async with subscribed(app, "match=a") as stream:
        for door in (app.publish_address, app.proxy_addresses[0]):
            answer = await post(door, body, token=publisher(), content_type=JSON)
            assert (answer.status, answer.values(b"content-type")) == (200, (b"application/json",))
            first, generated, last = json.loads(answer.body)
            assert (first, last) == ("1", "3")
            assert generated.startswith("urn:uuid:")
            assert [await stream.event() for _ in range(3)] == [
                b"id: 1\ndata: ",
                f"id: {generated}\ndata: x".encode(),
                b"id: 3\ndata: ",
            ]


async def test_one_object_is_answered_as_a_form_is(app: App) -> None:
    answer = await post(app.publish_address, '{"topic": "a", "id": "1"}', token=publisher(), content_type=JSON)
    assert (answer.status, answer.body) == (200, b"1")
    assert answer.values(b"content-type") == (b"text/plain; charset=utf-8",)
    many = await post(app.publish_address, ' [{"topic": "a", "id": "1"}]', token=publisher(), content_type=JSON)
    assert (many.status, many.body) == (200, b'["1"]')


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ('[{"topic": "a"}, {"topic": "a", "id": "#"}]', 400, '"id" field contains a forbidden control character'),
        ('[{"topic": "a"}, {"topic": "b"}]', 403, "Forbidden\n"),
        ('[{"topic": "a"}, 5]', 400, "an update must be a JSON object\n"),
        ("[]", 400, "the list of updates is empty\n"),
        ('[{"topic": "a"},', 400, "Bad Request\n"),
        ("[" * 100_000, 400, "Bad Request\n"),
        (json.dumps([{"topic": "a"}] * 1001), 400, "too many updates in list (max 1000)\n"),
    ],
)
async def test_of_a_list_with_a_fault_nothing_is_published(app: App, body: str, status: int, text: str) -> None:
    async with subscribed(app, "match=*") as stream:
        answer = await post(app.publish_address, body, token=publisher("a"), content_type=JSON)
        assert answer.status == status
        assert answer.body.decode().startswith(text)
        assert (await post(app.publish_address, "topic=a&id=last", token=publisher("a"))).status == 200
        assert await stream.event() == b"id: last\ndata: "


# -- bodies ---------------------------------------------------------------------------------------------------------


async def test_p13_a_body_may_be_as_long_as_the_hub_says_and_not_as_items_may(app: App) -> None:
    fitting = b"topic=a&data=".ljust(1_048_576, b"x")
    assert (await post(app.publish_address, fitting, token=publisher())).status == 200
    keeping = (("Connection", "keep-alive"), ("Content-Type", FORM), bearer(publisher()))
    async with await RawClient.connect(app.publish_address) as client:
        request = encode_request(HUB, method="POST", host=HOST, headers=keeping, body=fitting + b"x")
        await client.send_as_far_as_taken(request)
        answer = await client.response(method="POST")
        assert (answer.status, answer.body) == (413, b"Request Entity Too Large\n")
        assert answer.values(b"connection") == (b"close",)
        assert await client.until_cut() == b""


async def test_a_publisher_without_a_token_is_told_so_before_its_body_is_too_large(app: App) -> None:
    head = encode_request(HUB, method="POST", host=HOST, headers=(("Content-Length", "2000000"),))
    async with await RawClient.connect(app.publish_address) as client:
        await client.send(head)
        assert (await client.response(method="POST")).status == 401


async def test_a_body_that_does_not_come_is_given_up(app: App) -> None:
    headers = (bearer(publisher()), ("Content-Type", FORM), ("Content-Length", "7"), ("Expect", "100-continue"))
    async with await RawClient.connect(app.publish_address) as client:
        await client.send(encode_request(HUB, method="POST", host=HOST, headers=headers))
        assert (await client.head()).status == 100
        await client.send(b"topic")
        clock_of(app).advance(30)
        assert (await client.response(method="POST")).status == 408


# -- the audience ---------------------------------------------------------------------------------------------------


async def test_a27_a_host_that_is_not_public_chooses_no_audience() -> None:
    settings = (*STRICT, "mercure.public_urls=https://hub.example,http://second.example")
    async with hub(*settings) as app:
        public = publisher(aud="https://hub.example/.well-known/mercure")
        other = publisher(aud="http://127.0.0.1/.well-known/mercure")
        second = publisher(aud="http://second.example/.well-known/mercure")
        statuses = [
            (await post(app.publish_address, "topic=a", token=token, host=host)).status
            for token, host in ((public, "127.0.0.1"), (other, "127.0.0.1"), (second, "second.example"))
        ]
        assert statuses == [200, 401, 200]
        refused = await post(app.publish_address, "topic=a", host="127.0.0.1")
        assert refused.values(b"www-authenticate")[0].startswith(
            b'Bearer resource_metadata="https://hub.example/.well-known/'
        )


async def test_the_audience_is_the_host_where_nothing_else_is_set(app: App) -> None:
    token = publisher(aud="http://127.0.0.1:5561/.well-known/mercure")
    assert (await post(app.publish_address, "topic=a", token=token, host="127.0.0.1:5561")).status == 200
    assert (await post(app.publish_address, "topic=a", token=token)).status == 401


@pytest.mark.parametrize("host", [b"\xff", b'a"b\\', b"\xc3\xa9:x", b"[", b""])
async def test_no_host_is_too_odd_to_be_refused_in_good_order(app: App, host: bytes) -> None:
    async with await RawClient.connect(app.publish_address) as client:
        await client.send(b"POST /.well-known/mercure?\xff HTTP/1.1\r\nHost: %b\r\nContent-Length: 0\r\n\r\n" % host)
        assert (await client.response(method="POST")).status in (400, 401)


# -- health ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [READY, LIVE, f"{LIVE}?x=1"])
async def test_o08_a_healthy_hub_says_so(app: App, target: str) -> None:
    answer = await ask(app.publish_address, target)
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    assert answer.values(b"content-type") == (b"application/json",)


async def test_o08_other_methods_and_hubs_are_refused(app: App) -> None:
    refused = await ask(app.publish_address, READY, method="POST", body=b"")
    assert (refused.status, refused.body) == (405, b"")
    for target in ("/mercure/health/", "/mercure/health/other/ready", f"{READY}/"):
        unknown = await ask(app.publish_address, target)
        assert (unknown.status, unknown.body) == (404, b"Not Found\n")


async def test_o08_health_is_not_for_clients(app: App) -> None:
    answer = await ask(app.proxy_addresses[0], READY)
    assert answer.body == b"no such test resource\n"  # the built-in target, as for any path that is not the hub's
