"""The account of one worker: what it has been sent less what it has handled."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.links.outstanding import MESSAGE, Outstanding


def test_what_is_acknowledged_is_not_outstanding() -> None:
    account = Outstanding()
    assert (len(account), account.bytes, account.since) == (0, 0, None)
    account.sent(10, 1.0)
    account.sent(20, 2.0)
    assert (len(account), account.bytes, account.since) == (2, 30 + 2 * MESSAGE, 1.0)
    account.acknowledge(1, 3.0)
    assert (len(account), account.bytes, account.since) == (1, 20 + MESSAGE, 3.0)
    account.acknowledge(2, 4.0)
    assert (len(account), account.bytes, account.since) == (0, 0, None)
    account.sent(5, 9.0)
    assert account.since == 9.0


def test_saying_the_same_again_is_no_progress() -> None:
    account = Outstanding()
    account.sent(1, 1.0)
    account.sent(1, 1.0)
    account.acknowledge(1, 2.0)
    account.acknowledge(1, 5.0)
    account.acknowledge(0, 6.0)
    assert (len(account), account.since) == (1, 2.0)


def test_more_than_was_sent_cannot_be_acknowledged() -> None:
    account = Outstanding()
    account.sent(1, 1.0)
    with pytest.raises(ValueError, match="2 messages acknowledged, 1 sent"):
        account.acknowledge(2, 1.0)


def test_answers_have_an_account_of_their_own_and_are_progress_all_the_same() -> None:
    account = Outstanding()
    account.sent(1000, 1.0, is_reply=True)
    account.sent(5, 2.0)
    assert (account.bytes, account.reply_bytes, account.since) == (5 + MESSAGE, 1000 + MESSAGE, 1.0)
    account.acknowledge(1, 3.0)
    assert (account.bytes, account.reply_bytes, account.since) == (5 + MESSAGE, 0, 3.0)
    account.acknowledge(2, 4.0)
    assert (account.bytes, account.reply_bytes, account.since) == (0, 0, None)


@given(st.lists(st.integers(0, 1000)), st.lists(st.integers(0, 20)))
def test_the_bytes_are_those_of_what_is_left(sizes: list[int], steps: list[int]) -> None:
    account = Outstanding()
    for size in sizes:
        account.sent(size, 0.0)
    handled = sorted(min(step, len(sizes)) for step in steps)
    for _, upto in pairwise([0, *handled]):
        account.acknowledge(upto, 1.0)
        assert account.bytes == sum(sizes[upto:]) + MESSAGE * len(sizes[upto:])
