from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from publish_api import command_client
from publish_api.command_client import Port, call
from publish_api.errors import CommandError
from tests.support.tls_client import install


async def asked(answer: bytes, path: str = "x/", *, body: bytes | None = None) -> tuple[bytes, bytes]:
    """Ask a server that gives this answer; return the request and the body of the answer."""
    seen = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        number = server.sockets[0].getsockname()[1]
        port = Port(url=f"http://127.0.0.1:{number}/", authorization="Bearer t")
        return seen, await call(port, "GET" if body is None else "POST", path, body=body)


def answer(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


async def test_a_success_is_its_body() -> None:
    assert (await asked(answer("200 OK", b"body")))[1] == b"body"
    assert (await asked(answer("200 OK", b"body"), body=b"{}"))[1] == b"body"


async def test_what_is_percent_encoded_arrives_as_it_is() -> None:
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer("200 OK", b""))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        number = server.sockets[0].getsockname()[1]
        await call(Port(url=f"http://127.0.0.1:{number}/base/"), "GET", "channels/a%2Fb%20c/?prefix=%7E%2B")
    assert requests[0].startswith(b"GET /base/channels/a%2Fb%20c/?prefix=%7E%2B HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        ("400 Bad Request", b"Invalid format.\n", "Invalid format."),
        ("404 Not Found", b'{"message":"No such connection."}\n', "No such connection."),
        ("404 Not Found", b'{"other":1}', '{"other":1}'),
        ("404 Not Found", b"\xff", "\N{REPLACEMENT CHARACTER}"),
        ("302 Found", b"", "the server answered 302"),
        ("500 Internal Server Error", b"x" * 5000, "x" * 4096),
    ],
)
async def test_anything_else_is_the_error(status: str, body: bytes, text: str) -> None:
    with pytest.raises(CommandError) as caught:
        await asked(answer(status, body))
    assert str(caught.value) == text


async def test_no_answer_is_read_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_client, "ANSWER_LIMIT", 10)
    assert (await asked(answer("200 OK", b"x" * 10)))[1] == b"x" * 10
    with pytest.raises(CommandError, match=r"^the answer is too long$"):
        await asked(answer("200 OK", b"x" * 11))


async def test_nobody_there_is_the_error() -> None:
    text = "^cannot connect to the publish port at http://127.0.0.1:1/: Connection refused; --spec or GRIP_URL says"
    with pytest.raises(CommandError, match=text):
        await call(Port(url="http://127.0.0.1:1/"), "GET", "")


@pytest.mark.parametrize(
    ("scheme", "text"),
    [
        ("http", r"^no answer from HERE: .*400"),
        ("https", r"^HERE does not speak TLS as expected: .*; --spec or"),
    ],
)
async def test_who_speaks_something_else_is_the_error(scheme: str, text: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"SSH-2.0-x\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(CommandError, match=text.replace("HERE", url)):
            await call(Port(url=url), "GET", "")


async def test_a_certificate_of_nobody_known_is_the_error(tmp_path: Path) -> None:
    install(tmp_path, "default", "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "default.crt", tmp_path / "default.key")
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(CommandError, match=f"^the certificate of {url} is not trusted: "):
            await call(Port(url=url), "GET", "")
