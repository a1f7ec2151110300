"""What a backend is told of its channels' subscribers, and how that is written: the bodies of presence notices.

docs/operating.md describes them for whoever reads them. Every notice has a number, the next one of its Holdfast.
Channels are in notices by their carried names (`carried_name`), and in bodies as text, beside which stand the bytes of
those that are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

import msgspec
from msgspec.structs import replace

from handlers.protocol.carried_name import is_text, show, show_bytes, uncarry
from handlers.protocol.names import Channel


class _Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab", tag_field="event"):
    """What all of them have: the number, 0 until it goes out, and when it was noted, in seconds since 1970."""

    seq: int = 0
    at: float


class Started(_Notice, frozen=True, kw_only=True, tag="started"):
    """The first one of all: nobody is on any channel yet."""


class ChannelSubscribed(_Notice, frozen=True, kw_only=True, tag="channel-subscribed"):
    """A channel has got its first subscriber."""

    channel: Channel
    channel_bin: str | None = None


class ChannelUnsubscribed(_Notice, frozen=True, kw_only=True, tag="channel-unsubscribed"):
    """A channel has lost its last one."""

    channel: Channel
    channel_bin: str | None = None


class ConnectionEnded(_Notice, frozen=True, kw_only=True, tag="connection-ended"):
    """A stream or WebSocket is held no more."""

    id: str
    kind: Literal["stream", "ws"]
    channels: tuple[Channel, ...]
    channels_bin: tuple[str, ...] | None = None
    route: str = ""


Notice = Started | ChannelSubscribed | ChannelUnsubscribed | ConnectionEnded

_encoder = msgspec.json.Encoder()


def encode_notices(sender: str, notices: Sequence[Notice]) -> bytes:
    """Return the body of a request. `sender` is one Holdfast in one life of it."""
    return _encoder.encode({"from": sender, "events": [_readable(each) for each in notices]})


def _readable(notice: Notice) -> Notice:
    """Return a notice with its channels as text."""
    match notice:
        case ChannelSubscribed() | ChannelUnsubscribed():
            name = uncarry(notice.channel)
            if name == notice.channel:
                return notice
            return replace(notice, channel=show(name), channel_bin=None if is_text(name) else show_bytes(name))
        case ConnectionEnded():
            names = tuple(map(uncarry, notice.channels))
            if names == notice.channels:
                return notice
            as_bytes = None if all(map(is_text, names)) else tuple(map(show_bytes, names))
            return replace(notice, channels=tuple(map(show, names)), channels_bin=as_bytes)
        case Started():
            return notice
        case _:
            assert_never(notice)
