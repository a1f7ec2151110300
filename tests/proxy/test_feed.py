"""Bytes in, requests out, one at a time: the feed against the framer it drives, without a connection."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.body_reader import READ_BUFFER, BodyReader
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
        self._is_paused = False
        self.is_closed = False

    def is_paused(self) -> bool:
        """Whether the client is held back now."""
        return self._is_paused

    def take(self, message: Message | None) -> None:
        if message is not None:
            self.messages.append(message)

    def pause_for_body(self) -> None:
        self._is_paused = True

    def resume_for_body(self) -> None:
        self._is_paused = False

    def pause_for_kept(self) -> None:
        self._is_paused = True

    def resume_for_kept(self) -> None:
        self._is_paused = False

    def close(self) -> None:
        self.is_closed = True

    def data_received(self, data: bytes) -> None:
        self.turns.append(data)
        self.take(self.feed.receive(data))


class Rig:
    """A feed, and what came out of it."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.feed = self.owner.feed = Feed(self.owner, FramingLimits())

    def give(self, data: bytes) -> None:
        """Feed `data` as the connection would."""
        self.owner.take(self.feed.receive(data))

    def answer(self) -> None:
        """Answer the current request."""
        self.feed.is_answered = True
        self.owner.take(self.feed.go_on())

    @property
    def targets(self) -> list[bytes]:
        return [message.target for message, _ in self.owner.messages if isinstance(message, RequestHead)]

    def reader(self, number: int) -> BodyReader:
        """The reader of a body that was not here whole with its head."""
        reader = self.owner.messages[number][1]
        assert isinstance(reader, BodyReader)
        return reader

    async def body(self, number: int) -> bytes:
        """What is here of a request's body."""
        body = self.owner.messages[number][1]
        return await body.read() if isinstance(body, BodyReader) else body


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
    assert await rig.body(1) == b"some words"
    assert await rig.body(2) == b"some"


async def test_reading_stops_while_enough_is_kept_and_goes_on_after() -> None:
    rig = Rig()
    rig.give(GET)
    count = KEPT_LIMIT // len(GET) + 2
    rig.give(GET * count)
    assert rig.owner.is_paused()
    while rig.feed.framer.kept > KEPT_LIMIT:
        rig.answer()
    assert not rig.owner.is_paused()


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
        await rig.reader(0).read()
    assert not rig.owner.is_closed


async def test_a_bad_body_that_nobody_wants_closes_the_connection() -> None:
    rig = Rig()
    rig.give(CHUNKED[:-13])
    rig.answer()
    rig.give(b"nonsense\r\n")
    assert rig.owner.is_closed


@pytest.mark.parametrize("size", [TURN_BYTES // 2, TURN_BYTES])
async def test_a_body_that_is_here_with_its_head_is_bytes_unless_it_is_a_long_one_in_chunks(size: int) -> None:
    rig = Rig()
    rig.give(CHUNKED[: CHUNKED.index(b"4;")] + b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size))
    assert isinstance(rig.owner.messages[0][1], bytes) is (size < TURN_BYTES)
    await asyncio.sleep(0)
    assert await rig.body(0) == b"x" * size


async def test_a_long_body_with_a_length_that_is_here_with_its_head_is_bytes() -> None:
    """Nothing is decoded of it."""
    rig = Rig()
    rig.give(encode_request("/", method="POST", body=b"x" * (5 * TURN_BYTES)) + GET)
    assert rig.owner.messages[0][1] == b"x" * (5 * TURN_BYTES)
    rig.answer()
    assert rig.targets == [b"/", b"/"]


async def test_a_body_that_nobody_wants_is_thrown_away() -> None:
    rig = Rig()
    size = 4 * READ_BUFFER
    rig.give(encode_request("/", method="POST", body=b"x" * size)[:-size])
    rig.give(b"x" * (size - 1))
    assert rig.owner.is_paused()
    rig.feed.discard_body()
    assert not rig.owner.is_paused()
    rig.answer()
    rig.give(b"x" + GET)
    assert rig.targets == [b"/", b"/"]
    assert await rig.reader(0).read() == b""


@pytest.mark.parametrize("is_whole", [True, False])
async def test_the_loss_of_the_client_fails_a_body_that_is_not_here_whole(is_whole: bool) -> None:
    rig = Rig()
    rig.give(POST[:-3])
    if is_whole:
        rig.give(POST[-3:])
    rig.feed.fail_body(ConnectionResetError())
    if is_whole:
        assert await rig.body(0) == b"some words"
    else:
        with pytest.raises(ConnectionResetError):
            await rig.body(0)


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
    payload = rig.reader(0)
    assert rig.owner.is_paused()
    turns = 0
    while not payload.is_ended:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= len(body) // TURN_BYTES
    assert await payload.read() == b"x" * TURN_BYTES
    rig.answer()
    await asyncio.sleep(0)
    assert rig.targets == [b"/c", b"/"]
    assert not rig.owner.is_paused()


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "sent ahead"])
@pytest.mark.parametrize("split", [0, 9, CHUNKED.index(b"4;") - 1], ids=["whole", "in its head", "at its head's end"])
async def test_chunks_that_come_with_their_head_are_decoded_a_piece_a_turn_too(before: bytes, split: int) -> None:
    rig = Rig()
    data = CHUNKED[: CHUNKED.index(b"4;")] + b"1\r\nx\r\n" * TURN_BYTES + b"0\r\n\r\n" + GET
    rig.give(before + data[:split])
    rig.give(data[split:])
    if before:
        rig.answer()
    payload = rig.reader(-1)
    assert rig.owner.is_paused()
    turns = 0
    while not payload.is_ended:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= len(data) // TURN_BYTES
    assert await payload.read() == b"x" * TURN_BYTES
    rig.answer()
    assert rig.targets[-2:] == [b"/c", b"/"]
    assert not rig.owner.is_paused()


async def test_what_waits_for_its_turn_is_kept_when_the_connection_is_given_away() -> None:
    rig = Rig()
    rig.give(CHUNKED[: CHUNKED.index(b"4;")])
    rig.give(b"0\r\n\r\n" + GET * (TURN_BYTES // len(GET) + 9))
    assert rig.reader(0).is_ended
    assert rig.feed.take_kept() == GET * (TURN_BYTES // len(GET) + 9)
    rig.feed.let_go()
    await asyncio.sleep(0)
    assert rig.owner.turns == []
