from __future__ import annotations

from handlers.hub.auth import Shown
from handlers.hub.publication import Publication, make_publication
from handlers.protocol.http1 import Headers


async def read() -> bytes:
    return b"body"


def test_a_post_is_a_publication() -> None:
    headers: Headers = (
        (b"Authorization", b"Bearer a"),
        (b"Cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"ORIGIN", b"https://page.example"),
        (b"Referer", b"https://page.example/x"),
        (b"Content-Type", b"application/json"),
        (b"authorization", b"Bearer b"),
    )

    found = make_publication(
        headers, b"authorization=t%20&x=y&authorization=u", resource="https://hub.example", read=read, is_old_path=True
    )

    assert found == Publication(
        shown=Shown(
            method="POST",
            authorization=(b"Bearer a", b"Bearer b"),
            cookies=(b"a=1", b"b=2"),
            query_tokens=("t ", "u"),
            origin=b"https://page.example",
            referer=b"https://page.example/x",
        ),
        resource="https://hub.example",
        content_type=b"application/json",
        read=read,
        is_old_path=True,
    )


def test_a_bare_one_shows_nothing() -> None:
    assert make_publication((), b"", resource="r", read=read) == Publication(
        shown=Shown(method="POST"), resource="r", content_type=None, read=read
    )
