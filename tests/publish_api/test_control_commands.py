from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping

import pytest

from handlers.protocol.hold_id import HoldId
from handlers.protocol.survey import (
    ChannelRow,
    CloseConnection,
    ConnectionRow,
    Findings,
    Kind,
    ListChannels,
    ListConnections,
)
from publish_api.control_commands import add_control_commands, columns, run_control
from publish_api.settings import PublishSettings
from tests.support.publish_port import PublishPort, publish_port
from tests.support.surveying import ScriptedSurveyor, connection

CONNECTION = ConnectionRow(
    HoldId(1_000_000_000_000, 1), "ws-id", Kind.WS, "grip", "::1", "r", "http://a/b", ("news", "x")
)
ONE = Findings(channels=(ChannelRow("news", 1, 2, 3),), connections=(CONNECTION,))


def run(*words: str, environ: Mapping[str, str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    add_control_commands(parser.add_subparsers(dest="command"))
    return run_control(parser.parse_args(words), environ or {})


async def run_on(port: PublishPort, *words: str) -> int:
    return await asyncio.to_thread(run, *words, f"--spec={port.url}")


@pytest.mark.parametrize(
    ("words", "printed", "question"),
    [
        (["channels"], "1\t2\t3\tnews\n", ListChannels(limit=1001)),
        (["channels", "--prefix", "n/ü"], "1\t2\t3\tnews\n", ListChannels(prefix="n/ü", limit=1001)),
        (
            ["connections"],
            "ws-id\tws\t::1\t1970-01-12T13:46:40Z\thttp://a/b\tnews x\n",
            ListConnections(limit=1001),
        ),
        (
            ["connections", "--channel=news", "--kind=ws"],
            "ws-id\tws\t::1\t1970-01-12T13:46:40Z\thttp://a/b\tnews x\n",
            ListConnections("news", Kind.WS, limit=1001),
        ),
        (["disconnect", "ws-id"], "Closed\n", CloseConnection("ws-id")),
        (["disconnect", "a/b", "--code=4000", "--reason=b y"], "Closed\n", CloseConnection("a/b", 4000, "b y")),
    ],
)
async def test_a_command_asks_and_prints(
    words: list[str], printed: str, question: object, capsys: pytest.CaptureFixture[str]
) -> None:
    surveyor = ScriptedSurveyor(ONE)
    async with publish_port(surveyor=surveyor) as port:
        status = await run_on(port, *words)
    assert (status, *capsys.readouterr()) == (0, printed, "")
    assert surveyor.asked == [question]


async def test_json_has_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    async with publish_port(surveyor=ScriptedSurveyor(ONE)) as port:
        assert await run_on(port, "channels", "--json") == 0
        assert await run_on(port, "connections", "--json") == 0
    channel, held = map(json.loads, capsys.readouterr().out.splitlines())
    assert channel == {"channel": "news", "subscribers": {"stream": 1, "response": 2, "ws": 3}}
    assert (held["id"], held["route"], held["topics"]) == ("ws-id", "r", [])


class Paged(ScriptedSurveyor):
    """Has 2500 connections."""

    def ask(self, question: object) -> asyncio.Future[Findings]:
        assert isinstance(question, ListConnections)
        begin = question.after.stamp + 1
        rows = range(begin, min(2501, begin + question.limit))
        self.found = Findings(connections=tuple(connection(str(number), number) for number in rows))
        return super().ask(question)


async def test_all_pages_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    surveyor = Paged()
    async with publish_port(surveyor=surveyor) as port:
        assert await run_on(port, "connections") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(number) for number in range(1, 2501)]
    assert len(surveyor.asked) == 3


async def test_what_is_refused_is_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    async with publish_port(PublishSettings(token="t"), surveyor=ScriptedSurveyor()) as port:
        assert await run_on(port, "channels") == 1
        assert await run_on(port, "disconnect", "x", "-B", "t") == 1
        assert await run_on(port, "connections", "--kind=x", "-B", "t") == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: Authorization required.",
        "Error: No such connection.",
        "Error: kind must be stream, response or ws.",
    ]


async def test_another_server_s_answer_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.to_thread(run, "channels", environ={"GRIP_URL": f"http://127.0.0.1:{port}"}) == 1
    assert capsys.readouterr().err.startswith("Error: the answer is not what a publish port says: ")


def test_nothing_in_a_column_is_obeyed_by_a_terminal() -> None:
    assert columns("a\tb", "c\x1b[2J\n", 5) == "a\\tb\tc\\x1b[2J\\n\t5"
