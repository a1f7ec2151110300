"""The `test` target: a backend inside the proxy, to try holds without writing one (reference 1.8)."""

from __future__ import annotations

from urllib.parse import parse_qs

from handlers.protocol.http1 import Headers, standard_reason
from proxy.protocol.route import Route

TEXT = (b"Content-Type", b"text/plain")


class BuiltinAnswer:
    """An answer made here, in the shape of a backend's (`proxy.holding.HeldAnswer`)."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.reason = standard_reason(status)
        self.headers = headers
        self.length: int | None = len(body)
        self.has_body_waiting = True
        self._body = body

    async def read(self) -> bytes:
        """Return the body at once, then nothing."""
        body, self._body = self._body, b""
        return body


def answer_test(path: bytes, route: Route) -> BuiltinAnswer:
    """Return what the test target answers to `path` (origin-form, with its query)."""
    resource, _, query = path.partition(b"?")
    resource = b"/" + resource.removeprefix(route.path_beg).lstrip(b"/")
    channels = parse_qs(query.decode("utf-8", "replace")).get("channel", ["test"])
    match resource:
        case b"/":
            return BuiltinAnswer(200, (TEXT,), b"Hello from the Holdfast test handler!\n")
        case b"/response":
            return BuiltinAnswer(200, hold_headers("response", channels), b"nothing for now\n")
        case b"/stream":
            return BuiltinAnswer(200, hold_headers("stream", channels), b"[stream opened]\n")
        case _:
            return BuiltinAnswer(404, (TEXT,), b"no such test resource\n")


def hold_headers(mode: str, channels: list[str]) -> Headers:
    """Return the headers of a hold on `channels`."""
    names = tuple((b"Grip-Channel", channel.encode("utf-8", "replace")) for channel in channels)
    return (TEXT, (b"Grip-Hold", mode.encode()), *names)
