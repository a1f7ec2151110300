"""Answers cut out of a backend's bytes: the same however they are split, bounded, and never one for another."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import is_token
from proxy.protocol.answer_head import AnswerHeadError
from proxy.protocol.answer_parser import HEAD_LIMIT, HEADER_LIMIT, INTERIM_LIMIT, AnswerParser, AnswerSyntaxError

LENGTH = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"
TO_EOF = b"HTTP/1.1 200 OK\r\n\r\nhello"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Found:
    status: int | None
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    is_complete: bool
    keeps_connection: bool


def parsed(*pieces: bytes, parser: AnswerParser | None = None, is_head: bool = False, ends: bool = False) -> Found:
    parser = parser or AnswerParser()
    parser.begin(is_head)
    for piece in pieces:
        if parser.is_complete:
            break
        parser.feed(piece)
    if ends:
        parser.end()
    head = parser.head
    return Found(
        status=head.status if head else None,
        reason=head.reason if head else b"",
        headers=head.headers if head else (),
        body=b"".join(parser.pieces),
        is_complete=parser.is_complete,
        keeps_connection=parser.keeps_connection,
    )


@pytest.mark.parametrize("data", [LENGTH, CHUNKED, INTERIM + INTERIM + LENGTH], ids=["length", "chunked", "interim"])
def test_an_answer_is_the_same_whole_and_byte_by_byte(data: bytes) -> None:
    found = parsed(data)
    assert (found.status, found.reason, found.body) == (200, b"OK", b"hello")
    assert found.is_complete
    assert found.keeps_connection
    assert all(name not in (b"Link", b"Trailer") for name, _ in found.headers)
    assert parsed(*(data[index : index + 1] for index in range(len(data)))) == found


@given(st.data())
def test_an_answer_is_the_same_however_it_is_split(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([LENGTH, CHUNKED, INTERIM + CHUNKED, TO_EOF]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert parsed(*pieces, ends=True) == parsed(whole, ends=True)


@given(st.lists(st.binary(max_size=80), max_size=4), st.sampled_from([b"", LENGTH[:20], CHUNKED[:50], SWITCH[:40]]))
def test_any_bytes_give_an_answer_or_the_documented_errors(pieces: list[bytes], start: bytes) -> None:
    try:
        found = parsed(start, *pieces, ends=True)
    except (AnswerSyntaxError, AnswerHeadError):
        return
    assert found.status is None or 200 <= found.status <= 999 or found.status == 101


def test_one_parser_reads_one_answer_after_the_other() -> None:
    parser = AnswerParser()
    for data in (LENGTH, CHUNKED, INTERIM + LENGTH, b"HTTP/1.1 204 No Content\r\n\r\n", LENGTH):
        assert parsed(data, parser=parser) == parsed(data)


def test_a_body_without_length_ends_with_the_connection_and_no_other_does() -> None:
    assert parsed(TO_EOF).is_complete is False
    found = parsed(TO_EOF, ends=True)
    assert (found.body, found.is_complete, found.keeps_connection) == (b"hello", True, False)
    for cut in (LENGTH[:-1], CHUNKED[:-1], LENGTH[:30], INTERIM, b""):
        assert parsed(cut, ends=True).is_complete is False


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_no_body_comes_with_these_whatever_their_length_says(status: bytes) -> None:
    found = parsed(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")
    assert found.is_complete
    assert found.keeps_connection


def test_the_answer_to_a_head_ends_with_its_head_and_the_connection_with_it() -> None:
    for data in (LENGTH, LENGTH[:-5], CHUNKED, TO_EOF):
        found = parsed(data, is_head=True)
        assert (found.status, found.body, found.is_complete, found.keeps_connection) == (200, b"", True, False)


@pytest.mark.parametrize(
    "behind",
    [LENGTH, INTERIM, LENGTH[:20], b"H", b"garbage\r\n\r\n"],
    ids=["answer", "interim", "part", "byte", "noise"],
)
def test_what_stands_behind_an_answer_ends_the_connection_and_changes_nothing(behind: bytes) -> None:
    other = behind.replace(b"200 OK", b"500 NO").replace(b"X-A", b"X-B").replace(b"hello", b"other")
    found, alone = parsed(LENGTH + other), parsed(LENGTH)
    assert alone.keeps_connection
    assert not found.keeps_connection
    assert (found.status, found.reason, found.headers, found.body) == (
        alone.status, alone.reason, alone.headers, alone.body,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
    ],
)
def test_an_answer_says_whether_another_may_follow(data: bytes, keeps: bool) -> None:
    found = parsed(data)
    assert (found.is_complete, found.keeps_connection) == (True, keeps)


def test_old_backends_are_understood() -> None:
    """Lines that end in LF, a folded line, no reason: what a client is to put up with."""
    found = parsed(b"HTTP/1.1 200\nX: a\nContent-Length:2\n\nhi")
    assert (found.headers, found.body) == (((b"X", b"a"), (b"Content-Length", b"2")), b"hi")
    folded = parsed(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nhi")
    assert folded.headers[0][0] == b"X"
    assert b"\n" not in folded.headers[0][1]


# -- slips that are mended ----------------------------------------------------------------------------------------

A_LINE = b"X-A: 1"
MENDED: dict[str, tuple[bytes, bool]] = {
    "a length twice": (LENGTH.replace(A_LINE, b"Content-Length: 5"), True),
    "a length twice in a line": (LENGTH.replace(b": 5", b": 5, 5"), True),
    "white space before the colon": (LENGTH.replace(b"X-A:", b"X-A :"), True),
    "white space before a length's colon": (LENGTH.replace(b"Length:", b"Length :"), True),
    "no name": (LENGTH.replace(b"X-A", b""), True),
    "a name of two words": (LENGTH.replace(b"X-A", b"X A"), True),
    "length and chunks": (CHUNKED.replace(b"Transfer", b"Content-Length: 7\r\nTransfer", 1), False),
    "chunks and length": (CHUNKED.replace(b"chunked", b"chunked\r\nContent-Length: 7", 1), False),
    "behind interim answers": (INTERIM + INTERIM + LENGTH.replace(b"X-A", b"X A"), True),
    "in an interim answer": (INTERIM + INTERIM.replace(b"Link", b"L k") + LENGTH.replace(A_LINE, b"Y: z"), True),
    "HTTP/2": (LENGTH.replace(b"HTTP/1.1", b"HTTP/2"), False),
}


@pytest.mark.parametrize(("data", "keeps"), MENDED.values(), ids=MENDED.keys())
def test_an_answer_with_a_slip_is_read(data: bytes, keeps: bool) -> None:
    found = parsed(data)
    assert (found.status, found.reason, found.body) == (200, b"OK", b"hello")
    assert (found.is_complete, found.keeps_connection) == (True, keeps)
    framing = [name for name, _ in found.headers if name in (b"Content-Length", b"Transfer-Encoding")]
    assert len(framing) == 1
    assert all(is_token(name) for name, _ in found.headers)
    for size in range(1, len(data)):
        assert parsed(*(data[start : start + size] for start in range(0, len(data), size))) == found
    assert not parsed(data + LENGTH).keeps_connection
    for cut in range(len(data)):
        assert not parsed(data[:cut], ends=True).is_complete


def test_what_was_left_out_of_an_answer_is_told_once() -> None:
    parser = AnswerParser()
    for data, dropped in ((MENDED["a name of two words"][0], (b"X A",)), (LENGTH, ())):
        assert parsed(data, parser=parser).keeps_connection
        assert parser.head is not None
        assert parser.head.dropped == dropped


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_no_body_comes_with_these_though_length_and_chunks_say_so(status: bytes) -> None:
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
    for data in (head, head + b"0\r\n\r\n"):
        found = parsed(data)
        assert (found.body, found.is_complete, found.keeps_connection) == (b"", True, False)


def test_slips_in_the_answer_to_a_head_and_in_one_that_ends_with_the_connection() -> None:
    for data in MENDED.values():
        found = parsed(data[0], is_head=True)
        assert (found.body, found.is_complete, found.keeps_connection) == (b"", True, False)
    found = parsed(TO_EOF.replace(b"OK\r\n", b"OK\r\nA B: c\r\n"), ends=True)
    assert (found.body, found.is_complete) == (b"hello", True)


@pytest.mark.parametrize("size", [1, 30, 1000])
def test_a_101_with_a_slip_ends_http_too(size: int) -> None:
    parser = AnswerParser()
    parser.begin(False, True)
    data = SWITCH.replace(b"Upgrade: x", b"A B: c\r\nUpgrade : x") + LENGTH
    behind = b""
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        if parser.is_switched:
            behind += piece
        else:
            parser.feed(piece)
    assert parser.is_switched
    assert parser.tail + behind == LENGTH


# -- 101 ----------------------------------------------------------------------------------------------------------


def test_a_101_that_was_asked_for_ends_http() -> None:
    parser = AnswerParser()
    parser.begin(False, True)
    parser.feed(INTERIM + SWITCH + LENGTH)
    assert parser.head is not None
    assert (parser.head.status, parser.is_switched, parser.is_complete, parser.tail) == (101, True, True, LENGTH)
    assert not parser.keeps_connection


@pytest.mark.parametrize("may_switch", [False, True])
@pytest.mark.parametrize("data", [SWITCH, b"HTTP/1.1 101 X\r\n\r\n", b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n"])
def test_any_other_101_is_none(data: bytes, may_switch: bool) -> None:
    parser = AnswerParser()
    parser.begin(False, may_switch)
    parser.feed(data)
    assert parser.head is not None
    assert parser.head.status == 101
    assert parser.is_switched is (may_switch and data is SWITCH)


# -- bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEAD_LIMIT + 10) + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000,
        b"HTTP/1.1 200 " + b"x" * 300_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (HEADER_LIMIT + 1) + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nA B: c\r\nX: " + b"x" * 300_000,
        b"HTTP/1.1 200 OK\r\nA B: c\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b":\r\n" * (HEADER_LIMIT + 1) + b"\r\n",
        b"HTTP/1.1 103 Early\r\nA B: c\r\n\r\n" * (INTERIM_LIMIT + 1) + LENGTH,
        INTERIM * (INTERIM_LIMIT + 1) + LENGTH,
        INTERIM * 10_000,
        CHUNKED[:-16] + b"X: " + b"x" * 300_000,
        CHUNKED[:-16] + b"X: y\r\n" * 100_000,
        CHUNKED[: CHUNKED.index(b"3;x")] + b"3;x=" + b"x" * 600_000,
    ],
    ids=[
        "header", "header without end", "reason without end", "headers", "headers without end",
        "mended, without end", "mended", "mended, headers", "mended, interim answers", "interim answers",
        "interim answers alone", "trailer", "trailers", "chunk extension",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1000, 65_536, 262_144])
def test_nothing_is_gathered_without_end(data: bytes, size: int) -> None:
    """Whatever one read brings, which is up to 256 KiB."""
    with pytest.raises(AnswerSyntaxError):
        parsed(*(data[start : start + size] for start in range(0, len(data), size)))


def test_as_many_interim_answers_as_may_come_do() -> None:
    assert parsed(INTERIM * INTERIM_LIMIT + LENGTH).body == b"hello"


def test_long_bodies_are_not_bounded_here() -> None:
    chunk = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert len(parsed(head, *[chunk] * 40, b"0\r\n\r\n").body) == 40 * 0xFFFF


# -- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"what is this\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nA B: c\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA B: c\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 100 Go on\r\nA B: c\r\n\r\nHTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_answer_or_could_be_read_in_two_ways_is_refused(data: bytes, size: int) -> None:
    with pytest.raises((AnswerSyntaxError, AnswerHeadError)):
        parsed(*(data[start : start + size] for start in range(0, len(data), size)))


def test_what_came_of_a_body_before_it_turned_out_bad_is_there() -> None:
    parser = AnswerParser()
    parser.begin()
    parser.feed(CHUNKED[: CHUNKED.index(b"3;x")])
    with pytest.raises(AnswerSyntaxError):
        parser.feed(b"3\r\nllo\r\nzz\r\n")
    assert b"".join(parser.pieces) == b"hello"


def test_a_parser_that_was_dropped_holds_nothing() -> None:
    parser = AnswerParser()
    parser.drop()
    assert not hasattr(parser, "_parser")
