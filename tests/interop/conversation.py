"""What the backends on gripcontrol's WebSocketContext say on a WebSocket; `express_backend.mjs` and `index.php` say
the same, so that one set of tests serves all four.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol


class Context(Protocol):
    """What is used of a gripcontrol.WebSocketContext."""

    id: str
    meta: dict[str, str]
    close_code: int | None

    def is_opening(self) -> bool: ...
    def accept(self) -> None: ...
    def subscribe(self, channel: str) -> None: ...
    def can_recv(self) -> bool: ...
    def recv(self) -> str | bytes | None: ...
    def send(self, message: str) -> None: ...
    def send_binary(self, message: bytes) -> None: ...
    def detach(self) -> None: ...
    def close(self, code: int | None = None) -> None: ...


def converse(context: Context, channel: str, *, signed: bool, publish: Callable[[str], object]) -> None:
    """Take what one request says. `publish` publishes on the channel to which the WebSocket is subscribed."""
    if context.is_opening():
        context.accept()
        context.subscribe(channel)
        context.meta["user"] = "alice"
        context.send("opened")
    while context.can_recv():
        try:
            message = context.recv()
        except OSError:
            publish("somebody has vanished")
            return
        match message:
            case None:
                context.close(context.close_code)
            case bytes():
                context.send_binary(message)
            case "whoami":
                context.send(json.dumps({"id": context.id, "meta": context.meta, "signed": signed}))
            case "detach":
                context.send("detaching")
                context.detach()
            case "close":
                context.close()
            case _ if message.startswith("close "):
                context.close(int(message.removeprefix("close ")))
            case _:
                context.send(message)
