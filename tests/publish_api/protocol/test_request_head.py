"""A publisher's request head: what is one, and what it says. The grammar is llhttp's; what we add to it is here too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publish_api.protocol.request_head import BadHead, HeadReader, PartialHead, RequestHead, check_behind, parse_head

LIMIT = 2000
PARSE = "Failed to parse request header."
LENGTH = "Bad Content-Length."
LARGE = "Request header too large."


def head(*lines: str, first: str = "POST /publish/ HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


def test_a_head_says_what_the_port_goes_by() -> None:
    data = head("Host: x", "content-length: 007 ", "X:  a b \t", "Connection: x, Keep-Alive", "Expect: 100-Continue")
    assert parse_head(data) == RequestHead(
        method="POST",
        target="/publish/",
        version=b"1.1",
        headers=(
            (b"Host", b"x"),
            (b"content-length", b"007"),
            (b"X", b"a b"),
            (b"Connection", b"x, Keep-Alive"),
            (b"Expect", b"100-Continue"),
        ),
        content_length=7,
        has_coding=False,
        asks_keep_alive=True,
        allows_more=True,
        expects_continue=True,
    )


def test_a_bare_one_says_little() -> None:
    assert parse_head(head(first="GET /?x HTTP/1.0")) == RequestHead(method="GET", target="/?x", version=b"1.0")


@pytest.mark.parametrize(
    ("version", "connection", "asks", "allows"),
    [
        ("1.1", "x", False, True),
        ("1.1", "keep-alive", True, True),
        ("1.1", "keep-alive, close", False, False),
        ("1.1", "Close", False, False),
        ("1.0", "x", False, False),
        ("1.0", "Keep-Alive", True, True),
        ("1.0", "close, keep-alive", False, False),
    ],
)
def test_whether_another_request_may_follow(version: str, connection: str, asks: bool, allows: bool) -> None:
    for lines in ((f"Connection: {connection}",), ("Connection: y", f"Connection: {connection}")):
        parsed = parse_head(head("Host: x", *lines, "Content-Length: 0", first=f"POST / HTTP/{version}"))
        assert (parsed.asks_keep_alive, parsed.allows_more) == (asks, allows)


def test_who_asks_for_an_upgrade_is_not_upgraded() -> None:
    parsed = parse_head(head("Host: x", "Connection: upgrade", "Upgrade: websocket", "Content-Length: 2"))
    assert (parsed.content_length, parsed.allows_more) == (2, True)


def test_only_http_1_1_may_wait_to_be_told_to_send() -> None:
    assert not parse_head(head("Expect: 100-continue", first="POST / HTTP/1.0")).expects_continue
    assert not parse_head(head("Host: x", "Expect: something")).expects_continue


def test_a_length_may_have_any_number_of_zeros_in_front() -> None:
    assert parse_head(head("Host: x", f"Content-Length: {'0' * 5000}2")).content_length == 2


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"NONSENSE\r\n\r\n", PARSE),
        (b"\r\n\r\n", PARSE),
        (head(first="get / HTTP/1.1"), PARSE),
        (head(first="GET / HTTP/3.0"), PARSE),
        (head(first="POST * HTTP/1.1"), PARSE),
        (head(first="GET x HTTP/1.1"), PARSE),
        (head(), PARSE),
        (head("Host: x", first="GET /\xff HTTP/1.1"), PARSE),
        (head("no colon", "Host: x"), PARSE),
        (head("Host : x"), PARSE),
        (head("Host: x", "X: a\0b"), PARSE),
        (head("Host: x", "X: a", " folded"), PARSE),
        (head("Host: x", "Host: x"), PARSE),
        (head("Host: x", "Content-Type: a", "content-type: a"), PARSE),
        (head("Host: x", "Transfer-Encoding: what"), PARSE),
        (head("Host: x").replace(b"\r\n", b"\n"), PARSE),
        (head("Host: x", "Content-Length: "), LENGTH),
        (head("Host: x", "Content-Length: +1"), LENGTH),
        (head("Host: x", "Content-Length: 1 1"), LENGTH),
        (head("Host: x", "Content-Length: " + "9" * 20), LENGTH),
        (head("Host: x", "Content-Length: 1", "Content-Length: 1"), LENGTH),
        (head("Host: x", "Content-Length: 1", "Transfer-Encoding: chunked"), LENGTH),
        (head("Host: x", "Transfer-Encoding: chunked", "Content-Length: 1"), LENGTH),
        (head("Host: x", *["X: x"] * 128), LARGE),
    ],
    ids=range(24),
)
def test_what_is_no_head_is_told_why(data: bytes, text: str) -> None:
    with pytest.raises(BadHead) as caught:
        parse_head(data)
    assert caught.value.text == text
    assert caught.value.reason


def test_a_head_that_ends_too_soon_is_none() -> None:
    reader = HeadReader()
    reader.feed(b"GET / HTTP/1.0\r\n")
    with pytest.raises(BadHead):
        reader.finish()


# -- in pieces ------------------------------------------------------------------------------------------------------


def test_a_head_in_pieces_is_given_back_whole_with_what_is_behind_it() -> None:
    whole = head("Host: x", "Content-Length: 2") + b"{}GET"
    end = whole.index(b"{}")
    partial = PartialHead(limit=LIMIT)
    assert [partial.feed(whole[i : i + 1]) for i in range(end - 1)] == [None] * (end - 1)
    assert partial.feed(whole[end - 1 :]) == whole


def test_empty_lines_before_a_head_are_given_back_too() -> None:
    partial = PartialHead(limit=LIMIT)
    assert partial.feed(b"\r\n") is None
    assert partial.feed(b"\r\nGET") == b"\r\n\r\nGET"


def test_pieces_that_cannot_become_a_head_are_refused_at_once() -> None:
    partial = PartialHead(limit=LIMIT)
    assert partial.feed(b"GET / HT") is None
    with pytest.raises(BadHead):
        partial.feed(b"ML")


@pytest.mark.parametrize("excess", [0, 1])
def test_a_head_in_pieces_has_the_same_limit(excess: int) -> None:
    partial = PartialHead(limit=LIMIT)
    begin = b"GET / HTTP/1.1\r\nX: "
    assert partial.feed(begin) is None
    rest = b"x" * (LIMIT - len(begin) - 4 + excess) + b"\r\n\r\n"
    if not excess:
        assert partial.feed(rest) == begin + rest
        return
    with pytest.raises(BadHead) as caught:
        partial.feed(rest)
    assert caught.value.text == LARGE


@given(st.binary(max_size=40), st.data())
def test_the_splits_make_no_difference(tail: bytes, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\nHost: x", b"\r\n\r\n"])) + tail

    def outcome(*pieces: bytes) -> bool:
        partial = PartialHead(limit=LIMIT)
        try:
            return any(partial.feed(piece) is not None for piece in pieces)
        except BadHead:
            return False

    at = data.draw(st.integers(0, len(whole)))
    assert outcome(whole[:at], whole[at:]) == outcome(whole)


# -- behind -----------------------------------------------------------------------------------------------------------

OPEN = RequestHead(method="POST", target="/", allows_more=True)
CLOSED = RequestHead(method="POST", target="/", allows_more=False)


@pytest.mark.parametrize(("before", "data"), [(OPEN, b""), (OPEN, b"\r\nGE"), (OPEN, head()), (CLOSED, b"\r\n")])
def test_what_may_follow_a_request(before: RequestHead, data: bytes) -> None:
    check_behind(before, data)


@pytest.mark.parametrize(("before", "data"), [(OPEN, b" x"), (OPEN, b"NONSENSE"), (CLOSED, head())])
def test_what_must_not(before: RequestHead, data: bytes) -> None:
    with pytest.raises(BadHead):
        check_behind(before, data)
