from __future__ import annotations

import asyncio

import pytest

from publish_api.body import INCOMPLETE
from publish_api.errors import RequestRefused
from publish_api.protocol.request_head import RequestHead
from publish_api.request import Request

HEAD = RequestHead(method="POST", target="/")


async def test_a_body_that_is_here_is_read_at_once() -> None:
    asked: list[None] = []
    request = Request(HEAD, b"x", lambda: asked.append(None))
    assert await request.read() == b"x"
    assert asked == [None]
    assert not request.is_read


async def test_one_that_is_not_is_asked_for_and_waited_for() -> None:
    asked: list[None] = []
    request = Request(HEAD, None, lambda: asked.append(None))
    reading = asyncio.create_task(request.read())
    await asyncio.sleep(0)
    assert (asked, request.is_read) == ([None], True)
    request.receive(b"x")
    assert await reading == b"x"


async def test_one_that_comes_before_it_is_asked_for_is_kept() -> None:
    request = Request(HEAD, None, lambda: None)
    request.receive(b"x")
    assert await request.read() == b"x"


async def test_who_waits_for_one_that_does_not_come_is_told() -> None:
    request = Request(HEAD, None, lambda: None)
    reading = asyncio.create_task(request.read())
    await asyncio.sleep(0)
    request.refuse(INCOMPLETE)
    with pytest.raises(RequestRefused, match=r"Request body incomplete\."):
        await reading


async def test_who_asks_for_it_afterwards_is_told_too() -> None:
    request = Request(HEAD, None, lambda: None)
    request.refuse(INCOMPLETE)
    with pytest.raises(RequestRefused, match=r"Request body incomplete\."):
        await request.read()


async def test_nobody_is_told_who_no_longer_waits() -> None:
    request = Request(HEAD, None, lambda: None)
    reading = asyncio.create_task(request.read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.sleep(0)
    request.receive(b"x")
    request.refuse(INCOMPLETE)
    assert reading.cancelled()
