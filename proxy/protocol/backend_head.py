"""The head of a request to a backend: values to bytes.

Used by `proxy.upstream`. Which headers go there is `proxy.protocol.headers`' business; here they only get their
framing. What a client sends is read by `proxy.protocol.request_head`, what a backend answers by `answer_head`.
"""

from __future__ import annotations

from handlers.protocol.http1 import Headers

BODYLESS = frozenset((b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"))
"""Methods that say nothing about a body when there is none (RFC 9110 section 8.6)."""


def encode_request_head(
    *, method: bytes, path: bytes, headers: Headers, length: int | None, host: bytes | None = None
) -> bytes:
    """Encode a head, blank line included (RFC 9112 sections 3 and 6).

    `path` is the origin-form target. `headers` have a Host, whose value `host` replaces unless that is None, and no
    framing. `length` is that of the body in bytes; None for one that comes in chunks.
    """
    lines = [b"%b %b HTTP/1.1" % (method, path)]
    if host is not None:
        headers = tuple([(name, host if name.lower() == b"host" else value) for name, value in headers])
    lines += map(b": ".join, headers)
    if length is None:
        lines.append(b"Transfer-Encoding: chunked")
    elif length > 0 or method not in BODYLESS:
        lines.append(b"Content-Length: %d" % length)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)
