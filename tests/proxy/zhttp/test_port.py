from __future__ import annotations

import pytest
import zmq

from handlers.protocol.zmq_spec import parse_spec
from handlers.zeromq.binding import Context, bind, open_socket
from proxy.zhttp.port import AT_ONCE, Parts, Port
from tests.proxy.zhttp.conftest import Make
from tests.support.turns import settle, until


class Ends:
    """A port that is bound, and what it has heard."""

    def __init__(self, context: Context, kind: int, endpoint: str, *, reads: bool = True) -> None:
        socket = open_socket(context, kind)
        bind(socket, parse_spec(endpoint))
        self.taken: list[Parts] = []
        self.stirs = 0
        self.port = Port(socket, take=self.taken.append if reads else None, stirred=self._stir)

    def _stir(self) -> None:
        self.stirs += 1


async def test_messages_go_both_ways(context: Context, peer: Make, base: str) -> None:
    ends = Ends(context, zmq.PAIR, base)
    other = peer(zmq.PAIR, base)
    other.send_multipart([b"a", b"b"])
    await until(lambda: ends.taken)
    assert ends.taken == [[b"a", b"b"]]
    assert ends.port.try_send([b"c"])
    assert other.recv_multipart() == [b"c"]
    ends.port.close()


async def test_many_messages_are_read_in_turns_and_none_is_forgotten(context: Context, peer: Make, base: str) -> None:
    ends = Ends(context, zmq.PULL, base)
    other = peer(zmq.PUSH, base)
    for number in range(5 * AT_ONCE):
        other.send(b"%d" % number)
    await until(lambda: len(ends.taken) == 5 * AT_ONCE)
    assert ends.taken[-1] == [b"%d" % (5 * AT_ONCE - 1)]
    ends.port.close()


async def test_it_says_when_somebody_has_come(context: Context, peer: Make, base: str) -> None:
    ends = Ends(context, zmq.PUSH, base, reads=False)
    assert not ends.port.try_send([b"x"])
    await settle()
    stirs = ends.stirs
    other = peer(zmq.PULL, base)
    await until(lambda: ends.stirs > stirs and ends.port.try_send([b"x"]))
    assert other.recv() == b"x"
    ends.port.close()


async def test_a_fault_behind_a_message_costs_no_other(
    context: Context, peer: Make, base: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bytes] = []

    def take(parts: Parts) -> None:
        heard.append(parts[0])
        if parts[0] == b"bad":
            raise RuntimeError

    socket = open_socket(context, zmq.PULL)
    bind(socket, parse_spec(base))
    port = Port(socket, take=take, stirred=lambda: None)
    other = peer(zmq.PUSH, base)
    other.send(b"bad")
    await until(lambda: heard)
    other.send(b"good")
    await until(lambda: heard == [b"bad", b"good"])
    assert "a message of ZHTTP was not handled" in caplog.text
    port.close()


async def test_a_closed_port_sends_nothing(context: Context, base: str) -> None:
    ends = Ends(context, zmq.PAIR, base)
    ends.port.close()
    ends.port.close()
    assert not ends.port.try_send([b"x"])
    await settle()
    assert ends.taken == []
