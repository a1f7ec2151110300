"""What a backend is told of its channels' subscribers, and how that is written: the bodies of presence notices.

docs/operating.md describes them for whoever reads them. Every notice has a number, the next one of its Holdfast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from handlers.protocol.names import Channel


class _Notice(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """What all of them have: the number, and when it was noted, in seconds since 1970."""

    seq: int
    at: float


class Started(_Notice, frozen=True, kw_only=True, tag="started"):
    """The first one of all: nobody is on any channel yet."""


class ChannelSubscribed(_Notice, frozen=True, kw_only=True, tag="channel-subscribed"):
    """A channel has got its first subscriber."""

    channel: Channel


class ChannelUnsubscribed(_Notice, frozen=True, kw_only=True, tag="channel-unsubscribed"):
    """A channel has lost its last one."""

    channel: Channel


class ConnectionEnded(_Notice, frozen=True, kw_only=True, omit_defaults=True, tag="connection-ended"):
    """A stream or WebSocket is held no more."""

    id: str
    kind: Literal["stream", "ws"]
    channels: tuple[Channel, ...]
    route: str = ""


Notice = Started | ChannelSubscribed | ChannelUnsubscribed | ConnectionEnded

_encoder = msgspec.json.Encoder()


def encode_notices(sender: str, notices: Sequence[Notice]) -> bytes:
    """Return the body of a request. `sender` is one Holdfast in one life of it."""
    return _encoder.encode({"from": sender, "events": notices})
