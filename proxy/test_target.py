"""The `test` target: a backend inside the proxy, to try holds without writing one (reference 1.8)."""

from __future__ import annotations

from urllib.parse import parse_qs

from handlers.protocol.http1 import Headers
from proxy.holding import GripAnswer
from proxy.protocol.route import Route, Target

TEXT = (b"Content-Type", b"text/plain")
BODY_LIMIT = 100_000


def answer_test(*, path: bytes, route: Route, target: Target) -> GripAnswer:
    """Return what the test target answers to `path` (origin-form, with its query)."""
    resource, _, query = path.partition(b"?")
    resource = b"/" + resource.removeprefix(route.path_beg).lstrip(b"/")
    channels = parse_qs(query.decode("utf-8", "replace")).get("channel", ["test"])
    match resource:
        case b"/":
            return make_answer(target, 200, (TEXT,), b"Hello from the Holdfast test handler!\n")
        case b"/response":
            return make_answer(target, 200, hold_headers("response", channels), b"nothing for now\n")
        case b"/stream":
            return make_answer(target, 200, hold_headers("stream", channels), b"[stream opened]\n")
        case _:
            return make_answer(target, 404, (TEXT,), b"no such test resource\n")


def hold_headers(mode: str, channels: list[str]) -> Headers:
    """Return the headers of a hold on `channels`."""
    names = tuple((b"Grip-Channel", channel.encode("utf-8", "replace")) for channel in channels)
    return (TEXT, (b"Grip-Hold", mode.encode()), *names)


def make_answer(target: Target, status: int, headers: Headers, body: bytes) -> GripAnswer:
    """Return an answer whose body is read in one piece."""
    pieces = [body]

    async def read() -> bytes:
        return pieces.pop() if pieces else b""

    reason = b"OK" if status == 200 else b"Not Found"
    return GripAnswer(
        target=target, status=status, reason=reason, headers=headers, length=len(body), is_waiting=False, read=read
    )
