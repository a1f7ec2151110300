"""One item of `holdfast publish` by ZeroMQ, to a PULL socket such as `zeromq.pull` (reference 6.2, 8.4).

Called by `publish_api.commands`, for `tcp://` and `ipc://`. There is no answer: it is known that the item has left for
somebody who speaks ZeroMQ, and no more.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec
import zmq

from handlers.protocol.item_json import encode_item
from handlers.protocol.items import Item
from handlers.protocol.zmq_spec import ZmqSpec, parse_spec
from handlers.zeromq.binding import Context, connect, open_socket
from publish_api.errors import CommandError

PATIENCE: Final = 5.0
"""Seconds until somebody must be there, and then again until he must have taken the item."""


def push(text: str, item: Item, *, patience: float = PATIENCE) -> None:
    """Send the item to the endpoint, and return when it has left. Raises CommandError."""
    try:
        spec = parse_spec(text)
    except ValueError as error:
        raise CommandError(str(error)) from error
    message = b"J" + msgspec.json.encode(encode_item(item))
    context: Context = zmq.Context()
    try:
        _send(context, spec, message, patience)
        begun = time.monotonic()
    finally:
        context.term()  # waits for what has not left, as long as the socket lingers
    if time.monotonic() - begun >= patience:
        raise CommandError(f"{spec.text} did not take the item within {patience:g} seconds")


def _send(context: Context, spec: ZmqSpec, message: bytes, patience: float) -> None:
    """Hand the message to a connection that is there: without one, ZeroMQ would keep it and say nothing."""
    socket = open_socket(context, zmq.PUSH)
    linger = 0
    try:
        socket.setsockopt(zmq.IMMEDIATE, 1)
        connect(socket, spec)
        if not socket.poll(int(patience * 1000), zmq.POLLOUT):
            raise CommandError(f"nobody takes items by ZeroMQ at {spec.text}: tried for {patience:g} seconds")
        socket.send(message, flags=zmq.NOBLOCK)
        linger = int(patience * 1000)
    except OSError as error:
        raise CommandError(f"cannot connect to {spec.text}: {error.strerror}") from error
    except zmq.ZMQError as error:
        raise CommandError(f"{spec.text} is gone again: {error}") from error
    finally:
        socket.close(linger=linger)
