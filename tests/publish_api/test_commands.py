from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from handlers.counters import Counters
from handlers.protocol.items import HttpResponseFormat, HttpStreamFormat, Item, WsMessageFormat
from handlers.protocol.names import Channel
from publish_api.commands import add_publish_command, run_publish
from publish_api.settings import PublishSettings
from publish_api.zeromq.server import ZeroMQServer
from publish_api.zeromq.settings import ZeroMQSettings
from tests.support.clock import ManualClock
from tests.support.publish_port import ListSink, PublishPort, publish_port
from tests.support.turns import until

ITEM = Item(
    channel=Channel("c"),
    http_response=HttpResponseFormat(body=b"x\n"),
    http_stream=HttpStreamFormat(content=b"x\n"),
    ws_message=WsMessageFormat(content=b"x"),
)


def publish(*words: str, environ: Mapping[str, str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    add_publish_command(parser.add_subparsers())
    return run_publish(parser.parse_args(["publish", *words]), environ or {})


async def publish_to(port: PublishPort, *words: str) -> int:
    return await asyncio.to_thread(publish, *words, f"--spec={port.url}")


async def test_an_item_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    async with publish_port() as port:
        status = await publish_to(port, "c", "x")
        assert port.sink.items == [ITEM]

    assert (status, *capsys.readouterr()) == (0, "Published\n", "")


async def test_grip_url_says_where_to_and_spec_wins_over_it() -> None:
    async with publish_port() as port, publish_port() as other:
        environ = {"GRIP_URL": f"{port.url}/"}
        assert await asyncio.to_thread(publish, "c", "x", environ=environ) == 0
        assert await asyncio.to_thread(publish, "c", "x", f"--spec={other.url}", environ=environ) == 0
        assert (port.sink.items, other.sink.items) == ([ITEM], [ITEM])


@pytest.mark.parametrize(
    ("words", "query", "status"),
    [
        (("-B", "t"), "", 0),
        ((), "?key=t", 0),
        ((), "?iss=me&key=" + "k" * 32, 0),
        ((), "", 1),
        (("-B", "wrong"), "?key=t", 1),
        (("-u", "t:t"), "", 1),
    ],
)
async def test_credentials_open_a_port_that_asks_for_them(words: tuple[str, ...], query: str, status: int) -> None:
    async with publish_port(PublishSettings(token="t", jwt_key="k" * 32)) as port:
        assert await asyncio.to_thread(publish, "c", "x", *words, f"--spec={port.url}{query}") == status
        assert bool(port.sink.items) == (status == 0)


async def test_what_the_port_answers_is_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    async with publish_port(PublishSettings(token="t")) as port:
        assert await publish_to(port, "c", "x") == 1

    assert tuple(capsys.readouterr()) == ("", "Error: Authorization required.\n")


async def test_another_server_s_answer_without_a_text_is_told_by_its_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.to_thread(publish, "c", "x", f"--spec=http://127.0.0.1:{port}") == 1

    assert tuple(capsys.readouterr()) == ("", "Error: the server answered 302\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("c",), "must specify content"),
        (("c", "x", "--spec=ipc://x", "-B", "t"), "ZeroMQ knows no credentials: leave -u and -B out"),
        (("c", "--spec=ipc://x"), "must specify content"),
        (
            ("c", "x", "--spec=ipc://x", "--code=100"),
            "Invalid format: 'http-response' contains 'code' with invalid value",
        ),
        (("c", "x", "--spec=http://example.com", "-B", "t"), "Authentication requires https"),
        # What the port would refuse is not sent at all: nothing listens here.
        (("c", "x", "--code=100"), "Invalid format: 'http-response' contains 'code' with invalid value"),
        (("c", "x", "-H", "a b: c"), "Invalid format: header contains name element with invalid value"),
    ],
)
def test_what_cannot_be_sent_is_told(words: tuple[str, ...], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(*words, environ={"GRIP_URL": "http://127.0.0.1:1"}) == 1
    assert tuple(capsys.readouterr()) == ("", f"Error: {error}\n")


def test_a_port_that_is_not_there_is_told_with_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert publish("c", "x", "--spec=http://127.0.0.1:1") == 1

    out, error = capsys.readouterr()
    assert out == ""
    assert error == (
        "Error: cannot connect to the publish port at http://127.0.0.1:1/: Connection refused; "
        "--spec or GRIP_URL says where it is\n"
    )


@pytest.mark.parametrize("by", ["option", "variable"])
async def test_an_item_goes_by_zeromq_to_an_endpoint(by: str, tmp_path: Path) -> None:
    spec = f"ipc://{tmp_path}/pull"
    sink = ListSink()
    server = ZeroMQServer(ZeroMQSettings(pull=spec), sink, counters=Counters(), clock=ManualClock())
    server.open()
    server.begin()
    try:
        words = ("c", "x") if by == "variable" else ("c", "x", f"--spec={spec}")
        environ = {"GRIP_URL": spec if by == "variable" else "http://127.0.0.1:1"}
        assert await asyncio.to_thread(publish, *words, environ=environ) == 0
        await until(lambda: bool(sink.items))
    finally:
        server.close()
    assert sink.items == [ITEM]


@pytest.mark.parametrize("words", [(), ("c", "x", "--hint", "--close"), ("c", "x", "-u", "a:b", "-B", "t")])
def test_arguments_that_contradict_each_other_are_a_usage_error(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        publish(*words)
