"""Streams fed to a RequestFramer in pieces, and what came of them: the ground of the framing tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy.protocol.framing import FramingLimits, RequestError, RequestFramer, RequestHead

NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
"""A sound request to stand behind the one under test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request received whole: its head, parsed and as it came, its body decoded, and all bytes it was made from."""

    head: RequestHead
    head_bytes: bytes
    body: bytes
    sent: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Framed:
    """The outcome of one stream: the whole requests, what there is of one more, and how it ended.

    `begun` is what came of that one's body, `rest` are all its bytes. Where it is refused both depend on the splits,
    as the refusal takes the place of what was received with it, and are b"".
    """

    requests: tuple[Request, ...]
    head: RequestHead | None
    head_bytes: bytes
    begun: bytes
    rest: bytes
    error: tuple[int, str] | None


def frame(pieces: Iterable[bytes], limits: FramingLimits | None = None) -> Framed:
    """Feed `pieces` and go on to the next request as long as there is one."""
    framer = RequestFramer(limits or FramingLimits())
    requests: list[Request] = []
    begun = b""
    rest = bytearray()
    error = None
    try:
        for piece in pieces:
            rest += piece
            begun += framer.receive(piece)
            while framer.is_complete:
                assert framer.head is not None
                sent = bytes(rest[: len(rest) - framer.kept])
                requests.append(Request(head=framer.head, head_bytes=framer.head_bytes, body=begun, sent=sent))
                del rest[: len(sent)]
                begun = b""
                begun = framer.next()
    except RequestError as refused:
        begun = b""
        rest.clear()
        error = (refused.status, str(refused))
    return Framed(
        requests=tuple(requests),
        head=framer.head,
        head_bytes=framer.head_bytes,
        begun=begun,
        rest=bytes(rest),
        error=error,
    )


def bytewise(stream: bytes) -> Iterator[bytes]:
    """Yield `stream` byte by byte."""
    return (stream[index : index + 1] for index in range(len(stream)))


def cut(stream: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Yield `stream` cut at the given places, in any order; places beyond it count from its start again."""
    places = sorted({place % (len(stream) + 1) for place in cuts})
    for start, end in zip([0, *places], [*places, len(stream)], strict=True):
        yield stream[start:end]
