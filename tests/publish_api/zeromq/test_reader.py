from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import zmq

from handlers.protocol.zmq_spec import parse_spec
from handlers.zeromq.binding import bind, open_socket
from publish_api.zeromq.reader import AT_ONCE, BYTES_AT_ONCE, Parts, SocketReader
from tests.support.turns import settle, until
from tests.support.zeromq import zeromq_peer


class Reading:
    """A PULL socket that is read into `turns`, and a PUSH socket on the other side."""

    def __init__(self, pull: zmq.Socket[bytes], push: zmq.Socket[bytes]) -> None:
        self.turns: list[Sequence[Parts]] = []
        self.push = push
        self.reader = SocketReader(pull, self.take)
        self.pauses = False

    def take(self, messages: Sequence[Parts]) -> None:
        self.turns.append(messages)
        if self.pauses:
            self.reader.pause()

    @property
    def messages(self) -> list[bytes]:
        return [b"|".join(parts) for turn in self.turns for parts in turn]


@asynccontextmanager
async def reading() -> AsyncGenerator[Reading]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    pull, push = open_socket(context, zmq.PULL), open_socket(context, zmq.PUSH)
    push.connect(bind(pull, parse_spec("tcp://127.0.0.1:0")))
    each = Reading(pull, push)
    try:
        yield each
    finally:
        each.reader.close()
        each.reader.close()
        push.close()
        context.term()


async def test_messages_are_read_in_their_order_and_whole() -> None:
    async with reading() as each:
        each.reader.begin()
        sent = [[b"%d" % number] * (number % 3 + 1) for number in range(1000)]
        for parts in sent:
            each.push.send_multipart(parts)
        await until(lambda: len(each.messages) == 1000)
        assert each.messages == [b"|".join(parts) for parts in sent]


async def test_what_came_before_it_begins_is_read() -> None:
    async with reading() as each:
        each.push.send(b"early")
        each.reader.begin()
        await until(lambda: each.messages == [b"early"])


async def test_a_burst_is_taken_in_turns_of_a_bounded_number() -> None:
    async with reading() as each:
        for _ in range(5 * AT_ONCE):
            each.push.send(b"x")
        each.reader.begin()
        await until(lambda: len(each.messages) == 5 * AT_ONCE)
        assert max(map(len, each.turns)) <= AT_ONCE


async def test_and_of_a_bounded_number_of_bytes() -> None:
    async with reading() as each:
        for _ in range(6):
            each.push.send(b"x" * (BYTES_AT_ONCE // 2))
        each.reader.begin()
        await until(lambda: len(each.messages) == 6)
        assert max(map(len, each.turns)) <= 2


async def test_nothing_is_read_while_it_is_paused_and_nothing_lost() -> None:
    async with reading() as each:
        each.reader.begin()
        each.pauses = True
        for number in range(3 * AT_ONCE):
            each.push.send(b"%d" % number)
        await until(lambda: each.turns)
        seen = len(each.messages)
        assert seen <= AT_ONCE
        each.push.send(b"late")
        await settle()
        assert len(each.turns) == 1
        each.pauses = False
        each.reader.resume()
        await until(lambda: len(each.messages) == 3 * AT_ONCE + 1)
        assert each.messages == [*(b"%d" % number for number in range(3 * AT_ONCE)), b"late"]


async def test_a_message_that_came_while_something_was_sent_is_read() -> None:
    # The descriptor says only once that there is news, and a send may have taken it.
    async with zeromq_peer() as peer:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = open_socket(context, zmq.ROUTER)
        endpoint = bind(router, parse_spec("tcp://127.0.0.1:0"))
        read: list[Parts] = []

        def answer(messages: Sequence[Parts]) -> None:
            for parts in messages:
                read.append(parts)
                router.send_multipart(parts)
            reader.look_soon()

        reader = SocketReader(router, answer)
        reader.begin()
        dealer = peer.socket(zmq.DEALER, endpoint)
        for number in range(500):
            await dealer.send(b"%d" % number)
            if number % 7 == 0:
                await until(lambda: len(read))
        for number in range(500):
            assert await dealer.recv() == b"%d" % number
        reader.close()
        context.term()


async def test_nothing_is_read_once_it_is_closed() -> None:
    async with reading() as each:
        each.reader.begin()
        each.push.send(b"x")
        each.reader.close()
        each.reader.resume()
        each.reader.look_soon()
        await settle()
        assert each.turns == []
