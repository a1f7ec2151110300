"""`holdfast publish` by ZeroMQ: the item is there when it says so, and it says who did not take it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest
import zmq

from handlers.protocol.items import HttpResponseFormat, HttpStreamFormat, Item, MessageKind, WsMessageFormat
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.zmq_spec import parse_spec
from handlers.zeromq.binding import Context, bind, open_socket
from publish_api.command_zeromq import push
from publish_api.errors import CommandError
from publish_api.protocol.item_message import parse_pulled

SOON = 0.05
"""Seconds to try where nobody comes."""

GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\0NULL" + b"\0" * 48
READY = b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PULL"


@contextmanager
def pulling(endpoint: str) -> Generator[tuple[zmq.Socket[bytes], str]]:
    context: Context = zmq.Context()
    pull = open_socket(context, zmq.PULL)
    try:
        yield pull, bind(pull, parse_spec(endpoint))
    finally:
        pull.close()
        context.term()


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_an_item_arrives_as_it_was(transport: str, tmp_path: object) -> None:
    item = Item(
        channel=Channel("\N{SNOWMAN}"),
        id=ItemId("2"),
        prev_id=ItemId("1"),
        meta=(("a", "b"),),
        http_response=HttpResponseFormat(code=404, headers=((b"A", b"b"),), body=b"\xff"),
        http_stream=HttpStreamFormat(content=b"\0\xff"),
        ws_message=WsMessageFormat(kind=MessageKind.BINARY, content=b"\xfe"),
    )
    with pulling("tcp://127.0.0.1:0" if transport == "tcp" else f"ipc://{tmp_path}/pull") as (pull, endpoint):
        await asyncio.to_thread(push, endpoint, item)
        assert parse_pulled(pull.recv_multipart()) == (item,)


ITEM = Item(channel=Channel("c"), http_stream=HttpStreamFormat(content=b"x"))


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (
            "tcp://127.0.0.1:1",
            r"^nobody takes items by ZeroMQ at tcp://127\.0\.0\.1:1, which should be a PULL",
        ),
        ("ipc:///nonexistent/pull", r"^nobody takes items by ZeroMQ at ipc:///nonexistent/pull, "),
        ("tcp://*:5560", r"^cannot connect to tcp://\*:5560: Invalid argument$"),
        ("tcp://5560", r"has no host"),
    ],
)
def test_nobody_there_is_the_error(endpoint: str, text: str) -> None:
    with pytest.raises(CommandError, match=text):
        push(endpoint, ITEM, patience=SOON)


def test_one_who_does_not_speak_zeromq_is_the_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(CommandError, match=r"^nobody takes items"):
        push(f"tcp://127.0.0.1:{server.getsockname()[1]}", ITEM, patience=SOON)


@pytest.mark.parametrize(
    ("taken", "text"),
    [
        (None, r"^tcp://127\.0\.0\.1:\d+ did not take the item within 1 seconds$"),
        (1_000_000, r"^tcp://127\.0\.0\.1:\d+ has gone while it was sent the item, which may be lost$"),
    ],
)
def test_one_who_does_not_take_all_of_it_is_the_error(taken: int | None, text: str) -> None:
    """`taken`: the bytes after which he goes; None for one who stays and takes nothing."""

    def shake_hands(server: socket.socket, done: threading.Event) -> None:
        with server.accept()[0] as peer:
            peer.sendall(GREETING + READY)
            if taken is None:
                done.wait()
            else:
                peer.recv(taken, socket.MSG_WAITALL)

    done = threading.Event()
    large = Item(channel=Channel("c"), http_stream=HttpStreamFormat(content=b"x" * 30_000_000))
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=shake_hands, args=(server, done))
        thread.start()
        try:
            with pytest.raises(CommandError, match=text):
                push(f"tcp://127.0.0.1:{server.getsockname()[1]}", large, patience=1)
        finally:
            done.set()
            thread.join()
