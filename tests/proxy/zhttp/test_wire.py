from __future__ import annotations

from pathlib import Path

import pytest
import zmq

from handlers.protocol.zmq_spec import parse_spec
from handlers.zeromq.binding import Context
from proxy.zhttp.wire import StreamWire, WholeWire
from tests.proxy.zhttp.conftest import Make
from tests.support.turns import until


class Owner:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.pushes = self.sends = 0

    def take(self, data: bytes) -> None:
        self.taken.append(data)

    def may_push(self) -> None:
        self.pushes += 1

    def may_send(self) -> None:
        self.sends += 1


async def test_first_messages_go_to_whoever_takes_them_and_later_ones_to_one(
    context: Context, peer: Make, base: str
) -> None:
    owner = Owner()
    wire = StreamWire(context, parse_spec(base), sender=b"me", ipc_file_mode="", owner=owner)
    assert not wire.push(b"first")
    assert not wire.send(b"worker", b"later")
    first, later = peer(zmq.PULL, f"{base}-out"), peer(zmq.ROUTER, f"{base}-out-stream")
    await until(lambda: wire.push(b"first"))
    assert first.recv() == b"first"
    await until(lambda: wire.send(b"worker", b"later"))
    assert later.recv_multipart() == [b"me", b"", b"later"]
    assert owner.pushes
    assert owner.sends
    wire.close()


async def test_answers_come_by_two_sockets(context: Context, peer: Make, base: str) -> None:
    owner = Owner()
    wire = StreamWire(context, parse_spec(base), sender=b"me", ipc_file_mode="", owner=owner)
    answers = peer(zmq.XPUB, f"{base}-in")
    later = peer(zmq.ROUTER, f"{base}-out-stream")
    await until(lambda: answers.poll(0))
    assert answers.recv() == b"\x01me "
    answers.send(b"somebody else Tx")
    answers.send(b"me Ty")
    await until(lambda: owner.taken)
    await until(lambda: wire.send(b"worker", b"hello"))
    later.send_multipart([later.recv_multipart()[0], b"", b"Tz"])
    await until(lambda: len(owner.taken) == 2)
    assert owner.taken == [b"Ty", b"Tz"]
    wire.close()


async def test_whole_messages_need_no_more_than_rep(context: Context, peer: Make, base: str) -> None:
    owner = Owner()
    wire = WholeWire(context, parse_spec(base), ipc_file_mode="600", owner=owner)
    assert Path(base.removeprefix("ipc://")).stat().st_mode & 0o777 == 0o600  # noqa: ASYNC240
    worker = peer(zmq.REP, base)
    await until(lambda: wire.push(b"asked"))
    assert worker.recv() == b"asked"
    worker.send(b"answered")
    await until(lambda: owner.taken)
    assert owner.taken == [b"answered"]
    assert not wire.send(b"worker", b"later")
    wire.close()


async def test_all_sockets_are_bound_or_none(context: Context, base: str) -> None:
    wire = WholeWire(context, parse_spec(f"{base}-in"), ipc_file_mode="", owner=Owner())
    with pytest.raises(OSError, match="Address already in use") as caught:
        StreamWire(context, parse_spec(base), sender=b"me", ipc_file_mode="", owner=Owner())
    assert caught.value.filename == f"{base}-in"
    wire.close()

    def is_bound() -> bool:
        try:
            StreamWire(context, parse_spec(base), sender=b"me", ipc_file_mode="", owner=Owner()).close()
        except OSError:
            return False  # ZeroMQ closes a moment later
        return True

    await until(is_bound)
