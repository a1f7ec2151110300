from __future__ import annotations

import math
from typing import Any

import pytest
import tnetstring

from proxy.protocol.zhttp import RequestStart, ZhttpAnswer
from proxy.protocol.zhttp_exchange import (
    CREDITS,
    KEEP_ALIVE_SECONDS,
    OVERRUN_LIMIT,
    SILENCE_SECONDS,
    SILENT,
    ZhttpExchange,
)

Message = dict[bytes, Any]


class Talk:
    """A machine, and what it has sent."""

    def __init__(self, *, method: bytes = b"GET", stream: bool = True, body: bytes = b"", more: bool = False) -> None:
        self.machine = ZhttpExchange(sender=b"me", name=b"1")
        self._seq = 0
        start = RequestStart(method=method, uri=b"http://h/", headers=(), stream=stream)
        self.machine.open(0.0, start, body, more=more)

    def sent(self) -> list[Message]:
        """Return what was to be sent since the last time."""
        messages = [tnetstring.loads(data[1:]) for data in self.machine.outbox]
        self.machine.outbox.clear()
        return messages

    def said(self) -> list[tuple[bytes, int]]:
        """Return the types and numbers of what was to be sent since the last time."""
        return [(each.get(b"type", b""), each[b"seq"]) for each in self.sent()]

    def hear(self, now: float = 0.0, *, seq: int | None = None, sender: bytes = b"w", **fields: Any) -> None:
        """Have the worker send a message, with the right number unless another is given."""
        message = ZhttpAnswer(sender=sender, ids=((b"1", None),), **fields)
        self.machine.receive(now, message, self._seq if seq is None else seq)
        self._seq += 1

    @property
    def failure(self) -> tuple[str, str]:
        """How it failed."""
        assert self.machine.failure is not None
        return self.machine.failure.condition, str(self.machine.failure)


def test_a_request_without_a_body_is_one_message() -> None:
    talk = Talk()
    (first,) = talk.sent()
    assert (first[b"seq"], first[b"credits"], b"more" in first) == (0, CREDITS, False)
    assert talk.machine.is_request_sent


def test_an_answer_in_one_message_is_complete_and_as_long_as_it_is() -> None:
    talk = Talk()
    talk.hear(status=200, headers=((b"Content-Length", b"99"),), body=b"abc")
    machine = talk.machine
    assert machine.head is not None
    assert (machine.is_complete, machine.head.length, machine.pieces) == (True, 3, [b"abc"])
    assert machine.deadline == math.inf


def test_an_answer_in_several_messages_is_as_long_as_it_says() -> None:
    talk = Talk()
    talk.hear(status=200, headers=((b"Content-Length", b"4"),), more=True)
    assert talk.machine.head is not None
    assert talk.machine.head.length == 4
    talk.hear(body=b"ab", more=True)
    talk.hear(body=b"cd")
    assert talk.machine.is_complete
    assert talk.machine.pieces == [b"ab", b"cd"]


def test_what_is_behind_the_length_that_was_said_is_no_part_of_the_answer() -> None:
    """Else it would be the client's next answer."""
    talk = Talk()
    talk.hear(status=200, headers=((b"Content-Length", b"5"),), body=b"hel", more=True)
    talk.hear(body=b"loHTTP/1.1 200 OK", more=True)
    assert talk.machine.pieces == [b"hel", b"lo"]
    assert talk.failure[1].endswith("the answer is longer than it said")


def test_the_length_of_an_answer_to_head_is_what_it_says() -> None:
    talk = Talk(method=b"HEAD")
    talk.hear(status=200, headers=((b"Content-Length", b"4"),))
    assert talk.machine.head is not None
    assert talk.machine.head.length == 4


def test_what_was_read_is_paid_for_in_credits() -> None:
    talk = Talk()
    talk.sent()
    talk.hear(status=200, body=b"abc", more=True)
    assert talk.machine.owes
    assert talk.sent() == []
    talk.machine.grant()
    (credit,) = talk.sent()
    assert (credit[b"type"], credit[b"credits"], credit[b"seq"]) == (b"credit", 3, 1)
    talk.machine.grant()
    assert talk.sent() == []


def test_a_body_goes_out_by_credits() -> None:
    talk = Talk(method=b"POST", more=True)
    (first,) = talk.sent()
    assert first[b"more"] is True
    assert talk.machine.credits == 0
    talk.hear(type="credit", credits=5)
    assert talk.machine.credits == 5
    talk.machine.give(b"abcd", more=True)
    assert talk.machine.credits == 1
    talk.machine.give(b"", more=False)
    second, last = talk.sent()
    assert (second[b"body"], second[b"more"], b"body" in last, b"more" in last) == (b"abcd", True, False, False)
    assert talk.machine.is_request_sent


def test_credits_may_come_with_data() -> None:
    talk = Talk(more=True)
    talk.hear(status=200, more=True, credits=7)
    assert talk.machine.credits == 7


@pytest.mark.parametrize(("method", "deadline"), [(b"GET", SILENCE_SECONDS)])
def test_a_silent_worker_is_given_up(method: bytes, deadline: float) -> None:
    talk = Talk(method=method)
    assert talk.machine.deadline == deadline
    talk.machine.tick(deadline - 0.1)
    assert not talk.machine.is_ended
    talk.sent()
    talk.machine.tick(deadline)
    assert talk.failure == (SILENT, "no word from the worker within 60 seconds")
    assert talk.sent() == []  # nobody knows whom to tell


def test_the_time_of_a_worker_begins_when_it_has_been_reached() -> None:
    talk = Talk()
    talk.machine.reached(50.0)
    talk.machine.tick(SILENCE_SECONDS)
    assert not talk.machine.is_ended
    assert talk.machine.deadline == 50 + SILENCE_SECONDS


def test_each_word_of_a_worker_gives_it_more_time() -> None:
    talk = Talk()
    talk.sent()
    talk.hear(50.0, type="keep-alive")
    assert talk.machine.deadline == 50 + KEEP_ALIVE_SECONDS
    talk.machine.tick(50 + KEEP_ALIVE_SECONDS)
    assert talk.said() == [(b"keep-alive", 1)]
    assert talk.machine.deadline == 50 + SILENCE_SECONDS
    talk.machine.tick(50 + SILENCE_SECONDS)
    assert talk.failure[0] == SILENT
    assert talk.said() == [(b"cancel", 2)]


@pytest.mark.parametrize("given", [1, 5, None])
def test_messages_come_in_their_order_or_the_exchange_ends(given: int | None) -> None:
    talk = Talk()
    talk.sent()
    machine = talk.machine
    machine.receive(0.0, ZhttpAnswer(sender=b"w", ids=((b"1", given),), status=200), given)
    assert talk.failure == ("malformed", f"message {given} came in place of 0")
    assert talk.said() == [(b"cancel", 1)]


def test_errors_and_cancels_need_no_number() -> None:
    talk = Talk()
    talk.hear(seq=9, type="error", condition="tls-error")
    assert talk.failure == ("tls-error", "tls-error")
    other = Talk()
    other.hear(seq=9, type="cancel")
    assert other.failure == ("cancel", "the worker gave the request up")


def test_headers_whose_names_are_none_are_left_out() -> None:
    talk = Talk()
    talk.hear(status=200, headers=((b"A B", b"x"), (b"C ", b"d"), (b"", b"y")), body=b"x")
    head = talk.machine.head
    assert head is not None
    assert (head.headers, head.dropped) == (((b"C", b"d"),), (b"A B", b""))


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"body": b"x"}, "the answer has no status"),
        ({"status": 101}, "the answer is malformed: status 101 is not that of an answer"),
        ({"status": 200, "reason": b"a\nb"}, "the answer is malformed: control character in the reason"),
        ({"status": 200, "headers": ((b"A", b"\x00"),)}, "the answer is malformed: control character in header A"),
        (
            {"status": 200, "body": b"x" * (OVERRUN_LIMIT + 1), "more": True},
            "the worker sends more than it has credits for",
        ),
    ],
)
def test_what_cannot_be_passed_on_ends_the_exchange(fields: dict[str, Any], detail: str) -> None:
    talk = Talk()
    talk.sent()
    talk.hear(**fields)
    assert talk.failure == ("malformed", detail)
    assert talk.said() == [(b"cancel", 1)]


def test_a_worker_has_to_say_who_it_is() -> None:
    talk = Talk()
    talk.hear(sender=b"", type="keep-alive")
    assert talk.failure == ("malformed", "the worker does not say who it is")


def test_whoever_gives_up_tells_the_worker_if_it_is_known() -> None:
    talk = Talk()
    talk.sent()
    talk.machine.cancel()
    assert talk.sent() == []
    other = Talk()
    other.sent()
    other.hear(type="keep-alive")
    other.machine.cancel()
    assert other.said() == [(b"cancel", 1)]
    other.machine.cancel()
    assert other.sent() == []


def test_a_handoff_is_agreed_to_and_nothing_sent_until_another_goes_on() -> None:
    talk = Talk()
    talk.sent()
    talk.hear(status=200, body=b"abc", more=True)
    talk.hear(type="handoff-start")
    assert talk.said() == [(b"handoff-proceed", 1)]
    talk.machine.grant()
    talk.machine.tick(KEEP_ALIVE_SECONDS)
    assert talk.sent() == []
    talk.hear(sender=b"other", type="keep-alive")
    assert talk.machine.peer == b"other"
    assert talk.said() == [(b"credit", 2)]


def test_what_nobody_knows_is_passed_over() -> None:
    talk = Talk()
    talk.hear(type="ping")
    talk.hear(status=200)
    assert talk.machine.is_complete


def test_what_comes_behind_the_end_is_passed_over() -> None:
    talk = Talk()
    talk.hear(status=200)
    talk.hear(status=500)
    assert talk.machine.head is not None
    assert talk.machine.head.status == 200


def test_a_whole_exchange_has_no_numbers_and_no_credits() -> None:
    talk = Talk(stream=False, body=b"b")
    (first,) = talk.sent()
    assert (b"seq" in first, b"credits" in first, first[b"body"]) == (False, False, b"b")
    talk.machine.receive(0.0, ZhttpAnswer(sender=b"", ids=((b"1", None),), status=200, body=b"x"), None)
    assert talk.machine.is_complete
    talk.machine.grant()
    assert talk.sent() == []


@pytest.mark.parametrize("fields", [{"type": "credit"}, {"status": 200, "more": True}, {"type": "keep-alive"}])
def test_a_whole_answer_has_to_be_whole(fields: dict[str, Any]) -> None:
    talk = Talk(stream=False)
    talk.hear(**fields)
    assert talk.failure == ("malformed", "the worker's answer is not whole")
