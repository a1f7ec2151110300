"""Connections to backends, each answer as it may come; that no answer is ever taken for the one to another request.

All of it runs over both clients, as do test_backend_body and test_backend_switching.
"""

from __future__ import annotations

import asyncio

import pytest

from proxy.backend import AddressBlocked, AnswerFailed, AnswerTruncated, BackendAddress, BackendPool, ConnectFailed
from proxy.protocol.answer_parser import HEAD_LIMIT
from proxy.request_body import NO_BODY
from tests.proxy.asking import all_of, ask, fetch
from tests.support.answers import Answer, Ending, answer, chunk, chunked, close_without_answer, text, to_eof
from tests.support.backend import ScriptedBackend, closed_port
from tests.support.turns import settle

pytestmark = pytest.mark.usefixtures("nothing_logged_as_an_error")


# -- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        text(b"one two"),
        chunked(b"one", b" ", b"two"),
        to_eof(b"one", b" two"),
        answer(b"HTTP/1.0 200 OK\r\n\r\none two", Ending.CLOSE),
        answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", *text(b"one two").steps),
    ],
    ids=["length", "chunked", "to the end", "HTTP/1.0", "behind interim answers"],
)
async def test_a_body_comes_whole_however_it_is_delimited(
    pool: BackendPool, backend: ScriptedBackend, script: Answer
) -> None:
    backend.default = script
    answer = await ask(pool, backend)
    assert answer.status == 200
    assert await all_of(answer) == b"one two"


async def test_head_and_headers_are_bytes_as_they_stood(pool: BackendPool, backend: ScriptedBackend) -> None:
    backend.default = answer(
        b"HTTP/1.1 299 Nicely \xe4 done\r\n"
        b"x-LOW: \xff\xfe\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n"
    )
    found = await ask(pool, backend)
    assert (found.status, found.reason) == (299, b"Nicely \xe4 done")
    assert found.headers[:3] == ((b"x-LOW", b"\xff\xfe"), (b"Set-Cookie", b"a"), (b"set-cookie", b"b"))


@pytest.mark.parametrize(
    "script",
    [
        answer(b"what is this\r\n\r\n"),
        answer(b"\x16\x03\x01\x02\x00", Ending.CLOSE),
        answer(b"HTTP/1.1 20 OK\r\n\r\n"),
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"),
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        answer(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEAD_LIMIT + 10) + b"\r\n\r\n"),
        answer(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 600 + b"\r\n"),
        answer(b"HTTP/1.1 200 OK\r\nX: cut", Ending.CLOSE),
        answer(b"HTTP/1.1 100 Continue\r\n\r\n", Ending.CLOSE),
        answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw bytes"),
        close_without_answer(),
        answer(Ending.RESET),
    ],
    ids=[
        "garbage", "TLS", "status of two digits", "signed length", "two lengths", "a header too long",
        "too many headers", "half a head", "interim only", "switched protocols", "closed", "reset",
    ],
)  # fmt: skip
async def test_no_usable_answer_is_said_to_be_none(pool: BackendPool, backend: ScriptedBackend, script: Answer) -> None:
    backend.default = script
    with pytest.raises(AnswerFailed) as failure:
        await ask(pool, backend)
    assert not failure.value.is_stale
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"
    assert backend.accepted == 2


@pytest.mark.parametrize(
    "script",
    [
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Ending.CLOSE),
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Ending.RESET),
        answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello"), Ending.CLOSE),
        answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello") + b"9\r\ncut", Ending.CLOSE),
    ],
    ids=["length", "length, reset", "chunked", "within a chunk"],
)
async def test_a_body_cut_short_is_noticed(pool: BackendPool, backend: ScriptedBackend, script: Answer) -> None:
    backend.default = script
    found = await ask(pool, backend)
    with pytest.raises(AnswerTruncated):
        await all_of(found)
    found.close()


async def test_a_body_that_turns_out_bad_is_noticed(pool: BackendPool, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello")
    backend.default = answer(start, gate, b"zz\r\nno chunk\r\n")
    found = await ask(pool, backend)
    assert await found.read() == b"hello"
    gate.set()
    with pytest.raises(AnswerTruncated):
        await found.read()
    found.close()


@pytest.mark.parametrize(
    "script", [text(b""), text(b"hello"), chunked(b"hel", b"lo")], ids=["no body", "length", "chunks"]
)
async def test_a_body_that_is_here_can_be_had_without_waiting(
    pool: BackendPool, backend: ScriptedBackend, script: Answer
) -> None:
    backend.default = answer(b"".join(step for step in script.steps if isinstance(step, bytes)))
    for _ in range(2):
        found = await ask(pool, backend)
        assert found.has_body_waiting
        assert found.whole() == (b"" if script.steps[0].endswith(b" 0\r\n\r\n") else b"hello")  # type: ignore[union-attr]
        found.close()
    assert backend.accepted == 1, "it was back in the pool"


async def test_a_body_that_is_not_here_has_to_be_waited_for(pool: BackendPool, backend: ScriptedBackend) -> None:
    gate = asyncio.Event()
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    backend.default = answer(start, gate, b"hello")
    found = await ask(pool, backend)
    assert (found.has_body_waiting, found.whole()) == (False, None)
    gate.set()
    assert await all_of(found) == b"hello"
    backend.default = answer(start + b"hel", gate, b"lo")
    gate.clear()
    found = await ask(pool, backend)
    assert (found.has_body_waiting, found.whole()) == (True, None)
    found.close()
    await backend.disconnected(1)


async def test_there_is_no_whole_body_of_an_answer_that_was_cut(pool: BackendPool, backend: ScriptedBackend) -> None:
    backend.default = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", Ending.CLOSE)
    found = await ask(pool, backend)
    await backend.disconnected(1)
    await settle()
    assert found.whole() is None
    with pytest.raises(AnswerTruncated):
        await all_of(found)
    found.close()


# -- which connections are used again -----------------------------------------------------------------------------


@pytest.mark.parametrize("script", [text(b"hello"), chunked(b"hello")], ids=["length", "chunked"])
async def test_a_connection_is_used_again_after_a_whole_answer(
    pool: BackendPool, backend: ScriptedBackend, script: Answer
) -> None:
    backend.default = script
    for _ in range(3):
        assert await fetch(pool, backend) == b"hello"
    assert backend.accepted == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_end_with_their_head(
    pool: BackendPool, backend: ScriptedBackend, status: int
) -> None:
    backend.default = answer(b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status)
    for _ in range(2):
        found = await ask(pool, backend)
        assert found.status == status
        assert await found.read() == b""
        found.close()
    assert backend.accepted == 1


@pytest.mark.parametrize("body", [b"", b"hello"], ids=["well-behaved", "careless"])
async def test_the_answer_to_a_head_ends_with_its_head(
    pool: BackendPool, backend: ScriptedBackend, body: bytes
) -> None:
    backend.default = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
    found = await ask(pool, backend, method=b"HEAD")
    assert (found.status, await found.read()) == (200, b"")
    found.close()
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"


@pytest.mark.parametrize(
    "script",
    [
        answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"),
        answer(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        to_eof(b"hello"),
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"),
    ],
    ids=["told to close", "HTTP/1.0", "to the end", "a second answer behind it", "part of a second answer behind it"],
)
async def test_a_connection_that_is_not_in_step_is_not_used_again(
    pool: BackendPool, backend: ScriptedBackend, script: Answer
) -> None:
    backend.default = script
    assert await fetch(pool, backend) == b"hello"
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"
    assert backend.accepted == 2


@pytest.mark.parametrize(
    "stray",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 200 OK\r\nContent-", b"H", b"garbage\r\n\r\n"],
    ids=["a whole answer", "part of one", "one byte", "garbage"],
)
async def test_what_comes_on_an_idle_connection_answers_nobody(
    pool: BackendPool, backend: ScriptedBackend, stray: bytes
) -> None:
    """Else it would be taken for the answer to the next request, whoever's that is."""
    late = asyncio.Event()
    sent = asyncio.Event()

    backend.default = answer(*text(b"hello").steps, late, stray, sent, asyncio.Event())
    assert await fetch(pool, backend) == b"hello"
    late.set()
    sent.set()
    for _ in range(5):
        await settle()
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"


async def test_an_answer_that_is_given_up_takes_its_connection_along(
    pool: BackendPool, backend: ScriptedBackend
) -> None:
    backend.default = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", asyncio.Event())
    found = await ask(pool, backend)
    await found.read()
    found.close()
    await backend.disconnected(1)


async def test_a_request_that_is_cancelled_takes_its_connection_along(
    pool: BackendPool, backend: ScriptedBackend
) -> None:
    backend.default = answer(asyncio.Event())
    asking = asyncio.create_task(ask(pool, backend))
    await backend.request()
    asking.cancel()
    await asyncio.wait([asking])
    await backend.disconnected(1)


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
async def test_a_pooled_connection_that_died_is_not_used(
    pool: BackendPool, backend: ScriptedBackend, ending: Ending
) -> None:
    backend.default = answer(*text(b"hello").steps, ending)
    assert await fetch(pool, backend) == b"hello"
    await backend.disconnected(1)
    await settle()
    backend.default = text(b"next")
    assert await fetch(pool, backend) == b"next"


async def test_a_reused_connection_that_dies_under_the_request_is_stale(
    pool: BackendPool, backend: ScriptedBackend
) -> None:
    await fetch(pool, backend)
    backend.default = close_without_answer()
    with pytest.raises(AnswerFailed) as failure:
        await ask(pool, backend)
    assert failure.value.is_stale


async def test_a_reused_connection_that_dies_within_its_answer_is_not(
    pool: BackendPool, backend: ScriptedBackend
) -> None:
    """The backend has had the request, so it must not get it twice."""
    await fetch(pool, backend)
    backend.default = answer(b"HTTP/1.1 200 OK\r\nContent-", Ending.CLOSE)
    with pytest.raises(AnswerFailed) as failure:
        await ask(pool, backend)
    assert not failure.value.is_stale


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", closed_port()), ("no-such-host.invalid", 80), ("a" * 70, 80), ("a..b", 80)]
)
async def test_what_cannot_be_reached_says_so(pool: BackendPool, host: str, port: int) -> None:
    with pytest.raises(ConnectFailed):
        await pool.connect(BackendAddress(host=host, port=port))


# -- addresses that are not public ----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "0.0.0.0", "::1", "::ffff:127.0.0.1"])
async def test_r16_no_connection_is_made_to_an_address_that_is_not_public(
    pool: BackendPool, backend: ScriptedBackend, host: str
) -> None:
    """R16: however it is written, and though there is an idle connection of those who may."""
    await fetch(pool, backend)
    with pytest.raises(AddressBlocked, match="not a public address: "):
        await pool.connect(BackendAddress(host=host, port=backend.port, only_public=True))
    assert backend.accepted == 1
    assert await fetch(pool, backend) == b"hello\n"


async def test_r16_a_name_of_nobody_is_not_said_to_be_internal(pool: BackendPool) -> None:
    with pytest.raises(ConnectFailed) as failure:
        await pool.connect(BackendAddress(host="nobody.invalid", port=80, only_public=True))
    assert not isinstance(failure.value, AddressBlocked)


async def test_r16_a_public_address_is_connected_to(
    pool: BackendPool, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no public address to be had here, so the loopback's stands for one, and for that alone."""
    for module in ("proxy.backend_pool", "proxy.backend_aiohttp"):
        monkeypatch.setattr(f"{module}.is_public", {backend.host}.__contains__)
    address = BackendAddress(host="localhost", port=backend.port, only_public=True)
    connection = await pool.connect(address)
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert await all_of(await connection.exchange(method=b"GET", head=head, body=NO_BODY)) == b"hello\n"
    await settle()
    again = pool.take(address) or await pool.connect(address)
    assert again.is_reused
    again.close()
