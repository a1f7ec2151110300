"""Which slips of a backend's head are mended, and which are not, because two could read them in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.answer_mending import BeyondMending, HeadMender, MendedHead, mend_head, resembles_framing

OK = b"HTTP/1.1 200 OK\r\n"

MENDED: dict[str, tuple[bytes, bytes, tuple[bytes, ...], bool]] = {
    "nothing": (OK + b"X: y\r\n\r\n", OK + b"X: y\r\n\r\n", (), True),
    "LF": (b"HTTP/1.1 200 OK\nX: y\n\n", OK + b"X: y\r\n\r\n", (), True),
    "no reason": (b"HTTP/1.1 200\r\n\r\n", b"HTTP/1.1 200\r\n\r\n", (), True),
    "a length twice": (
        OK + b"Content-Length: 2\r\ncontent-length:2 \r\n\r\n", OK + b"Content-Length: 2\r\n\r\n", (), True,
    ),
    "a length twice in a line": (OK + b"Content-Length: 2, 2\r\n\r\n", OK + b"Content-Length: 2\r\n\r\n", (), True),
    "length and chunks": (
        OK + b"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n", (), False,
    ),
    "chunks and length": (
        OK + b"transfer-encoding: chunked\r\nX: y\r\nContent-Length : 7\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\nX: y\r\n\r\n", (), False,
    ),
    "white space before the colon": (OK + b"X-A : b\r\nX-B\t \t:c\r\n\r\n", OK + b"X-A: b\r\nX-B:c\r\n\r\n", (), True),
    "names that are none": (
        OK + b"Bad Header: x\r\nX: y\r\nX(a): x\r\n: x\r\n:\r\nX\xe4: z\r\n\r\n", OK + b"X: y\r\n\r\n",
        (b"Bad Header", b"X(a)", b"", b"", b"X\xe4"), True,
    ),
    "a line that goes on, too": (
        OK + b"X: y\r\n z\r\nBad Header: x\r\n Content-Length: 5\r\n\tmore\r\nY: z\r\n\r\n",
        OK + b"X: y\r\n z\r\nY: z\r\n\r\n", (b"Bad Header",), True,
    ),
    "HTTP/2": (b"HTTP/2 204 No\r\nX: y\r\n\r\n", b"HTTP/1.1 204 No\r\nX: y\r\n\r\n", (), False),
    "HTTP/1.2": (b"HTTP/1.2 200\r\n\r\n", b"HTTP/1.1 200\r\n\r\n", (), False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nX : y\r\n\r\n", b"HTTP/1.0 200 OK\r\nX: y\r\n\r\n", (), True),
}  # fmt: skip


@pytest.mark.parametrize(("head", "data", "dropped", "is_certain"), MENDED.values(), ids=MENDED.keys())
def test_what_is_read_in_one_way_only_is_mended(
    head: bytes, data: bytes, dropped: tuple[bytes, ...], is_certain: bool
) -> None:
    assert mend_head(head) == MendedHead(data=data, dropped=dropped, is_certain=is_certain)
    assert mend_head(data).data == data


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/ 200 OK\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"HTTP/11.1 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b" " + OK + b"\r\n",
        OK + b"nonsense\r\n\r\n",
        OK + b" X: y\r\n\r\n",
        OK + b"X: a\rY: b\r\n\r\n",
        OK + b"X: a\r\r\n\r\n",
        OK + b"Bad Header: a\rY: b\r\n\r\n",
        OK + b"X: a\x00\r\n\r\n",
        OK + b"X\x01: a\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 02\r\n\r\n",
        OK + b"Content-Length: 2, 3\r\n\r\n",
        OK + b"Content-Length: 2,\r\n\r\n",
        OK + b"Content-Length: +2\r\n\r\n",
        OK + b"Content-Length: 2 2\r\n\r\n",
        OK + b"Content-Length:\r\n\r\n",
        OK + b"Content-Length: 2x\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: 2\r\n 3\r\n\r\n",
        OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n",
        OK + b"Content Length: 2\r\n\r\n",
        OK + b"(Content-Length): 2\r\n\r\n",
        OK + b"Transfer-Encoding\xa0: chunked\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_not(head: bytes) -> None:
    with pytest.raises(BeyondMending):
        mend_head(head)


def test_names_that_resemble_those_of_the_framing_are_told() -> None:
    assert resembles_framing(b"Content\xa0Length ")
    assert resembles_framing(b"TRANSFER-ENCODING")
    assert not resembles_framing(b"X Content-Length")
    assert not resembles_framing(b"")


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_heads_are_gathered_one_by_one(size: int) -> None:
    data = b"HTTP/2 103 Early\nA B: c\n\n" + OK + b"X : y\r\n\r\nbody"
    mender = HeadMender("why")
    heads: list[bytes] = []
    for start in range(0, len(data), size):
        mender.gather(data[start : start + size])
        while len(heads) < 2 and (mended := mender.next_head()) is not None:
            heads.append(mended.data)
    assert heads == [b"HTTP/1.1 103 Early\r\n\r\n", OK + b"X: y\r\n\r\n"]
    assert mender.rest() == b"body"
    assert len(mender) == 4


@pytest.mark.parametrize("start", [b"\x16\x03", b"SSH-2.0", b"\r", b"HTTP/1.1 20 OK\r\n", b"HTTPS"])
def test_what_does_not_begin_like_a_head_is_not_waited_for(start: bytes) -> None:
    mender = HeadMender("why")
    mender.gather(start)
    with pytest.raises(BeyondMending):
        mender.next_head()


@given(st.binary(max_size=60), st.sampled_from([b"", OK, OK + b"Content-Length: 2\r\n", OK + b"A : b\r\n"]))
def test_what_was_mended_needs_no_more(noise: bytes, start: bytes) -> None:
    head = (start + noise).replace(b"\n\n", b"").replace(b"\n\r\n", b"") + b"\r\n\r\n"
    try:
        mended = mend_head(head)
    except BeyondMending:
        return
    again = mend_head(mended.data)
    assert (again.data, again.dropped) == (mended.data, ())
