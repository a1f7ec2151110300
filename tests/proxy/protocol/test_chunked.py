from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from proxy.protocol.chunked import ChunkedBody
from proxy.protocol.framing import FramingLimits
from proxy.protocol.request_error import Refusal, RequestError
from tests.proxy.protocol.framed import NEXT, bytewise, cut, frame

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

# What is sent, and the body it is.
SOUND = [
    (b"0\r\n\r\n", b""),
    (b"0000\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"1\r\na\r\n1\r\nb\r\n000000000000001\r\nc\r\n0\r\n\r\n", b"abc"),
    (b"a\r\n0\r\n\r\n01234\r\n0\r\n\r\n", b"0\r\n\r\n01234"),
    (b"A\r\n\r\n\n\x00\xff\r\n\r\n\r\r\n0\r\n\r\n", b"\r\n\n\x00\xff\r\n\r\n\r"),
    (b'1;a\r\nx\r\n1;a=b;c="d;\\"\t\xff"\r\ny\r\n0;e=""\r\n\r\n', b"xy"),
    (b"0\r\nX-Late: 1\r\n\r\n", b""),
    (b"1\r\na\r\n0\r\nX-Late: 1\r\nCookie:\r\nX-Late: \xff\t\r\n\r\n", b"a"),
]

UNSOUND = [
    *(
        (line + b"\r\nhello\r\n0\r\n\r\n", Refusal.CHUNK_SIZE)
        for line in (b"", b" 5", b"5 ", b"5\t", b"+5", b"-5", b"0x5")
    ),
    *(
        (line + b"\r\nhello\r\n0\r\n\r\n", Refusal.CHUNK_SIZE)
        for line in (b"g", b"5g", b"5,5", b"5 ;a", b";a", b"\xff")
    ),
    (b"1000000000000000\r\n", Refusal.CHUNK_TOO_LARGE),
    (b"10000000000000005\r\nhello\r\n0\r\n\r\n", Refusal.CHUNK_TOO_LARGE),
    (b"0000000000000005\r\nhello\r\n0\r\n\r\n", Refusal.CHUNK_TOO_LARGE),
    *(
        (b"5;%b\r\nhello\r\n" % extension, Refusal.CHUNK_EXTENSION)
        for extension in (b"", b" a", b"a ", b"a=", b"=b", b"a;")
    ),
    *(
        (b"5;%b\r\nhello\r\n" % extension, Refusal.CHUNK_EXTENSION)
        for extension in (b'a="', b'a="b"c', b"a=\xff", b"a=b=c")
    ),
    (b"5;" + b"a" * 1021 + b"\r\nhello\r\n", Refusal.CHUNK_LINE),
    (b"5\r\nhello0\r\n\r\n", Refusal.CHUNK_END),
    (b"5\r\nhello\n0\r\n\r\n", Refusal.CHUNK_END),
    (b"5\r\nhello\r0\r\n\r\n", Refusal.CHUNK_END),
    (b"5\r\nhello!\r\n0\r\n\r\n", Refusal.CHUNK_END),
    (b"5\nhello\r\n0\r\n\r\n", Refusal.BARE_LF),
    (b"0\n\r\n", Refusal.BARE_LF),
    (b"0\r\n\n", Refusal.BARE_LF),
    (b"0\r\nX: a\n\r\n", Refusal.BARE_LF),
    (b"5;a\rb\r\nhello\r\n", Refusal.BARE_CR),
    (b"5\r\r\nhello\r\n", Refusal.BARE_CR),
    (b"5g\r\nhel\x00lo\r\n", Refusal.CHUNK_SIZE),  # and not for what follows the line
    (b"0\r\nX: a\rb\r\n\r\n", Refusal.BARE_CR),
    (b"5;a\x00\r\nhello\r\n", Refusal.NUL),
    (b"5;a=\x01\r\nhello\r\n", Refusal.CONTROL),
    (b"0\r\nX: a\r\n b\r\n\r\n", Refusal.OBS_FOLD),
    (b"0\r\nX\r\n\r\n", Refusal.NO_COLON),
    (b"0\r\n: a\r\n\r\n", Refusal.NAME_EMPTY),
    (b"0\r\nX : a\r\n\r\n", Refusal.NAME_SPACE),
    (b"0\r\nX(: a\r\n\r\n", Refusal.NAME),
    (b"0\r\nX: " + b"a" * 8192 + b"\r\n\r\n", Refusal.TRAILERS_TOO_LARGE),
    *(
        (b"0\r\n%b: 1\r\n\r\n" % name, Refusal.TRAILER_NAME)
        for name in (b"host", b"Content-Length", b"TRANSFER-ENCODING")
    ),
    (b"0\r\nX: 1\r\nHost: b\r\n\r\n", Refusal.TRAILER_NAME),
]


@pytest.mark.parametrize(("sent", "body"), SOUND)
def test_a_sound_body_is_decoded_and_ends_where_it_ends(sent: bytes, body: bytes) -> None:
    for tail, bodies in ((b"", [body]), (NEXT, [body, b""])):
        stream = HEAD + sent + tail
        whole = frame([stream])
        assert [request.body for request in whole.requests] == bodies
        assert (whole.head, whole.error) == (None, None)
        assert frame(bytewise(stream)) == whole


@pytest.mark.parametrize(("body", "refusal"), UNSOUND)
def test_an_unsound_body_is_refused_however_it_comes(body: bytes, refusal: Refusal) -> None:
    error = refusal.error()
    stream = HEAD + body
    for pieces in ([stream], bytewise(stream), [stream + NEXT], bytewise(stream + NEXT)):
        framed = frame(pieces)
        assert framed.requests == ()
        assert framed.head is not None
        assert framed.error == (error.status, error.text)


def test_an_incomplete_line_waits_and_data_does_not() -> None:
    body = ChunkedBody(line_limit=100, trailers_limit=100, max_trailers=1)
    assert body.advance(b"5", 0) == (b"", 0)
    assert body.advance(b"5\r", 0) == (b"", 0)
    assert body.advance(b"5\r\nhe", 0) == (b"he", 5)
    assert body.advance(b"llo\r", 0) == (b"llo", 3)
    assert body.advance(b"\r\n1\r\n!\r\n2\r\n\r\n\r\n0\r\n", 0) == (b"!\r\n", 18)
    assert not body.is_complete
    assert body.advance(b"\r", 0) == (b"", 0)
    assert body.advance(b"\r\nrest", 0) == (b"", 2)
    assert body.is_complete


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_body_may_begin_anywhere_in_either_kind_of_buffer(kind: type[bytes | bytearray]) -> None:
    body = ChunkedBody(line_limit=100, trailers_limit=100, max_trailers=1)
    buffer = kind(b"head5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nrest")
    data, end = body.advance(buffer, 4)
    assert (data, type(data), buffer[end:]) == (b"hello!", bytes, b"rest")


def test_data_inside_a_chunk_is_not_copied() -> None:
    body = ChunkedBody(line_limit=100, trailers_limit=100, max_trailers=1)
    body.advance(b"20000\r\n", 0)
    read = bytes(65536)
    assert body.advance(read, 0)[0] is read


def test_data_of_several_chunks_is_copied_once() -> None:
    body = ChunkedBody(line_limit=100, trailers_limit=100, max_trailers=1)
    read = b"8000\r\n%b\r\n8000\r\n%b\r\n" % (bytes(32768), bytes(32768))
    tracemalloc.start()
    try:
        body.advance(read, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.25 * len(read)


@pytest.mark.parametrize(
    ("at_bound", "beyond", "text"),
    [
        (b"1;a\r\nx\r\n0\r\n\r\n", b"1;ab\r\nx\r\n0\r\n\r\n", "Failed to parse request: chunk size line too long"),
        (b"0\r\nX:1\r\n\r\n", b"0\r\nX:12\r\n\r\n", "Failed to parse request: trailer section too large"),
    ],
)
def test_bounds_are_met_exactly(at_bound: bytes, beyond: bytes, text: str) -> None:
    limits = FramingLimits(chunk_line=5, trailers=7)
    for pieces in ([HEAD + at_bound], bytewise(HEAD + at_bound)):
        assert len(frame(pieces, limits).requests) == 1
    for pieces in ([HEAD + beyond], bytewise(HEAD + beyond)):
        assert frame(pieces, limits).error == (400, text)


def test_trailers_may_be_as_many_as_headers() -> None:
    limits = FramingLimits(headers=2)
    assert len(frame([HEAD + b"0\r\n" + b"X: 1\r\n" * 2 + b"\r\n"], limits).requests) == 1
    framed = frame([HEAD + b"0\r\n" + b"X: 1\r\n" * 3 + b"\r\n"], limits)
    assert framed.error == (400, "Failed to parse request: more than 2 headers")


def test_a_complete_body_takes_no_more() -> None:
    body = ChunkedBody(line_limit=100, trailers_limit=100, max_trailers=1)
    body.advance(b"0\r\n\r\n", 0)
    with pytest.raises(RuntimeError):
        body.advance(b"0\r\n\r\n", 0)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_body_or_refused(data: bytes) -> None:
    body = ChunkedBody(line_limit=20, trailers_limit=20, max_trailers=2)
    try:
        decoded, end = body.advance(data, 0)
    except RequestError:
        return
    assert 0 <= end <= len(data)
    assert len(decoded) <= end


@given(st.lists(st.binary(min_size=1, max_size=40)), st.lists(st.integers(0, 500), max_size=6))
def test_encoded_chunks_come_out_as_they_went_in(chunks: list[bytes], cuts: list[int]) -> None:
    stream = HEAD + b"".join(map(encode_chunk, chunks)) + LAST_CHUNK
    assert [request.body for request in frame(cut(stream, cuts)).requests] == [b"".join(chunks)]
