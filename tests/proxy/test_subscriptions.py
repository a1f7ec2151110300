"""What a backend's channels come to, and what the log says of it."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from handlers.protocol.instruct import ChannelHold
from handlers.protocol.names import Channel
from handlers.settings import HoldSettings
from proxy.protocol.route import Route, Target, TargetKind
from proxy.subscriptions import subscribe
from tests.handlers.room import Room

ROUTE = Route(host="*", targets=(), prefix="p-")
TARGET = Target(kind=TargetKind.HOST, host="a", port=1, subs=(Channel("all"),))


async def test_channels_get_the_prefix_and_the_targets_own_are_added(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site = Room().site
    channels = (ChannelHold(name="a"), ChannelHold(name="b"))
    found = subscribe(site, channels, route=ROUTE, target=TARGET, label="/x", note=" retry")
    assert [each.channel for each in found] == ["p-a", "p-b", "all"]
    assert caplog.messages == [f"subscribe /x channel={name} retry" for name in ("p-a", "p-b", "all")]
    assert [each.channel for each in subscribe(site, channels, route=ROUTE, target=None, label="/x")] == ["p-a", "p-b"]


async def test_o07_a_quiet_route_logs_no_subscriptions(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    route = replace(ROUTE, log_level=1)
    assert len(subscribe(Room().site, (ChannelHold(name="a"),), route=route, target=None, label="/x")) == 1
    assert caplog.messages == []


async def test_those_beyond_the_limit_are_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    site = replace(Room().site, settings=HoldSettings(subscription_limit=1))
    channels = tuple(ChannelHold(name=name) for name in "abc")
    assert len(subscribe(site, channels, route=ROUTE, target=None, label="/x")) == 1
    assert site.counters.channels_over_limit == 2
    assert "/x: not subscribed, over subscription_limit=1: p-b, p-c" in caplog.messages
