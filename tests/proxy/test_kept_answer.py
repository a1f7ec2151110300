"""An answer read ahead: its head, what is here, and what is still to come."""

from __future__ import annotations

import pytest

from proxy.backend import AnswerTruncated, BackendPool
from proxy.kept_answer import KeptAnswer
from tests.proxy.asking import all_of, ask
from tests.support.answers import answer, chunked, text
from tests.support.backend import ScriptedBackend


async def test_one_that_is_here_whole_is_read_any_number_of_times(pool: BackendPool, backend: ScriptedBackend) -> None:
    backend.default = text(b"body", status=203, headers=[(b"X-A", b"1")])
    came = await ask(pool, backend)
    first = KeptAnswer(came, b"body")
    second = KeptAnswer(first, b"body")
    for kept in (first, second):
        assert (kept.status, kept.reason, kept.length) == (203, b"OK", 4)
        assert (b"X-A", b"1") in kept.headers
        assert kept.has_body_waiting
        assert kept.whole() == b"body"
        assert await all_of(kept) == b"body"
        kept.close()
    came.close()


async def test_one_that_goes_on_goes_on_where_it_was_left(pool: BackendPool, backend: ScriptedBackend) -> None:
    backend.default = chunked(b"one", b"two")
    came = await ask(pool, backend)
    kept = KeptAnswer(came, await came.read(), rest=came)
    assert kept.whole() is None
    assert kept.has_body_waiting
    assert await all_of(kept) == b"onetwo"


async def test_one_that_breaks_off_says_so(pool: BackendPool, backend: ScriptedBackend) -> None:
    backend.default = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    came = await ask(pool, backend)
    kept = KeptAnswer(came, await came.read(), rest=came)
    await backend.drop_connections()
    assert await kept.read() == b"hello"
    with pytest.raises(AnswerTruncated):
        await kept.read()
    with pytest.raises(AnswerTruncated):
        kept.take_transport()
    kept.close()
