from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.protocol.http1 import LAST_CHUNK, encode_chunk
from proxy.protocol.framing import FramingLimits, RequestError, RequestFramer
from proxy.protocol.request_error import Refusal
from tests.proxy.protocol.framed import NEXT, bytewise, cut, frame
from tests.proxy.protocol.sound_requests import Sound, damaged_streams, sound_requests

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CUTS = st.lists(st.integers(0, 2000), max_size=8)


def with_line(line: bytes) -> bytes:
    return POST + line + b"\r\n\r\n"


# A head, what is sent behind it, and the body that is.
SOUND = [
    pytest.param(GET + b"\r\n", b"", b"", id="a plain request"),
    pytest.param(b"GET / HTTP/1.0\r\n\r\n", b"", b"", id="HTTP/1.0 without Host"),
    pytest.param(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", b"", b"", id="HTTP/1.0 with Host"),
    pytest.param(b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"", id="absolute-form"),
    pytest.param(b"GET http://b/#c HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"", id="absolute-form with a fragment"),
    pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"", id="asterisk-form"),
    pytest.param(b"GET //a/../%2F%?+#x HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"", id="an odd but sound path"),
    pytest.param(b"GET /\x80\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"", id="bytes past ASCII in the target"),
    pytest.param(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"", id="a method nobody knows"),
    pytest.param(b"get / HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"", id="a method in lower case, which is another"),
    pytest.param(GET + b"X-Empty:\r\nX-Blank: \t \r\nX-Any: \t\x80\xff:\r\n\r\n", b"", b"", id="odd values"),
    pytest.param(GET + b"User-Agent: a\r\nuser-agent: b\r\n\r\n", b"", b"", id="a header repeated"),
    pytest.param(POST + b"Content-Length: 0\r\n\r\n", b"", b"", id="an empty body"),
    pytest.param(POST + b"Content-Length: 5\r\n\r\n", b"hello", b"hello", id="a body"),
    pytest.param(POST + b"content-LENGTH:\t 05 \t\r\n\r\n", b"hello", b"hello", id="a length in disguise"),
    pytest.param(
        POST + b"Content-Length: 21\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n\r\n\n",
        b"GET / HTTP/1.1\r\n\r\n\r\n\n",
        id="a body like a request",
    ),
    pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n", b"", id="an empty chunked body"),
    pytest.param(
        POST + b"Transfer-Encoding:\tChunked\t\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n", b"hello", id="a chunked body"
    ),
    pytest.param(POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", b"", b"", id="an upgrade"),
]

UNSOUND = [
    (b"\r\n" * 9 + GET + b"\r\n", Refusal.EMPTY_LINES),
    (b"\n" + GET + b"\r\n", Refusal.BARE_LF),
    (b"GET / HTTP/1.1\nHost: a\r\n\r\n", Refusal.BARE_LF),
    (b"GET / HTTP/1.1\nHost: a\n\n", Refusal.BARE_LF),
    (GET + b"X: a\nX: b\r\n\r\n", Refusal.BARE_LF),
    (GET + b"X: a\r\n\n", Refusal.BARE_LF),
    (b"GET / HTTP/1.1\rHost: a\r\n\r\n", Refusal.BARE_CR),
    (GET + b"X: a\rX: b\r\n\r\n", Refusal.BARE_CR),
    (GET + b"X: a\r\r\n\r\n", Refusal.BARE_CR),
    (b"\r" + GET + b"\r\n", Refusal.BARE_CR),
    (GET + b"X: a\x00b\r\n\r\n", Refusal.NUL),
    (GET + b"X\x00: a\r\n\r\n", Refusal.NUL),
    (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.NUL),
    (b"GET /\x1f HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.CONTROL),
    (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.CONTROL),
    (GET + b"X: \x0b\r\n\r\n", Refusal.CONTROL),
    (b"\x16\x03\x01\x02\x00\x01", Refusal.CONTROL),  # TLS to a port without
    (b"GET\r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b"GET /\r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),  # HTTP/0.9
    (b"GET HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b"GET / http/1.1\r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b"GET / HTTP/1\r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b"GET / HTTP/11\r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b"Host: a\r\n\r\n", Refusal.REQUEST_LINE),
    (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.METHOD),
    (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.METHOD),
    (b"GET\t / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.METHOD),
    (b"G\xc9T / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.METHOD),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.CONNECT),
    (b"CONNECT / HTTP/1.0\r\n\r\n", Refusal.CONNECT),
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_SPACE),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_SPACE),
    (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_SPACE),
    (b"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_SPACE),
    (b"GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_SPACE),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_FORM),
    (b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_FORM),
    (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_FORM),
    (b"GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_FORM),
    (b"GET http://a#@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_FORM),
    (b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_HOST),
    (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_HOST),
    (b"GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.TARGET_HOST),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refusal.VERSION),
    (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", Refusal.VERSION),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal.VERSION),
    (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refusal.OBS_FOLD),
    (GET + b"X: a\r\n\tb\r\n\r\n", Refusal.OBS_FOLD),
    (GET + b"X\r\n\r\n", Refusal.NO_COLON),
    (GET + b": a\r\n\r\n", Refusal.NAME_EMPTY),
    (with_line(b"Content-Length : 5"), Refusal.NAME_SPACE),
    (with_line(b"Transfer-Encoding\t: chunked"), Refusal.NAME_SPACE),
    (GET + b"X Y: a\r\n\r\n", Refusal.NAME),
    (GET + b"X\xff: a\r\n\r\n", Refusal.NAME),
    (GET + b"(X): a\r\n\r\n", Refusal.NAME),
    (b"GET / HTTP/1.1\r\n\r\n", Refusal.HOST_MISSING),
    (b"GET http://a/ HTTP/1.1\r\n\r\n", Refusal.HOST_MISSING),
    (GET + b"host: a\r\n\r\n", Refusal.HOST_REPEATED),
    (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Refusal.HOST_REPEATED),
    (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Refusal.HOST),
    (b"OPTIONS * HTTP/1.0\r\nHost:\r\n\r\n", Refusal.HOST),
    (b"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", Refusal.HOST),
    *((b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host, Refusal.HOST) for host in (b"", b"a b", b"a/b", b"u@a", b"a\xff")),
    *(
        (b"GET / HTTP/1.0\r\nHost:%b\r\n\r\n" % host, Refusal.HOST)
        for host in (b":80", b"a:b", b"a:65536", b"[:", b"[.]")
    ),
    (with_line(b"Content-Length: 5\r\nTransfer-Encoding: chunked"), Refusal.LENGTH_AND_CODING),
    (with_line(b"Transfer-Encoding: gzip\r\nContent-Length: x"), Refusal.LENGTH_AND_CODING),
    (with_line(b"Content-Length: 5\r\nContent-Length: 6"), Refusal.LENGTH_REPEATED),
    (with_line(b"Content-Length: 5\r\nX: a\r\ncontent-length: 5"), Refusal.LENGTH_REPEATED),
    *(
        (with_line(b"Content-Length:" + value), Refusal.LENGTH)
        for value in (b"", b" ", b"+5", b"-5", b"5, 5", b"5,6", b"5 5", b"0x5", b"5.0", b"5a", b"\xb2", b"\xd9\xa3")
    ),
    (with_line(b"Content-Length: 1000000000000000000"), Refusal.LENGTH_TOO_LARGE),
    (with_line(b"Content-Length: 18446744073709551621"), Refusal.LENGTH_TOO_LARGE),
    (with_line(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), Refusal.CODING_REPEATED),
    (with_line(b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity"), Refusal.CODING_REPEATED),
    (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refusal.CODING_BEFORE_1_1),
    *(
        (with_line(b"Transfer-Encoding:" + value), Refusal.CODING)
        for value in (b"", b"gzip", b"chunked, gzip", b"chunked, chunked", b"gzip, chunked, chunked", b", chunked")
    ),
    *(
        (with_line(b"Transfer-Encoding: " + value), Refusal.CODING)
        for value in (b"chunked,", b"xchunked", b"chunked;a", b"chunked,,", b'"chunked"', b"chunked x", b"identity")
    ),
    (with_line(b"Transfer-Encoding: gzip, chunked"), Refusal.CODING_UNKNOWN),
    (with_line(b"Transfer-Encoding: identity, chunked"), Refusal.CODING_UNKNOWN),
    (with_line(b"Expect: 100-continue;a=b"), Refusal.EXPECTATION),
    (with_line(b"Expect: y 100-continue"), Refusal.EXPECTATION),
    (with_line(b"Expect: 100-continue\r\nContent-Length: 0\r\nExpect: 200-ok"), Refusal.EXPECTATION),
]


@pytest.mark.parametrize(("head_bytes", "sent", "body"), SOUND)
def test_a_sound_request_is_taken_apart(head_bytes: bytes, sent: bytes, body: bytes) -> None:
    whole = frame([head_bytes + sent])
    assert [(request.head_bytes, request.body) for request in whole.requests] == [(head_bytes, body)]
    assert (whole.head, whole.begun, whole.error) == (None, b"", None)
    assert frame(bytewise(head_bytes + sent)) == whole


@pytest.mark.parametrize(("head_bytes", "sent", "body"), SOUND)
def test_a_request_behind_a_sound_one_is_kept_apart(head_bytes: bytes, sent: bytes, body: bytes) -> None:
    both = frame([head_bytes + sent + NEXT])
    assert [(request.head_bytes, request.body) for request in both.requests] == [(head_bytes, body), (NEXT, b"")]
    assert frame(bytewise(head_bytes + sent + NEXT)) == both


@pytest.mark.parametrize(("stream", "refusal"), UNSOUND)
def test_an_unsound_request_is_refused_however_it_comes(stream: bytes, refusal: Refusal) -> None:
    error = refusal.error()
    for pieces in ([stream], bytewise(stream), [stream + NEXT], bytewise(stream + NEXT)):
        framed = frame(pieces)
        assert framed.requests == ()
        assert framed.error == (error.status, error.text)


@pytest.mark.parametrize(("stream", "refusal"), UNSOUND)
def test_an_unsound_request_does_not_spoil_the_one_before_it(stream: bytes, refusal: Refusal) -> None:
    framed = frame([NEXT + stream])
    assert [request.head_bytes for request in framed.requests] == [NEXT]
    assert framed.error == (refusal.error().status, refusal.error().text)


def test_an_incomplete_head_says_nothing() -> None:
    framer = RequestFramer(FramingLimits())
    assert framer.receive(GET) == b""
    assert (framer.head, framer.head_bytes, framer.has_body, framer.is_complete) == (None, b"", False, False)
    assert framer.receive(b"\r\n") == b""
    assert (framer.head_bytes, framer.has_body, framer.is_complete) == (GET + b"\r\n", False, True)
    assert framer.head is not None


def test_a_body_is_handed_out_as_it_comes() -> None:
    framer = RequestFramer(FramingLimits())
    assert framer.receive(POST + b"Content-Length: 6\r\n\r\nab") == b"ab"
    assert framer.receive(b"cd") == b"cd"
    assert framer.kept == 0
    assert framer.receive(b"efGET") == b"ef"
    assert framer.kept == 3


def test_a_chunked_body_is_handed_out_as_it_comes() -> None:
    framer = RequestFramer(FramingLimits())
    pieces = (
        POST + b"Transfer-Encoding: chunked\r\n\r\n6\r\nab",
        b"cd",
        b"ef\r",
        b"\n2",
        b"\r\ngh\r\n0\r\nX: y\r\n\r\nGET",
    )
    assert [framer.receive(piece) for piece in pieces] == [b"ab", b"cd", b"ef", b"", b"gh"]
    assert framer.take_kept() == b"GET"


def test_what_is_read_inside_a_body_is_not_copied() -> None:
    framer = RequestFramer(FramingLimits())
    framer.receive(POST + b"Content-Length: 100000\r\n\r\n")
    read = bytes(65536)
    assert framer.receive(read) is read


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"X: 1", False),
        (b"Content-Length: 0", False),
        (b"Content-Length: 1", True),
        (b"Transfer-Encoding: chunked", True),
    ],
)
def test_a_head_announces_its_body(line: bytes, *, expected: bool) -> None:
    framer = RequestFramer(FramingLimits())
    framer.receive(with_line(line))
    assert framer.has_body is expected


def test_bytes_beyond_the_request_are_kept_and_given_back() -> None:
    framer = RequestFramer(FramingLimits())
    framer.receive(GET + b"\r\n" + NEXT[:10])
    assert framer.receive(NEXT[10:]) == b""
    assert framer.kept == len(NEXT)
    assert framer.take_kept() == NEXT
    assert (framer.kept, framer.take_kept()) == (0, b"")


def test_the_next_request_begins_with_the_bytes_kept() -> None:
    framer = RequestFramer(FramingLimits())
    put = POST + b"Content-Length: 3\r\n\r\n"
    framer.receive(GET + b"\r\n" + put + b"abc" + NEXT[:20])
    assert framer.next() == b"abc"
    assert (framer.head_bytes, framer.is_complete) == (put, True)
    assert framer.next() == b""
    assert (framer.head, framer.is_complete, framer.kept, framer.take_kept()) == (None, False, 0, b"")
    assert framer.receive(NEXT[20:]) == b""
    assert framer.head_bytes == NEXT


def test_what_follows_an_upgrade_is_kept_unread() -> None:
    framer = RequestFramer(FramingLimits())
    framer.receive(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x80\x00\x00\x00\x00")
    assert framer.head is not None
    assert framer.head.upgrade == b"websocket"
    assert framer.take_kept() == b"\x81\x80\x00\x00\x00\x00"


@pytest.mark.parametrize("received", [b"", GET, POST + b"Content-Length: 1\r\n\r\n"])
def test_no_next_request_begins_before_the_current_one_ends(received: bytes) -> None:
    framer = RequestFramer(FramingLimits())
    framer.receive(received)
    with pytest.raises(RuntimeError):
        framer.next()


def test_after_a_refusal_nothing_passes_any_more() -> None:
    framer = RequestFramer(FramingLimits())
    framer.receive(GET[:5])
    for data in (b"\n", NEXT, b""):
        with pytest.raises(RequestError, match=r"^Failed to parse request: bare LF$"):
            framer.receive(data)
    assert framer.kept == 0
    assert framer.take_kept() == b""


def test_empty_lines_before_a_request_line_are_skipped_up_to_the_bound() -> None:
    for count in range(9):
        stream = b"\r\n" * count + NEXT + b"\r\n" * count + NEXT
        for pieces in ([stream], bytewise(stream)):
            assert [request.head_bytes for request in frame(pieces).requests] == [NEXT, NEXT]


def test_a_head_may_be_as_long_as_the_limit_and_no_longer() -> None:
    limits = FramingLimits(head=len(NEXT))
    longer = NEXT.replace(b"/next", b"/next2")
    for lead in (b"", b"\r\n\r\n"):  # what is skipped does not count
        for tail in (b"", NEXT):
            assert frame([lead + NEXT + tail], limits).requests
            for pieces in ([lead + longer + tail], bytewise(lead + longer + tail)):
                framed = frame(pieces, limits)
                assert framed.error == (400, f"Request header size exceeded limit of {len(NEXT)} bytes.")
                assert framed.requests == ()


def test_headers_may_be_as_many_as_the_limit_and_no_more() -> None:
    limits = FramingLimits(headers=3)
    assert frame([GET + b"X: 1\r\n" * 2 + b"\r\n"], limits).requests
    framed = frame([GET + b"X: 1\r\n" * 3 + b"\r\n"], limits)
    assert framed.error == (400, "Failed to parse request: more than 3 headers")


def test_a_long_head_byte_by_byte_is_searched_once() -> None:
    # Quadratic work would make this test take minutes.
    stream = GET + b"X: " + b"x" * 32000 + b"\r\n\r\n"
    assert frame(bytewise(stream)).requests[0].head_bytes == stream


@given(st.lists(sound_requests(), min_size=1, max_size=4), CUTS)
def test_sound_requests_come_out_as_they_were_made(sounds: list[Sound], cuts: list[int]) -> None:
    framed = frame(cut(b"".join(sound.sent for sound in sounds), cuts))
    assert framed.error is None
    for sound, request in zip(sounds, framed.requests, strict=True):
        head = request.head
        assert (request.head_bytes, request.body) == (sound.head_bytes, sound.body)
        assert (head.method, head.target, head.version) == (sound.method, sound.target, sound.version)
        assert (head.host, head.chunked, head.headers) == (sound.host, sound.chunked, sound.headers)
        if not sound.chunked:
            assert (head.content_length or 0) == len(sound.body)


@given(st.binary(max_size=200) | damaged_streams(), CUTS)
@example(b"\r\r\n\r\n", [1, 2, 3, 4])
@example(b"\r\n\r\n\n", [1, 2, 3, 4])
def test_the_splits_of_a_stream_change_nothing(stream: bytes, cuts: list[int]) -> None:
    whole = frame([stream])
    assert frame(cut(stream, cuts)) == whole
    assert frame(bytewise(stream)) == whole


@given(damaged_streams(), CUTS, st.integers(1, 80), st.integers(0, 6))
def test_the_splits_of_a_stream_change_nothing_at_narrow_limits(
    stream: bytes, cuts: list[int], size: int, number: int
) -> None:
    limits = FramingLimits(
        head=size, headers=number, chunk_line=size // 8 + 1, trailers=size // 4 + 1, empty_lines=number
    )
    whole = frame([stream], limits)
    assert frame(cut(stream, cuts), limits) == whole
    assert frame(bytewise(stream), limits) == whole


@given(damaged_streams(), CUTS)
def test_requests_stand_in_the_stream_one_behind_the_other(stream: bytes, cuts: list[int]) -> None:
    framed = frame(cut(stream, cuts))
    assert stream.startswith(b"".join(request.sent for request in framed.requests) + framed.rest)
    for request in framed.requests:
        skipped, _, body = request.sent.partition(request.head_bytes)
        assert not skipped.strip(b"\r\n")
        assert request.head.chunked or body == request.body


@given(damaged_streams())
def test_a_request_can_be_encoded_again(stream: bytes) -> None:
    """What is kept for a retry parses to the same request (`proxy.connection.Feed.request_bytes`)."""
    for request in frame([stream]).requests:
        body = encode_chunk(request.body) + LAST_CHUNK if request.head.chunked else request.body
        [again] = frame([request.head_bytes + body]).requests
        assert (again.head, again.body) == (request.head, request.body)
