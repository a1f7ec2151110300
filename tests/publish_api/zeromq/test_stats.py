"""What the stats socket tells. The recorded order of one hold is that of Pushpin 1.36 (reference 7.1; row P09)."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest

from handlers.counters import Counters
from handlers.observer import Observer
from handlers.protocol.carried_name import carry
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.observed import Connected, Delivered, Disconnected, Subscribed
from publish_api.zeromq.settings import ZeroMQSettings
from publish_api.zeromq.stats import Stats
from tests.support.clock import ManualClock

C, D = Channel("c"), Channel("d")


class Telling:
    """Stats, and all that they have told."""

    def __init__(self, **settings: object) -> None:
        self.sent: list[bytes] = []
        self.interval = float(str(settings.get("stats_interval", 10)))
        self.clock = ManualClock()
        self.counters = Counters(requests=7, publications=5, deliveries=3)
        self.stats = Stats(
            self.sent.append,
            name="me",
            settings=msgspec.convert({"stats_format": "json", **settings}, ZeroMQSettings),
            clock=self.clock,
            count=lambda: self.counters,
        )
        self.observer: Observer = self.stats
        self.stats.begin()

    def told(self) -> list[tuple[str, dict[str, object]]]:
        """Return what was told since the last time, without who tells it."""
        messages = []
        for data in self.sent:
            kind, _, json = data.partition(b" J")
            fields = cast("dict[str, object]", msgspec.json.decode(json))
            assert fields.pop("from") == "me"
            if kind == b"report":
                # Up to one look at the counters late.
                assert fields.pop("duration") == pytest.approx(self.interval * 1000, abs=110)
            messages.append((kind.decode(), fields))
        self.sent.clear()
        return messages


def sub(channel: str, subscribers: int, mode: str = "stream") -> tuple[str, dict[str, object]]:
    return "sub", {"mode": mode, "channel": channel, "ttl": 60, "subscribers": subscribers}


def test_a_message_is_written_as_the_settings_say() -> None:
    telling = Telling(stats_format="tnetstring")
    telling.observer.observe(Subscribed("ws", C, 1))
    assert telling.sent == [b"sub T68:4:from,2:me,4:mode,2:ws,7:channel,1:c,3:ttl,2:60#11:subscribers,1:1#}"]


def test_a_name_that_is_no_text_is_told_as_its_bytes() -> None:
    names = [Channel(carry(name)) for name in ("a\udcff", "a\udcfe")]
    telling = Telling(stats_format="tnetstring")
    for name in names:
        telling.observer.observe(Subscribed("ws", name, 1))
        telling.observer.observe(Delivered(name, None, "ws-message", 1))
        telling.observer.observe(Subscribed("ws", name, 0))
    assert [data.count(b"2:a\xff") for data in telling.sent] == [1, 1, 1, 0, 0, 0]
    assert [data.count(b"2:a\xfe") for data in telling.sent] == [0, 0, 0, 1, 1, 1]
    telling = Telling()
    for name in names:
        telling.observer.observe(Subscribed("ws", name, 0))
        telling.observer.observe(Delivered(C, ItemId(name), "ws-message", 1))
    told = {"mode": "ws", "channel": "a\ufffd", "unavailable": True}
    item = {"item-id": "a\ufffd", "channel": "c", "count": 1, "transport": "ws-message"}
    assert telling.told() == [
        ("sub", {**told, "channel-bin": "Yf8="}),
        ("message", {**item, "item-id-bin": "Yf8="}),
        ("sub", {**told, "channel-bin": "Yf4="}),
        ("message", {**item, "item-id-bin": "Yf4="}),
    ]


def test_one_hold_is_told_of_from_its_beginning_to_its_end() -> None:
    telling = Telling()
    telling.observer.observe(Connected("id", "stream", "127.0.0.1"))
    telling.observer.observe(Subscribed("stream", C, 1))
    telling.observer.observe(Delivered(C, ItemId("i1"), "http-stream", 1))
    telling.observer.observe(Subscribed("stream", C, 0))
    telling.observer.observe(Disconnected("id", "stream", (C,)))
    assert telling.told() == [
        ("conn", {"id": "id", "type": "http", "peer-address": "127.0.0.1", "ttl": 120}),
        sub("c", 1),
        ("message", {"item-id": "i1", "channel": "c", "count": 1, "transport": "http-stream"}),
        ("sub", {"mode": "stream", "channel": "c", "unavailable": True}),
        ("conn", {"id": "id", "unavailable": True}),
    ]


def test_an_item_without_an_id_is_told_of_without_one() -> None:
    telling = Telling()
    telling.observer.observe(Delivered(C, None, "ws-message", 3))
    assert telling.told() == [("message", {"channel": "c", "count": 3, "transport": "ws-message"})]


def test_the_first_subscriber_is_told_of_at_once_and_more_of_them_in_a_moment() -> None:
    telling = Telling()
    for count in (1, 2, 3):
        telling.observer.observe(Subscribed("response", C, count))
    assert telling.told() == [sub("c", 1, "response")]
    telling.clock.advance(0.11)
    assert telling.told() == [sub("c", 3, "response")]
    telling.clock.advance(1)
    assert telling.told() == []


def test_the_same_channel_in_another_mode_is_another_thing() -> None:
    telling = Telling()
    telling.observer.observe(Subscribed("stream", C, 1))
    telling.observer.observe(Subscribed("ws", C, 1))
    telling.observer.observe(Subscribed("stream", C, 0))
    telling.told()
    telling.clock.advance(46)
    assert [told for told in telling.told() if told[0] == "sub"] == [sub("c", 1, "ws")]


def test_what_still_holds_is_told_again_in_time() -> None:
    telling = Telling(stats_interval=0, stats_connection_ttl=40, stats_subscription_ttl=60)
    telling.observer.observe(Connected("one", "ws", "::1", is_tls=True))
    telling.observer.observe(Subscribed("stream", C, 1))
    telling.clock.advance(20)
    telling.observer.observe(Connected("two", "ws", "::1", is_tls=True))
    telling.observer.observe(Subscribed("stream", D, 1))
    telling.told()

    telling.clock.advance(10.2)
    one = "conn", {"id": "one", "type": "ws", "peer-address": "::1", "ssl": True, "ttl": 40}
    assert telling.told() == [one]
    telling.clock.advance(15)
    assert telling.told() == [sub("c", 1)]
    telling.observer.observe(Disconnected("two", "ws"))
    telling.observer.observe(Subscribed("stream", D, 0))
    telling.told()
    telling.clock.advance(15.2)
    assert telling.told() == [one]
    telling.clock.advance(30.2)
    assert telling.told() == [sub("c", 1), one]


def test_the_end_of_what_was_never_told_of_is_not_told() -> None:
    telling = Telling()
    telling.observer.observe(Disconnected("nobody", "ws"))
    assert telling.told() == []


def test_requests_are_told_of_ten_times_a_second_while_there_are_any() -> None:
    telling = Telling()
    telling.clock.advance(0.1)
    assert telling.told() == []
    telling.counters.requests += 3
    telling.clock.advance(0.05)
    telling.counters.requests += 1
    telling.clock.advance(0.06)
    assert telling.told() == [("activity", {"count": 4}), ("counts", {"requests-received": 4})]
    telling.clock.advance(1)
    assert telling.told() == []


REPORT: dict[str, object] = {"connections": 0, "minutes": 0, "received": 0, "sent": 0}


def test_a_report_says_what_has_happened_since_the_last_one() -> None:
    telling = Telling()
    telling.counters.sessions_stream, telling.counters.sessions_websocket = 2, 1
    telling.clock.advance(5)
    telling.counters.sessions_stream, telling.counters.sessions_response = 0, 1
    telling.counters.publications += 4
    telling.counters.deliveries += 9
    telling.clock.advance(5.15)
    assert telling.told() == [("report", REPORT | {"connections": 3, "minutes": 1, "received": 4, "sent": 9})]
    telling.clock.advance(10)
    assert telling.told() == [("report", REPORT | {"connections": 2, "minutes": 1})]


def test_connection_minutes_are_those_of_all_connections() -> None:
    telling = Telling(stats_interval=60)
    telling.counters.sessions_stream = 10
    telling.clock.advance(60.15)
    ((_, report),) = telling.told()
    assert report["minutes"] == pytest.approx(10, abs=1)


def test_an_interval_of_zero_means_no_reports() -> None:
    telling = Telling(stats_interval=0)
    telling.clock.advance(100)
    assert telling.told() == []


def test_a_route_with_an_id_is_named() -> None:
    telling = Telling()
    telling.observer.observe(Connected("id", "response", "127.0.0.1", route="r"))
    telling.observer.observe(Disconnected("id", "response", route="r"))
    assert telling.told() == [
        ("conn", {"id": "id", "type": "http", "peer-address": "127.0.0.1", "route": "r", "ttl": 120}),
        ("conn", {"id": "id", "route": "r", "unavailable": True}),
    ]


def test_without_single_connections_the_most_there_were_is_told() -> None:
    telling = Telling(stats_connection_send=False, stats_interval=0)
    telling.observer.observe(Connected("1", "ws", "::1"))
    telling.clock.advance(0.11)
    assert telling.told() == [("conn-max", {"max": 1, "ttl": 60})]
    telling.observer.observe(Connected("2", "ws", "::1"))
    telling.observer.observe(Connected("3", "ws", "::1"))
    telling.observer.observe(Disconnected("3", "ws"))
    assert telling.told() == []
    telling.clock.advance(1)
    assert telling.told() == [("conn-max", {"max": 3, "ttl": 60})]


def test_nothing_is_told_once_it_is_closed() -> None:
    telling = Telling()
    telling.stats.close()
    telling.observer.observe(Subscribed("ws", C, 1))
    telling.counters.requests += 1
    telling.clock.advance(100)
    assert telling.told() == []
