"""Which requests are equal, and which answers are nobody's own (reference 3.15)."""

from __future__ import annotations

import pytest

from handlers.protocol.http1 import Headers
from proxy.protocol.shareable import may_share, request_key

SENT: Headers = ((b"Host", b"h"), (b"Cookie", b"a=b"), (b"Grip-Sig", b"x"), (b"Grip-Feature", b"f"))


def test_requests_are_told_apart_by_all_that_the_backend_sees_but_our_signature() -> None:
    key = request_key(b"/a?b", SENT)
    later = tuple((name, b"y" if name == b"Grip-Sig" else value) for name, value in SENT)
    assert request_key(b"/a?b", later) == key
    assert request_key(b"/a?c", SENT) != key
    for position, (name, value) in enumerate(SENT):
        if name != b"Grip-Sig":
            others = (*SENT[:position], (name, value + b"!"), *SENT[position + 1 :])
            assert request_key(b"/a?b", others) != key
    assert request_key(b"/a?b", (*SENT, (b"Grip-Last", b"a; last-id=1"))) != key
    assert request_key(b"/a?b", tuple(reversed(SENT))) != key


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"Content-Type", b"text/html"), (b"Cache-Control", b"no-cache, max-age=0")),
        ((b"Cache-Control", b"must-revalidate, x-private, not-no-store"),),
        ((b"Vary", b"Cookie, Accept"),),
        ((b"Content-Type", b"text/event-stream"), (b"Grip-Hold", b"stream")),
    ],
)
def test_answers_for_everybody(headers: Headers) -> None:
    assert may_share(headers)


@pytest.mark.parametrize(
    "header",
    [
        (b"set-cookie", b"id=1"),
        (b"Set-Cookie", b""),
        (b"Grip-Session-Id", b"s"),
        (b"Cache-Control", b"private"),
        (b"cache-control", b"max-age=0, Private, must-revalidate"),
        (b"Cache-Control", b'private="X-User"'),
        (b"Cache-Control", b"no-store"),
        (b"Vary", b"*"),
        (b"Content-Type", b"text/event-stream; charset=utf-8"),
    ],
)
def test_answers_of_somebodys_own(header: tuple[bytes, bytes]) -> None:
    assert not may_share(((b"X-A", b"1"), header))
