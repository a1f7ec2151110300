"""One item of `holdfast publish` by ZeroMQ, to a PULL socket such as `zeromq.pull` (reference 6.2, 8.4).

Called by `publish_api.commands`, for `tcp://` and `ipc://`. There is no answer: it is known that the item has left for
somebody who speaks ZeroMQ, and no more.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec
import zmq
from zmq.utils.monitor import recv_monitor_message

from handlers.protocol.item_json import encode_item
from handlers.protocol.items import Item
from handlers.protocol.zmq_spec import ZmqSpec, parse_spec
from handlers.zeromq.binding import Context, connect, open_socket
from publish_api.errors import CommandError

PATIENCE: Final = 5.0
"""Seconds until somebody must be there, and then again until he must have taken the item."""

SLACK: Final = 0.01
"""How much earlier than it should ZeroMQ may lose its patience."""


def push(text: str, item: Item, *, patience: float = PATIENCE) -> None:
    """Send the item to the endpoint, and return when it has left. Raises CommandError."""
    try:
        spec = parse_spec(text)
    except ValueError as error:
        raise CommandError(str(error)) from error
    context: Context = zmq.Context()
    socket = open_socket(context, zmq.PUSH)
    monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED)
    try:
        _reach(socket, spec, patience)
        while monitor.poll(0):
            monitor.recv_multipart()  # of connections before this one
        _send(socket, spec, b"J" + msgspec.json.encode(encode_item(item)))
        _see_off(socket, monitor, spec, patience)
    finally:
        socket.close(linger=0)
        monitor.close(linger=0)
        context.term()


def _reach(socket: zmq.Socket[bytes], spec: ZmqSpec, patience: float) -> None:
    """Wait for a connection: without one, ZeroMQ would keep the message and say nothing."""
    socket.setsockopt(zmq.IMMEDIATE, 1)
    try:
        connect(socket, spec)
    except OSError as error:
        raise CommandError(f"cannot connect to {spec.text}: {error.strerror}") from error
    if not socket.poll(int(patience * 1000), zmq.POLLOUT):
        text = f"nobody takes items by ZeroMQ at {spec.text}, which should be a PULL socket"
        raise CommandError(f"{text}: tried for {patience:g} seconds")


def _send(socket: zmq.Socket[bytes], spec: ZmqSpec, message: bytes) -> None:
    try:
        socket.send(message, flags=zmq.NOBLOCK)
    except zmq.ZMQError as error:
        raise CommandError(f"{spec.text} is gone again: {error}") from error


def _see_off(socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes], spec: ZmqSpec, patience: float) -> None:
    """Close, and wait until what was sent has left. Raises CommandError if it may not have."""
    begun = time.monotonic()
    socket.close(linger=int(patience * 1000))
    while (event := recv_monitor_message(monitor)["event"]) != zmq.EVENT_MONITOR_STOPPED:
        if event == zmq.EVENT_DISCONNECTED:
            raise CommandError(f"{spec.text} has gone while it was sent the item, which may be lost")
    if time.monotonic() - begun >= patience - SLACK:
        raise CommandError(f"{spec.text} did not take the item within {patience:g} seconds")
