"""What a publisher is answered, and the bytes of it.

Made by everybody in `publish_api` who answers a request; encoded when its turn on the connection has come, because only
then is it known whether another follows.
"""

from __future__ import annotations

import msgspec

from handlers.protocol.http1 import Headers, encode_head, standard_reason


class PublishAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: the headers given, those that frame it, and the body. `note` ends the request's log line."""

    status: int
    body: bytes
    headers: Headers = ()
    content_type: bytes = b"text/plain"
    note: str = ""


def encode_answer(answer: PublishAnswer, *, version: bytes, is_head: bool, keeps_open: bool) -> bytes:
    """Return the answer's bytes. `version` and `is_head` are the request's; `keeps_open`: another may follow it."""
    head = encode_head(
        version=b"1.0" if version == b"1.0" else b"1.1",
        status=answer.status,
        reason=standard_reason(answer.status),
        headers=(
            *answer.headers,
            (b"Content-Type", answer.content_type),
            (b"Connection", b"keep-alive" if keeps_open else b"close"),
            (b"Content-Length", b"%d" % len(answer.body)),
        ),
    )
    # Tools that know Pushpin read a body behind HEAD too. RFC 9110 section 9.3.2 forbids it, so it comes only where
    # it cannot be taken for the next answer: on a connection that ends here.
    return head if is_head and keeps_open else head + answer.body
