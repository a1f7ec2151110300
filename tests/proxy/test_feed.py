"""Bytes in, requests out, one at a time: the feed against the framer it drives, without a connection."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RequestBodyError
from proxy.feed import KEPT_LIMIT, TURN_BYTES, Feed, Message
from proxy.protocol.framing import FramingLimits, RequestError, RequestFramer, RequestHead
from tests.support.client import encode_request

GET = encode_request("/")
POST = encode_request("/post", method="POST", body=b"some words")
CHUNKED = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nsome\r\n0\r\nA: b\r\n\r\n"


class Owner:
    """Records what the feed asks of its connection."""

    def __init__(self) -> None:
        self.feed: Feed
        self.messages: list[Message] = []
        self.turns: list[bytes] = []
        self.is_paused = False
        self.is_closed = False

    def take_messages(self, messages: list[Message]) -> None:
        self.messages.extend(messages)

    def pause_for_kept(self) -> None:
        self.is_paused = True

    def resume_for_kept(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True

    def data_received(self, data: bytes) -> None:
        self.turns.append(data)
        self.messages.extend(self.feed.feed_data(data)[0])


class Rig:
    """A feed, and what came out of it."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.feed = self.owner.feed = Feed(self.owner, BaseProtocol(asyncio.get_running_loop()), FramingLimits())

    def give(self, data: bytes) -> None:
        """Feed `data` as aiohttp would."""
        self.owner.messages.extend(self.feed.feed_data(data)[0])

    def answer(self) -> None:
        """Answer the current request."""
        self.feed.is_answered = True
        self.feed.go_on()

    @property
    def targets(self) -> list[bytes]:
        return [message.target for message, _ in self.owner.messages if isinstance(message, RequestHead)]


@given(splits=st.lists(st.integers(1, 60)))
async def test_a_request_comes_out_when_the_one_before_is_answered(splits: list[int]) -> None:
    rig = Rig()
    data = GET + POST + CHUNKED + GET
    for size in (*splits, len(data)):
        rig.give(data[:size])
        data = data[size:]
    for target in (b"/", b"/post", b"/c", b"/"):
        assert rig.targets[-1] == target
        rig.answer()
    assert len(rig.targets) == 4
    assert await rig.owner.messages[1][1].readany() == b"some words"
    assert await rig.owner.messages[2][1].readany() == b"some"


async def test_reading_stops_while_enough_is_kept_and_goes_on_after() -> None:
    rig = Rig()
    rig.give(GET)
    count = KEPT_LIMIT // len(GET) + 2
    rig.give(GET * count)
    assert rig.owner.is_paused
    while rig.feed.framer.kept > KEPT_LIMIT:
        rig.answer()
    assert not rig.owner.is_paused


@pytest.mark.parametrize(
    ("before", "is_between"), [(b"", True), (GET[:10], True), (GET, False), (POST[:-1], False), (b"bad\r\n\r\n", False)]
)
async def test_a_request_that_waits_for_its_answer_is_known(before: bytes, is_between: bool) -> None:
    rig = Rig()
    rig.give(before)
    assert rig.feed.is_between_requests is is_between
    if not is_between and not rig.feed.is_refused:
        rig.answer()
        assert rig.feed.is_between_requests


async def test_bad_bytes_are_a_message_of_their_own() -> None:
    rig = Rig()
    rig.give(GET + b"bad\r\n\r\n" + GET)
    assert not rig.feed.is_refused
    rig.answer()
    assert isinstance(rig.owner.messages[1][0], RequestError)
    rig.give(GET)
    assert rig.targets == [b"/"]


async def test_a_bad_body_fails_its_reader() -> None:
    rig = Rig()
    rig.give(CHUNKED[:-13])
    rig.give(b"nonsense\r\n")
    with pytest.raises(RequestBodyError):
        await rig.owner.messages[0][1].readany()
    assert not rig.owner.is_closed


async def test_a_bad_body_that_nobody_wants_closes_the_connection() -> None:
    rig = Rig()
    rig.give(CHUNKED[:-13])
    rig.answer()
    rig.give(b"nonsense\r\n")
    payload = rig.owner.messages[0][1]
    assert (await payload.readany(), await payload.readany()) == (b"some", b"")
    assert rig.owner.is_closed


async def test_a_body_can_be_called_complete() -> None:
    rig = Rig()
    rig.give(POST[:-3])
    rig.feed.end_body()
    payload = rig.owner.messages[0][1]
    assert await payload.readany() == b"some wo"
    assert payload.at_eof()
    rig.feed.end_body()


async def test_it_gives_what_the_framer_gives() -> None:
    framer, rig = RequestFramer(FramingLimits()), Rig()
    framer.receive(POST)
    rig.give(POST)
    assert rig.owner.messages[0][0] == framer.head


async def test_a_chunked_body_is_decoded_a_piece_a_turn_so_that_others_get_theirs() -> None:
    """A read of tiny chunks takes many turns of the loop, and no byte is lost or changes its place."""
    rig = Rig()
    body = b"1\r\nx\r\n" * TURN_BYTES + b"0\r\n\r\n"
    rig.give(CHUNKED[: CHUNKED.index(b"4;")])
    rig.give(body + GET)
    payload = rig.owner.messages[0][1]
    assert not payload.is_eof()
    assert rig.owner.is_paused
    rig.give(b"")  # aiohttp resumes its parser at any time
    turns = 0
    while not payload.is_eof():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= len(body) // TURN_BYTES
    assert await payload.readany() == b"x" * TURN_BYTES
    rig.answer()
    await asyncio.sleep(0)
    assert rig.targets == [b"/c", b"/"]
    assert not rig.owner.is_paused


async def test_what_waits_for_its_turn_is_kept_when_the_connection_is_given_away() -> None:
    rig = Rig()
    rig.give(CHUNKED[: CHUNKED.index(b"4;")])
    rig.give(b"0\r\n\r\n" + GET * (TURN_BYTES // len(GET) + 9))
    assert rig.owner.messages[0][1].is_eof()
    assert rig.feed.take_kept() == GET * (TURN_BYTES // len(GET) + 9)
    rig.feed.let_go()
    await asyncio.sleep(0)
    assert rig.owner.turns == []
