"""Holdfast in Pushpin's place: from Debian's own files, with the options of Pushpin's command line (rows O05, O06)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import zmq

from handlers.protocol.tnetstring import encode_tnetstring
from tests.e2e.holding import open_stream
from tests.support.answers import grip_stream
from tests.support.app_process import ConsoleProcess, console
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.debian_pushpin import CONF, FILES, debian_conf, free_instance
from tests.support.patience import bounded
from tests.support.publisher import publish, stream_item
from tests.support.zeromq import ZeroMQPeer, zeromq_peer

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = ("--set", "proxy.drain_timeout=0")


@pytest_asyncio.fixture(loop_scope="module")
async def peer() -> AsyncIterator[ZeroMQPeer]:
    """Whoever talks ZeroMQ to the app."""
    async with zeromq_peer() as peer:
        yield peer


def line(channel: str, content: str) -> bytes:
    """A line for streams, as publishers push it."""
    return encode_tnetstring({"channel": channel, "http-stream": {"content": content}})


def is_signed(token: bytes, key: bytes) -> bool:
    """Say whether this key has signed the token; PyJWT would warn of one so short."""
    signed, _, signature = token.rpartition(b".")
    made = base64.urlsafe_b64encode(hmac.digest(key, signed, hashlib.sha256)).rstrip(b"=")
    return hmac.compare_digest(made, signature)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(FILES / "pushpin.conf", id="values"),
        pytest.param(CONF, id="package", marks=pytest.mark.skipif(not CONF.exists(), reason="no Debian package here")),
    ],
)
async def test_it_runs_from_debians_files(
    source: Path, tmp_path: Path, backend: ScriptedBackend, peer: ZeroMQPeer
) -> None:
    """Publishing by HTTP and by ZeroMQ, commands, stats, and requests that are signed with the key of the file."""
    conf = debian_conf(tmp_path, source=source, routes=f"* {backend.address}")
    number = free_instance()
    first = 5560 + 10 * number
    arguments = ("--pushpin-conf", str(conf), "--id", str(number), "--port", "127.0.0.1:0", *QUICK)
    async with ConsoleProcess(*arguments) as app, await RawClient.connect(app.proxy_address) as client:
        assert app.publish_address == ("127.0.0.1", first + 1)
        await open_stream(client, backend, "/live", grip_stream("live", body=b"open\n"))
        (token,) = (await backend.request()).values(b"grip-sig")
        assert is_signed(token, b"changeme")
        assert await client.chunk() == b"open\n"

        await publish(app, stream_item("live", "by HTTP\n"))
        assert await client.chunk() == b"by HTTP\n"
        await peer.push(f"tcp://127.0.0.1:{first}", line("live", "by PUSH\n"))
        assert await client.chunk() == b"by PUSH\n"
        publisher = peer.socket(zmq.XPUB, f"tcp://127.0.0.1:{first + 2}")
        async with bounded():
            assert await publisher.recv() in {b"\x01live", b"\x01"}
            await publisher.send_multipart([b"live", line("live", "by PUB\n")])
        assert await client.chunk() == b"by PUB\n"
        reply = await peer.ask(f"tcp://127.0.0.1:{first + 3}", "get-zmq-uris")
        assert isinstance(reply, dict)
        assert reply["success"] is True
        assert (tmp_path / "run" / f"p{number}-stats").is_socket()

        app.signal(signal.SIGTERM)
        assert await app.exit_status() == 0
    (warning,) = app.log_lines(r"pushpin\.conf: ")
    assert "handler.message_rate and handler.message_hwm (deliveries have no limit" in warning
    assert "unknown" not in warning


async def test_its_test_target_answers(tmp_path: Path) -> None:
    """The routes as they are."""
    conf = debian_conf(tmp_path)
    arguments = ("--pushpin-conf", str(conf), "--id", str(free_instance()), "--port", "127.0.0.1:0", *QUICK)
    async with ConsoleProcess(*arguments) as app, await RawClient.connect(app.proxy_address) as client:
        answer = await client.fetch("/")
        assert (answer.status, answer.body) == (200, b"Hello from the Holdfast test handler!\n")


async def test_o06_port_replaces_every_listener_and_route_the_routes(tmp_path: Path, backend: ScriptedBackend) -> None:
    conf = debian_conf(tmp_path, routes="no routes at all")
    text = conf.read_text().replace("http_port=7999", "http_port=7999\nhttps_ports=7443\nlocal_ports={rundir}/clients")
    conf.write_text(text)
    arguments = ("--pushpin-conf", str(conf), "--id", str(free_instance()), "--port", "127.0.0.1:0", *QUICK)
    async with (
        ConsoleProcess(*arguments, "--route", f"* {backend.address}", "--merge-output", "--verbose") as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        assert (await client.fetch("/")).status == 200
        assert len(app.log_lines("listening for clients on [^,]*, for publishers")) == 1
        assert not (tmp_path / "run" / "clients").exists()


async def test_o08_a_client_beyond_client_maxconn_is_cut_and_counted(tmp_path: Path, backend: ScriptedBackend) -> None:
    conf = debian_conf(tmp_path, routes=f"* {backend.address}")
    conf.write_text(conf.read_text().replace("client_maxconn=50000", "client_maxconn=1"))
    arguments = ("--pushpin-conf", str(conf), "--id", str(free_instance()), "--port", "127.0.0.1:0", *QUICK)
    async with (
        ConsoleProcess(*arguments, environment={"HOLDFAST_PROXY_WORKERS": "1"}) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        assert (await client.fetch("/")).status == 200
        async with await RawClient.connect(app.proxy_address) as other:
            assert await other.until_cut() == b""
        assert await app.log_line("no room for another client: 1 are connected")
        assert (await client.fetch("/")).status == 200


async def test_o07_lines_go_to_a_log_file_from_the_level_on_that_is_asked_for(tmp_path: Path) -> None:
    """It ends at once, on a port that is taken, so that the file is whole."""
    conf, log = debian_conf(tmp_path), tmp_path / "pushpin.log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = ("--pushpin-conf", str(conf), "--port", "127.0.0.1:0", "--publish", where, "--logfile", str(log))
        status, _, errors = await console(*arguments, "--loglevel", "1,handler:0")
        assert (status, errors) == (1, f"holdfast: {where}: Address already in use\n")
        assert [line.partition(" ")[0] for line in log.read_text().splitlines()] == ["[WARN]"]
        await console(*arguments)
    assert "[INFO] " in log.read_text()


async def test_what_the_environment_and_options_say_goes_before_the_file(tmp_path: Path) -> None:
    conf = debian_conf(tmp_path)
    status, output, _ = await console(
        "check", "--pushpin-conf", str(conf), "--publish", "127.0.0.1:1", environment={"HOLDFAST_PROXY_LISTEN": ":2"}
    )
    assert (status, output.splitlines()[1:3]) == (0, ["clients: :2", "publishers: 127.0.0.1:1"])


async def test_holdfast_runs_from_what_was_imported(tmp_path: Path, backend: ScriptedBackend) -> None:
    conf = debian_conf(tmp_path, routes=f"* {backend.address}")
    number = free_instance()
    (tmp_path / "run").mkdir()
    output = tmp_path / "holdfast.toml"
    status, _, errors = await console("import-pushpin", str(conf), "-o", str(output), "--id", str(number))
    assert (status, errors.count("\n")) == (0, 1)
    async with (
        ConsoleProcess("--config", str(output), "--listen", "127.0.0.1:0", *QUICK) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        assert app.publish_address == ("127.0.0.1", 5561 + 10 * number)
        await open_stream(client, backend, "/imported", grip_stream("imported", body=b"open\n"))
        assert await client.chunk() == b"open\n"
        await publish(app, stream_item("imported", "hello\n"))
        assert await client.chunk() == b"hello\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[runner]\nhttp_port="7999\n', "pushpin.conf:2: a quote is not closed"),
        ("[runner\nhttp_port=7999\n", "pushpin.conf:1: section '[runner' has no closing bracket"),
        ("[runner]\nhttp_port=x\n", "pushpin.conf:2: http_port: proxy.listen: 'x' is not an address"),
        ("[handler]\nid_cache_ttl=long\n", "pushpin.conf:2: id_cache_ttl: expected a whole number, got 'long'"),
        ("[proxy]\nsig_key=a,b\n", "pushpin.conf:2: sig_key: expected one value"),
        (
            "[proxy]\ndebug=no\n",
            "pushpin.conf:2: debug: expected true or false, got 'no', which Pushpin takes for true",
        ),
        (
            "[proxy]\ndebug=true\n",
            "pushpin.conf: [runner] has none of http_port, https_ports, local_ports: ",
        ),
        ("[runner]\nhtp_port=7999\n", "; unknown: runner.htp_port (did you mean runner.http_port?)\n"),
    ],
)
async def test_a_broken_file_is_one_line_with_its_place(text: str, problem: str, tmp_path: Path) -> None:
    conf = tmp_path / "pushpin.conf"
    conf.write_text(text)
    status, output, errors = await console("--pushpin-conf", str(conf))
    assert (status, output, errors.count("\n"), problem in errors) == (1, "", 1, True), errors
