from __future__ import annotations

from publish_api.body import Body


def test_a_body_is_put_together_from_its_pieces() -> None:
    body = Body(6, b"ab")
    assert (body.size, body.missing) == (2, 4)
    assert body.feed(b"cd") == b""
    assert (body.size, body.missing) == (4, 2)
    assert body.feed(b"efGET") == b"GET"
    assert (body.size, body.missing) == (6, 0)
    assert body.join() == b"abcdef"


def test_none_of_it_may_be_here() -> None:
    body = Body(2, b"")
    assert body.feed(b"abc") == b"c"
    assert body.join() == b"ab"
