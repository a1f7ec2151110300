"""One end of a link: everything arrives, in order, however much of it and whoever is slow; a fault stops nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import zmq

from handlers.links.link import AT_ONCE, Link, open_parents_end
from tests.handlers.links.linking import ends
from tests.support.patience import bounded
from tests.support.turns import settle, until

MANY = 5_000


class Inbox:
    """Keeps what comes, in portions: one for each turn in which something came."""

    def __init__(self, link: Link) -> None:
        self.portions: list[list[bytes]] = [[]]
        link.begin(self._receive, self._rest)

    @property
    def all(self) -> list[bytes]:
        return [data for portion in self.portions for data in portion]

    def _receive(self, data: bytes) -> None:
        self.portions[-1].append(data)

    def _rest(self) -> None:
        if self.portions[-1]:
            self.portions.append([])


async def greeted(parents: Inbox, worker: Link) -> None:
    """Wait until a first word of the worker's has come, before which nothing can be sent to it; forget the word."""
    worker.send(b"hello")
    await until(lambda: parents.all == [b"hello"])
    parents.portions[:] = [[]]


async def test_both_ends_get_everything_in_order_though_both_send_at_once() -> None:
    with ends() as (parent, worker):
        inboxes = Inbox(parent), Inbox(worker)
        await greeted(inboxes[0], worker)
        for number in range(MANY):
            parent.send(b"down %d" % number)
            worker.send(b"up %d" % number)
        await until(lambda: all(len(inbox.all) >= MANY for inbox in inboxes))
        assert inboxes[0].all == [b"up %d" % number for number in range(MANY)]
        assert inboxes[1].all == [b"down %d" % number for number in range(MANY)]


async def test_what_was_sent_before_the_other_end_reads_is_read() -> None:
    with ends() as (parent, worker):
        await greeted(Inbox(parent), worker)
        parent.send(b"second")
        inbox = Inbox(worker)
        await until(lambda: inbox.all == [b"second"])


async def test_an_answer_to_an_answer_to_an_answer_is_read() -> None:
    """Each is sent from within the reading of the one before: what the descriptor had to say went with it."""
    with ends() as (parent, worker):
        heard: list[bytes] = []

        def bounce(link: Link, data: bytes) -> None:
            heard.append(data)
            if len(data) < 500:
                link.send(data + b".")

        parent.begin(lambda data: bounce(parent, data), lambda: None)
        worker.begin(lambda data: bounce(worker, data), lambda: None)
        worker.send(b".")
        await until(lambda: len(heard) == 500)


async def test_no_more_than_so_many_are_read_in_one_turn() -> None:
    with ends() as (parent, worker):
        await greeted(Inbox(parent), worker)
        for number in range(MANY):
            parent.send(b"%d" % number)
        inbox = Inbox(worker)
        await until(lambda: len(inbox.all) == MANY)
        assert max(map(len, inbox.portions)) <= AT_ONCE


async def test_a_fault_in_one_message_is_logged_and_the_next_is_read(caplog: pytest.LogCaptureFixture) -> None:
    with ends() as (parent, worker):
        heard: list[bytes] = []

        def receive(data: bytes) -> None:
            if data == b"bad":
                raise ValueError("cannot be")
            heard.append(data)

        parent.begin(receive, lambda: None)
        for data in (b"one", b"bad", b"two"):
            worker.send(data)
        await until(lambda: heard == [b"one", b"two"])
        assert "a message between processes was not handled" in caplog.text


async def test_a_turn_ends_when_it_is_told_to_and_the_next_reads_on() -> None:
    with ends() as (parent, worker):
        inbox = Inbox(parent)
        await greeted(inbox, worker)
        receive = inbox._receive  # noqa: SLF001  # which is what the link was given

        def take_three(data: bytes) -> None:
            receive(data)
            if len(inbox.portions[-1]) == 3:
                parent.end_turn()

        parent.begin(take_three, inbox._rest)  # noqa: SLF001
        for number in range(10):
            worker.send(b"%d" % number)
        await until(lambda: len(inbox.all) == 10)
        assert inbox.all == [b"%d" % number for number in range(10)]
        assert max(map(len, inbox.portions)) == 3


async def test_what_is_there_can_be_read_before_its_turn() -> None:
    with ends() as (parent, worker):
        parent.read_now()
        inbox = Inbox(parent)
        await greeted(inbox, worker)
        worker.send(b"x")
        async with bounded():
            while not inbox.all:  # nothing but `read_now` reads: the loop does not turn
                parent.read_now()
        parent.close()
        parent.read_now()


async def test_a_closed_end_sends_and_reads_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ends() as (parent, worker):
        inbox, other = Inbox(parent), Inbox(worker)
        await greeted(inbox, worker)
        worker.send(b"two")
        parent.close()
        parent.send(b"down")
        parent.close()
        await settle()
        assert (inbox.all, other.all) == ([], [])


async def test_what_is_sent_to_one_that_has_gone_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ends() as (parent, worker):
        await greeted(Inbox(parent), worker)
        worker.close()

        def is_told() -> bool:
            parent.send(b"too late")
            return "a process that has ended" in caplog.text

        await until(is_told)


async def test_a_path_that_cannot_be_is_named(tmp_path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    for path in (tmp_path / "no" / "folder", tmp_path / ("x" * 200)):
        with pytest.raises(OSError, match=r".") as failure:
            open_parents_end(context, path)
        assert failure.value.filename == str(path)
    context.term()
