"""What the SUB socket subscribes to as channels get and lose their listeners (row P07)."""

from __future__ import annotations

import pytest

from handlers.protocol.carried_name import carry
from handlers.protocol.names import Channel
from handlers.protocol.observed import Connected, Mode, Subscribed
from publish_api.zeromq.sub_channels import SubChannels


class Socket:
    """Notes what it is asked for."""

    def __init__(self, *, takes_wildcards: bool = False) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.channels = SubChannels(
            subscribe=lambda beginning: self.asked.append(("+", beginning)),
            unsubscribe=lambda beginning: self.asked.append(("-", beginning)),
            takes_wildcards=takes_wildcards,
        )

    def on(self, channel: str, subscribers: int, mode: Mode = "stream") -> None:
        self.channels.observe(Subscribed(mode, Channel(channel), subscribers))


def test_p07_the_first_listener_of_any_kind_and_the_last() -> None:
    socket = Socket()
    socket.on("a", 1)
    socket.on("a", 2)
    socket.on("a", 1, "ws")
    socket.on("a", 0)
    socket.on("a", 0, "response")
    socket.on("b\u00e4", 1, "response")
    socket.on("a", 0, "ws")
    socket.on("a", 0, "ws")
    assert socket.asked == [("+", b"a"), ("+", "b\u00e4".encode()), ("-", b"a")]


def test_names_that_are_no_text_are_the_bytes_they_are() -> None:
    socket = Socket(takes_wildcards=True)
    for name in ("a\udcff", "a\udcfe", "\udcff*"):
        socket.on(carry(name), 1)
    socket.on(carry("a\udcff"), 0)
    assert socket.asked == [("+", b"a\xff"), ("+", b"a\xfe"), ("+", b"\xff"), ("-", b"a\xff")]


@pytest.mark.parametrize(("takes_wildcards", "beginning"), [(True, b"a"), (False, b"a*")])
def test_a_wildcard_is_how_names_begin_where_it_is_one(takes_wildcards: bool, beginning: bytes) -> None:
    socket = Socket(takes_wildcards=takes_wildcards)
    socket.on("a*", 1)
    socket.on("a*", 0)
    assert socket.asked == [("+", beginning), ("-", beginning)]


def test_connections_are_nothing_to_it_and_nothing_is_once_it_is_closed() -> None:
    socket = Socket()
    socket.channels.observe(Connected("1-a", "ws", "::1"))
    socket.channels.close()
    socket.on("a", 1)
    socket.on("a", 0)
    assert socket.asked == []
