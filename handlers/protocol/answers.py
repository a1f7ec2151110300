"""Whole answers as bytes, and how a published answer is laid over the one the backend gave.

Used for long polls (timeout and publication), for the proxy's own short answers, and for the lines that frame those
it passes on. Which headers of a backend's answer may pass at all is `grip`'s and `proxy.protocol.headers`' matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from handlers.protocol.http1 import Headers, encode_head, has_body, header_values, hop_by_hop_names, without_headers

EXPOSE = b"grip-expose-headers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer. `headers` are without hop-by-hop ones, `Content-Length` and `Grip-*`."""

    status: int
    reason: bytes
    headers: Headers
    body: bytes


class AnswerForm(msgspec.Struct, frozen=True, kw_only=True):
    """How one connection wants its answer: HTTP version, whether it goes on afterwards, the request's method.

    A Struct, because every answer makes one.
    """

    version: bytes
    reusable: bool
    method: bytes


def encode_answer(answer: Answer, form: AnswerForm) -> bytes:
    """Encode head and body with the length, or the head alone where no body may follow (RFC 9110 section 6.4.1)."""
    headers = list(answer.headers)
    carries_body = has_body(method=b"", status=answer.status)
    if carries_body:
        headers.append((b"Content-Length", b"%d" % len(answer.body)))
    headers.extend(connection_headers(form))
    head = encode_head(version=form.version, status=answer.status, reason=answer.reason, headers=headers)
    return head + answer.body if carries_body and form.method != b"HEAD" else head


def connection_headers(form: AnswerForm, *, chunked: bool = False) -> Headers:
    """Return the `Connection` line an answer needs, with `Transfer-Encoding` when the body is chunked.

    `Transfer-Encoding` is named in `Connection` too, as Pushpin does: it is hop-by-hop.
    """
    if form.reusable and not chunked and form.version == b"1.1":
        return ()
    options = []
    if not form.reusable and form.version == b"1.1":
        options.append(b"close")
    elif form.reusable and form.version == b"1.0":
        options.append(b"keep-alive")
    if not chunked:
        return ((b"Connection", options[0]),) if options else ()
    options.append(b"Transfer-Encoding")
    return (b"Connection", b", ".join(options)), (b"Transfer-Encoding", b"chunked")


def merge_headers(held: Headers, published: Headers) -> Headers:
    """Lay published headers over the held answer's: a published name replaces every held line of that name.

    A published `Grip-Expose-Headers` leaves only the names it lists; other `Grip-*` go, and so does what Holdfast
    alone may say about its connection to the client: hop-by-hop headers and `Content-Length`.
    """
    exposed = frozenset(
        name.strip().lower() for value in header_values(published, EXPOSE) for name in value.split(b",") if name.strip()
    )
    passed = without_headers(published, hop_by_hop_names(published) | {b"content-length"})
    added = tuple(pair for pair in passed if not pair[0].lower().startswith(b"grip-"))
    replaced = frozenset(name.lower() for name, _ in added)
    merged = tuple(pair for pair in held if pair[0].lower() not in replaced) + added
    if not exposed:
        return merged
    return tuple(pair for pair in merged if pair[0].lower() in exposed)
