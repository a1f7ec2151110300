from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.answer_head import AnswerHeadError, check_answer_head

PAIRS = st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=12)), max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ((), None),
        (((b"Content-Length", b"0"),), 0),
        (((b"content-length", b"12"), (b"Content-Length", b"12")), 12),
        (((b"Transfer-Encoding", b"Chunked"),), None),
    ],
)
def test_the_length_is_what_the_headers_announce(headers: tuple[tuple[bytes, bytes], ...], length: int | None) -> None:
    assert check_answer_head(status=200, reason=b"OK", headers=headers).length == length


def test_white_space_before_the_colon_goes() -> None:
    """RFC 9112 section 5.1."""
    head = check_answer_head(status=200, reason=b"", headers=((b"Content-Length ", b"2"), (b"X\t", b"a b")))
    assert head.headers == ((b"Content-Length", b"2"), (b"X", b"a b"))
    assert head.length == 2


def test_lines_whose_names_are_none_are_left_out_and_told() -> None:
    headers = ((b"A B", b"1"), (b"X", b"2"), (b"", b"3"), (b"Content-Length ", b"4"), (b"Y:", b"5"))
    head = check_answer_head(status=200, reason=b"", headers=headers, dropped=(b"before",))
    assert head.headers == ((b"X", b"2"), (b"Content-Length", b"4"))
    assert head.length == 4
    assert head.dropped == (b"before", b"A B", b"", b"Y:")


@pytest.mark.parametrize(
    ("status", "reason", "headers", "text"),
    [
        (0, b"", (), "status 0 "),
        (199, b"", (), "status 199 "),
        (200, b"O\x00K", (), "in the reason"),
        (200, b"", ((b"X", b"a\x01"),), "in header X"),
        (200, b"", ((b"X\x7f", b""),), "in header X"),
        (200, b"", ((b"Transfer-Encoding", b"gzip"),), "transfer coding"),
        (200, b"", ((b"Transfer-Encoding", b"gzip, chunked"),), "transfer coding"),
        (200, b"", ((b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")), "transfer coding"),
        (200, b"", ((b"Content-Length", b"18446744073709551615"),), "Content-Length"),
        (200, b"", ((b"Content-Length", b"1"), (b"Content-Length", b"2")), "Content-Length"),
        (200, b"", ((b"Content-Length", b"-1"),), "Content-Length"),
        (200, b"", ((b"Content Length", b"1"),), "almost called Content-Length"),
        (200, b"", ((b"Transfer-Encoding:", b"chunked"),), "almost called"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(
    status: int, reason: bytes, headers: tuple[tuple[bytes, bytes], ...], text: str
) -> None:
    with pytest.raises(AnswerHeadError, match=text):
        check_answer_head(status=status, reason=reason, headers=headers)


@given(st.integers(-1, 1001), st.binary(max_size=9), PAIRS)
def test_any_head_is_passed_on_or_refused(status: int, reason: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    try:
        head = check_answer_head(status=status, reason=reason, headers=headers)
    except AnswerHeadError:
        return
    assert len(head.headers) + len(head.dropped) == len(headers)
    assert b"\n" not in reason + b"".join(name + value for name, value in head.headers)
