"""What observers are told, on its way between processes, and what somebody wants to know."""

from __future__ import annotations

import pytest

from handlers.protocol.link import Seen, encode_up, parse_up
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.observed import Connected, Delivered, Disconnected, Interest, Observed, Subscribed

C = Channel("c")


@pytest.mark.parametrize(
    "event",
    [
        Subscribed("response", C, 3),
        Connected("1-a", "stream", "::1", is_tls=True, route="r"),
        Connected("1-a", "ws", ""),
        Disconnected("1-a", "ws", (C, Channel("d")), route="r"),
        Delivered(C, ItemId("i"), "http-response", 2),
        Delivered(C, None, "ws-message", 1),
    ],
)
def test_each_kind_goes_to_another_process_as_it_is(event: Observed) -> None:
    assert parse_up(encode_up(Seen((event, event)))) == Seen((event, event))


def test_interests_add_up() -> None:
    assert not Interest().is_any
    both = Interest(channels=True) | Interest(deliveries=True)
    assert both == Interest(channels=True, deliveries=True)
    assert both.is_any
    assert (Interest() | Interest(connections=True)).is_any
