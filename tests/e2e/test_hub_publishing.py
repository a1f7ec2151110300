"""Publishing to the hub: bodies, publishers that leave, a disk that fails, and the dialects before 1.0."""

from __future__ import annotations

import asyncio
import re
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.app import App
from tests.support.app_process import AppProcess
from tests.support.client import RawClient, encode_request
from tests.support.hub_site import (
    FORM,
    HOST,
    HUB,
    MIXED,
    STRICT,
    STRICT_7,
    STRICT_8,
    STRICT_2019,
    ask,
    bearer,
    hub,
    old_publisher,
    old_subscriber,
    post,
    publisher,
    subscribed,
    subscriber,
)
from tests.support.turns import settle

pytestmark = pytest.mark.asyncio(loop_scope="module")

Address = tuple[str, int]

OPEN = (*STRICT, "mercure.anonymous=true")
HEADERS = (bearer(publisher()), ("Content-Type", FORM))
BARE_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def clients_port(app: App) -> Address:
    return app.proxy_addresses[0]


def publish_port(app: App) -> Address:
    return app.publish_address


DOORS = pytest.mark.parametrize("door", [clients_port, publish_port])
Door = Callable[[App], Address]


# -- bodies ---------------------------------------------------------------------------------------------------------


async def test_p13_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_closes_the_connection() -> None:
    async with hub(*OPEN) as app, await RawClient.connect(clients_port(app)) as client:
        fitting = b"topic=a&data=".ljust(1_048_576, b"x")
        answer = await client.fetch(HUB, method="POST", host=HOST, headers=HEADERS, body=fitting)
        assert answer.status == 200
        request = encode_request(HUB, method="POST", host=HOST, headers=HEADERS, body=fitting + b"x")
        await client.send_as_far_as_taken(request)
        answer = await client.response(method="POST")
        assert (answer.status, answer.body) == (413, b"Request Entity Too Large\n")
        assert answer.values(b"connection") == (b"close",)
        assert await client.until_cut() == b""


async def test_p13_a_body_of_unknown_length_is_cut_off_at_the_limit() -> None:
    async with hub(*OPEN, "mercure.body_limit=1024") as app, await RawClient.connect(clients_port(app)) as client:
        chunked = (*HEADERS, ("Transfer-Encoding", "chunked"))
        head = encode_request(HUB, method="POST", host=HOST, headers=chunked)
        fitting = b"topic=a&data=".ljust(1024, b"x")
        await client.send(head + b"400\r\n%b\r\n0\r\n\r\n" % fitting)
        assert (await client.response()).status == 200
        await client.send(head + b"400\r\n%b\r\n1\r\nx\r\n" % fitting)
        answer = await client.response()
        assert (answer.status, answer.values(b"connection")) == (413, (b"close",))


async def test_p13_the_limit_is_a_setting_and_a_client_that_waits_to_send_is_told_at_once() -> None:
    async with hub(*OPEN, "mercure.body_limit=1024") as app, await RawClient.connect(clients_port(app)) as client:
        waiting = (*HEADERS, ("Expect", "100-continue"), ("Content-Length", "1025"))
        await client.send(encode_request(HUB, method="POST", host=HOST, headers=waiting))
        answer = await client.response()
        assert (answer.status, answer.values(b"connection")) == (413, (b"close",))


async def test_a_client_that_waits_to_send_is_told_to_or_refused_first() -> None:
    async with hub(*OPEN) as app:
        for headers, status in ((HEADERS, 100), (HEADERS[1:], 401)):
            async with await RawClient.connect(clients_port(app)) as client:
                waiting = (*headers, ("Expect", "100-continue"), ("Content-Length", "7"))
                await client.send(encode_request(HUB, method="POST", host=HOST, headers=waiting))
                assert (await client.head()).status == status
                if status == 100:
                    await client.send(b"topic=a")
                    assert (await client.response()).status == 200


# -- publishers that leave ------------------------------------------------------------------------------------------


def send_and_close(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.close()


def send_with_the_end(connection: socket.socket, data: bytes) -> None:
    """Have the last bytes and the FIN leave in one packet."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    connection.close()


LEAVING = pytest.mark.parametrize("leave", [send_and_close, send_with_the_end])
Leave = Callable[[socket.socket, bytes], None]


@LEAVING
@DOORS
@pytest.mark.parametrize("keeps", [False, True], ids=["no history", "history"])
async def test_p23_what_a_publisher_has_sent_is_delivered_though_it_is_gone(
    door: Door, leave: Leave, keeps: bool, tmp_path: Path
) -> None:
    settings = (*OPEN, f"mercure.history={tmp_path / 'updates.db'}") if keeps else OPEN
    async with hub(*settings) as app, subscribed(app, "match=a") as stream:
        request = encode_request(HUB, method="POST", host=HOST, headers=HEADERS, body=b"topic=a&id=1")
        leave(socket.create_connection(door(app)), request)
        assert await stream.event() == b"id: 1\ndata: "


@LEAVING
@DOORS
async def test_p23_so_is_a_body_that_comes_together_with_the_end(door: Door, leave: Leave) -> None:
    async with hub(*OPEN) as app, subscribed(app, "match=a") as stream:
        connection = socket.create_connection(door(app))
        connection.sendall(encode_request(HUB, method="POST", host=HOST, headers=(*HEADERS, ("Content-Length", "12"))))
        await settle()
        leave(connection, b"topic=a&id=1")
        assert await stream.event() == b"id: 1\ndata: "


@LEAVING
@pytest.mark.parametrize("chunk", [0, 100_000, 1000, 1])
async def test_p23_so_is_a_long_body(leave: Leave, chunk: int) -> None:
    """With chunks of `chunk` bytes; the clients' port alone takes chunks."""
    body = b"topic=a&id=1&data=".ljust(100_000 if chunk else 1_000_000, b"x")
    if chunk:
        chunks = (body[start : start + chunk] for start in range(0, len(body), chunk))
        spelled = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in chunks) + b"0\r\n\r\n"
        headers = (*HEADERS, ("Transfer-Encoding", "chunked"))
        request = encode_request(HUB, method="POST", host=HOST, headers=headers) + spelled
    else:
        request = encode_request(HUB, method="POST", host=HOST, headers=HEADERS, body=body)
    async with hub(*OPEN) as app, subscribed(app, "match=a") as stream:
        connection = socket.create_connection(clients_port(app))
        await asyncio.to_thread(leave, connection, request)
        assert (await stream.event()).startswith(b"id: 1\ndata: xxx")


@DOORS
async def test_p23_a_publisher_that_only_stops_sending_is_served_and_on_the_publish_port_answered(door: Door) -> None:
    """To the clients' port it has left, as everybody has who closes his half; what is done at once is answered."""
    async with hub(*OPEN) as app, await RawClient.connect(door(app)) as client, subscribed(app, "match=a") as stream:
        await client.send(encode_request(HUB, method="POST", host=HOST, headers=HEADERS, body=b"topic=a&id=1"))
        client.half_close()
        answer = await client.until_closed()
        assert answer.endswith(b"\r\n\r\n1") or (door is clients_port and not answer)
        assert await stream.event() == b"id: 1\ndata: "


@DOORS
@pytest.mark.parametrize("body", [b"", b"topic=a&id=1"[:-1]])
async def test_what_a_publisher_has_not_sent_to_its_end_is_not_delivered(door: Door, body: bytes) -> None:
    async with hub(*OPEN) as app, subscribed(app, "match=*") as stream:
        head = encode_request(HUB, method="POST", host=HOST, headers=(*HEADERS, ("Content-Length", "12")))
        send_with_the_end(socket.create_connection(door(app)), head + body)
        await settle()
        assert (await post(clients_port(app), "topic=a&id=last", token=publisher())).status == 200
        assert await stream.event() == b"id: last\ndata: "


# -- a disk that fails ----------------------------------------------------------------------------------------------


async def test_p28_o08_what_cannot_be_stored_is_not_delivered_and_the_hub_is_not_ready_until_it_stores_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "updates.db"
    async with AppProcess("* test", settings=(*OPEN, f"mercure.history={file}")) as app:
        clients = app.proxy_address
        async with await RawClient.connect(clients) as client:
            await client.send_request(f"{HUB}?match=*", host=HOST)
            await client.read_until(b":\n")
            assert (await post(clients, "topic=a&id=before", token=publisher())).status == 200
            assert b"id: before\n" in await client.read_until(b"data: \n\n")
            let_files_grow_to(app, 0)
            for door in (clients, app.publish_address):
                refused = await post(door, "topic=a&id=lost", token=publisher())
                assert (refused.status, refused.body) == (500, b"Internal Server Error\n")
                [number] = refused.values(b"x-request-id")
                await app.log_line(f"request id {number.decode()}: not stored: ")
            ready = await ask(app.publish_address, "/mercure/health/ready")
            assert (ready.status, ready.body) == (503, b'{"status":"error","error":"transport health check failed"}')
            assert ready.values(b"content-type") == (b"application/json",)
            assert (await ask(app.publish_address, "/mercure/health/live")).status == 200
            let_files_grow_to(app, resource.RLIM_INFINITY)
            assert (await post(clients, "topic=a&id=after", token=publisher())).status == 200
            assert (await ask(app.publish_address, "/mercure/health/ready")).status == 200
            told = await client.read_until(b"data: \n\n")
            assert b"id: after\n" in told
            assert b"lost" not in told
        assert (await app.counters())["mercure_storage_failures"] == 2


def let_files_grow_to(app: AppProcess, size: int) -> None:
    """Have every write fail that would make a file of the app's longer; Python ignores the signal of it."""
    resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


# -- the dialects before 1.0 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "granted", "fields", "status"),
    [
        pytest.param(STRICT_7, ("a",), "topic=b", 200, id="p18 public update in 7"),
        pytest.param(STRICT_7, (), "topic=b", 200, id="p18 with an empty grant in 7"),
        pytest.param(STRICT_7, ("a",), "topic=b&private=on", 401, id="p18 private update in 7"),
        pytest.param(STRICT_8, ("a",), "topic=b", 401, id="p19 public update in 8"),
        pytest.param(STRICT_8, (), "topic=a", 401, id="p19 with an empty grant in 8"),
        pytest.param(STRICT_8, ("{x}",), "topic=b", 200, id="p19 template"),
        pytest.param(STRICT_8, ("*",), "topic=b&topic=c", 200, id="p19 wildcard"),
        pytest.param(MIXED, ("a",), "topic=b", 403, id="p19 beside 1.0"),
        pytest.param((*MIXED, "mercure.legacy_status=true"), ("a",), "topic=b", 401, id="p19 with legacy_status"),
    ],
)
async def test_p18_p19_what_a_token_before_1_0_lets_its_bearer_publish(
    settings: tuple[str, ...], granted: tuple[str, ...], fields: str, status: int
) -> None:
    async with hub(*settings) as app:
        for door in (clients_port(app), publish_port(app)):
            answer = await post(door, fields, token=old_publisher(*granted))
            assert answer.status == status
            if status == 401:
                assert answer.body == b"Unauthorized\n"
                assert answer.values(b"www-authenticate") == ()


@pytest.mark.parametrize("settings", [STRICT_8, STRICT_7, STRICT_2019, MIXED])
async def test_a_token_that_says_nothing_of_publishing_publishes_nothing(settings: tuple[str, ...]) -> None:
    async with hub(*settings) as app:
        for token in (old_subscriber("*", key="publishers before 1.0 sign with this key"),):
            assert (await post(clients_port(app), "topic=a&data=x", token=token)).status == 401


@pytest.mark.parametrize("settings", [STRICT_8, STRICT_7, MIXED])
async def test_p01_p02_ids_before_1_0(settings: tuple[str, ...]) -> None:
    async with hub(*settings) as app:
        answer = await post(clients_port(app), "topic=a", token=old_publisher("*"))
        assert answer.body.startswith(b"urn:uuid:")
        assert answer.values(b"content-type") == (b"text/plain; charset=utf-8",)
        answer = await post(clients_port(app), "topic=a&id=my+id+%C3%A9%22x", token=old_publisher("*"))
        assert answer.body.decode() == 'my id é"x'
        assert (await post(clients_port(app), "topic=a&id=%231", token=old_publisher("*"))).status == 400


async def test_ids_with_a_fragment_are_accepted_from_old_publishers_where_that_is_set() -> None:
    async with hub(*MIXED, "mercure.relaxed_ids=true") as app:
        assert (await post(clients_port(app), "topic=a&id=%231", token=old_publisher("*"))).body == b"#1"
        assert (await post(clients_port(app), "topic=a&id=%231", token=publisher("*"))).status == 400


# -- 2019 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/hub", HUB])
@pytest.mark.parametrize(
    ("granted", "fields", "status", "text"),
    [
        pytest.param((), "topic=a&data=x", 200, None, id="p27 public"),
        pytest.param(("t",), "topic=a&data=x&target=t", 200, None, id="p27 granted target"),
        pytest.param(("*",), "topic=a&data=x&target=t&target=u", 200, None, id="p27 any target"),
        pytest.param(("t",), "topic=a&data=x&target=t&target=u", 401, "Unauthorized\n", id="p26 one unlisted target"),
        pytest.param((), "topic=a&data=x&target=t", 401, "Unauthorized\n", id="p26 no target granted"),
        pytest.param(("*",), "topic=a", 400, 'Missing "data" parameter\n', id="p25 no data"),
        pytest.param(("*",), "topic=a&data=", 400, 'Missing "data" parameter\n', id="p25 empty data"),
        pytest.param(("*",), "data=x", 400, 'Missing "topic" parameter\n', id="no topic"),
        pytest.param(("*",), "topic=a&data=x&retry=x", 400, 'Invalid "retry" parameter\n', id="retry"),
        pytest.param((), "topic=a&data=x&target=t&retry=x", 401, "Unauthorized\n", id="targets come before retry"),
    ],
)
async def test_p25_p26_p27_publishing_in_2019(
    path: str, granted: tuple[str, ...], fields: str, status: int, text: str | None
) -> None:
    async with hub(*STRICT_2019) as app:
        answer = await post(clients_port(app), fields, token=old_publisher(*granted), target=path)
        assert answer.status == status
        if text is None:
            assert BARE_UUID.fullmatch(answer.body)
        else:
            assert answer.body.decode() == text
        assert answer.values(b"www-authenticate") == ()


async def test_p27_a_publishers_own_id_is_its_own() -> None:
    async with hub(*STRICT_2019) as app:
        assert (await post(clients_port(app), "topic=a&data=x&id=7", token=old_publisher(), target="/hub")).body == b"7"


async def test_where_2019_is_not_spoken_its_path_is_not_the_hubs_and_its_targets_are_unknown_fields() -> None:
    async with hub(*MIXED, "mercure.anonymous=true") as app, subscribed(app, "topic=a") as stream:
        answer = await post(clients_port(app), "topic=a&data=x", token=old_publisher("*"), target="/hub")
        assert answer.body == b"no such test resource\n"  # the built-in target
        answer = await post(clients_port(app), "topic=a&data=x&id=1&target=t", token=old_publisher("*"))
        assert answer.status == 200
        assert await stream.event() == b"id: 1\ndata: x"


# -- many at once ---------------------------------------------------------------------------------------------------


async def test_updates_of_many_publishers_reach_all_subscribers_in_one_order(tmp_path: Path) -> None:
    async with (
        hub(*OPEN, f"mercure.history={tmp_path / 'updates.db'}") as app,
        subscribed(app, "match=a") as first,
        subscribed(app, "match=*", token=subscriber("*")) as second,
    ):
        doors = (clients_port(app), publish_port(app))
        answers = await asyncio.gather(
            *(post(doors[number % 2], {"topic": "a", "id": str(number)}, token=publisher()) for number in range(60))
        )
        assert sorted(int(answer.body) for answer in answers) == list(range(60))
        order = [await first.event() for _ in range(60)]
        assert [await second.event() for _ in range(60)] == order
