"""What becomes of an answer: open to other origins, or a script; equal presentations are one key."""

from __future__ import annotations

import pytest

from handlers.protocol.answers import Answer
from handlers.protocol.cross_origin import CrossOrigin
from handlers.protocol.jsonp import Jsonp, NotEncodable
from handlers.protocol.presentation import Presentation

OPEN = Presentation(cross_origin=CrossOrigin(origin=b"http://o"))
SCRIPT = Presentation(cross_origin=CrossOrigin(), jsonp=Jsonp(callback="cb"))
ANSWER = Answer(status=404, reason=b"Not Found", headers=((b"X-A", b"1"),), body=b"no\n")


def test_an_answer_is_opened_and_otherwise_as_it_was() -> None:
    opened = OPEN.answer(ANSWER)
    assert (opened.status, opened.reason, opened.body) == (404, b"Not Found", b"no\n")
    assert opened.headers == OPEN.headers(ANSWER.headers)
    assert (b"Access-Control-Allow-Origin", b"http://o") in opened.headers


def test_a_script_is_open_too_and_has_nothing_to_read() -> None:
    script = SCRIPT.answer(ANSWER)
    assert (script.status, script.body[:7]) == (200, b"/**/cb(")
    names = [name for name, _ in script.headers]
    assert b"Access-Control-Allow-Origin" in names
    assert b"Access-Control-Expose-Headers" not in names


def test_what_cannot_be_a_script_is_told_in_plain_text() -> None:
    with pytest.raises(NotEncodable):
        SCRIPT.answer(Answer(status=200, reason=b"OK", headers=(), body=b"\xff"))
    failure = SCRIPT.failure()
    assert (failure.status, failure.body) == (500, b"Upstream response could not be JSON-P encoded.\n")
    assert failure.headers[0] == (b"Content-Type", b"text/plain")


def test_equal_ones_are_equal_keys() -> None:
    assert {Presentation(cross_origin=CrossOrigin(origin=b"http://o")): 1}[OPEN] == 1
    assert SCRIPT != OPEN
