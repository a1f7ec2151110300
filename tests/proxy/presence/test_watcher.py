"""Notices of what observers are told: a channel's first subscriber and its last, and the ends of connections."""

from __future__ import annotations

import pytest

from handlers.protocol.names import Channel
from handlers.protocol.observed import Connected, Delivered, Disconnected, Observed, Subscribed
from proxy.presence.watcher import PresenceWatcher
from proxy.protocol.presence_notice import ChannelSubscribed, ChannelUnsubscribed, ConnectionEnded, Notice, Started

C = Channel("c")
HAPPENING: tuple[Observed, ...] = (
    Connected("1-a", "stream", "::1"),
    Subscribed("stream", C, 1),
    Subscribed("ws", C, 1),
    Subscribed("stream", C, 2),
    Delivered(C, None, "ws-message", 1),
    Subscribed("stream", C, 0),
    Disconnected("1-a", "stream", (C,), route="r"),
    Disconnected("1-b", "response", (C,)),
    Subscribed("ws", C, 0),
    Subscribed("ws", C, 0),
    Disconnected("1-c", "ws"),
)


def notices(*, channels: bool = True, connections: bool = True) -> list[Notice]:
    told: list[Notice] = []
    watcher = PresenceWatcher(told.append, channels=channels, connections=connections, wall=lambda: 7.0)
    watcher.start()
    for event in HAPPENING:
        watcher.observe(event)
    return told


def test_a_channel_counts_once_whoever_is_on_it() -> None:
    assert notices() == [
        Started(at=7.0),
        ChannelSubscribed(at=7.0, channel=C),
        ConnectionEnded(at=7.0, id="1-a", kind="stream", channels=(C,), route="r"),
        ChannelUnsubscribed(at=7.0, channel=C),
        ConnectionEnded(at=7.0, id="1-c", kind="ws", channels=()),
    ]


@pytest.mark.parametrize(
    ("channels", "connections", "kinds"),
    [
        (True, False, [Started, ChannelSubscribed, ChannelUnsubscribed]),
        (False, True, [Started, ConnectionEnded, ConnectionEnded]),
    ],
)
def test_what_is_not_wanted_is_not_told(channels: bool, connections: bool, kinds: list[type[Notice]]) -> None:
    told = notices(channels=channels, connections=connections)
    assert [type(each) for each in told] == kinds
