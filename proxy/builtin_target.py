"""The `test` target: a backend inside the proxy, to try holds without writing one (reference 1.8)."""

from __future__ import annotations

from urllib.parse import parse_qs

from handlers.protocol.http1 import Headers, standard_reason
from handlers.protocol.names import Channel
from handlers.protocol.ws_frames import Frame, Opcode
from handlers.websocket import WebSocketSession
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
    resource, channels = read_path(path, route)
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


def answer_test_socket(path: bytes, route: Route) -> tuple[Channel, ...] | None:
    """Return the channels that a WebSocket to `path` is put on; None for a path that takes none."""
    resource, channels = read_path(path, route)
    return tuple(map(Channel, channels)) if resource == b"/ws" else None


def read_path(path: bytes, route: Route) -> tuple[bytes, list[str]]:
    """Return the resource that `path` names and the channels its query asks for."""
    resource, _, query = path.partition(b"?")
    resource = b"/" + resource.removeprefix(route.path_beg).lstrip(b"/")
    return resource, parse_qs(query.decode("utf-8", "replace")).get("channel", ["test"])


class EchoLink:
    """The link of a WebSocket to the test target (`handlers.door.WebSocketLink`): whatever comes goes back."""

    __slots__ = ("_session",)

    _session: WebSocketSession

    def adopt(self, session: WebSocketSession) -> None:
        """Belong to `session`."""
        self._session = session

    def begin(self) -> None:
        """The session is attached; there is nothing to say."""

    def receive(self, frame: Frame) -> None:
        """Send a frame back, a ping as a pong."""
        match frame.opcode:
            case Opcode.CLOSE:
                self._session.echo()
            case Opcode.PING:
                self._session.relay(Frame(Opcode.PONG, frame.data))
            case Opcode.PONG:
                pass
            case _:
                self._session.relay(frame)

    def close_by_us(self) -> None:
        """Nobody needs to know."""

    def client_gone(self) -> None:
        """Nobody needs to know."""

    def refresh(self) -> None:
        """Nobody is asked."""

    def client_behind(self, is_behind: bool) -> None:
        """What is sent back is bounded by `outbox_limit`."""
