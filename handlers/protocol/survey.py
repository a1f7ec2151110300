"""What can be asked of held connections, and what is found: who is on which channel, which there are, end this one.

Asked by the publishers' door, answered by `handlers.survey` in each process that holds connections, and carried between
processes by `handlers.links`. What several processes found becomes one answer here. Channels are here by their carried
names (`carried_name`), and in the order of those.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterable
from operator import attrgetter
from typing import Literal

import msgspec

from handlers.protocol.hold_id import HoldId


class Kind(enum.Enum):
    """How a connection is held."""

    STREAM = "stream"
    RESPONSE = "response"
    WS = "ws"


class _Value(msgspec.Struct, frozen=True, array_like=True): ...


class _Question(_Value, frozen=True, array_like=True, tag=True): ...


class ListChannels(_Question, frozen=True, array_like=True, tag="c"):
    """The first `limit` channels, by name, that begin with `prefix` and come behind `after`."""

    prefix: str = ""
    after: str | None = None
    limit: int = 100


class CountChannel(_Question, frozen=True, array_like=True, tag="n"):
    """Who is on this channel."""

    channel: str


class ListConnections(_Question, frozen=True, array_like=True, tag="l"):
    """The first `limit` connections, by when they came, that came behind `after`; only on `channel`, only of `kind`."""

    channel: str | None = None
    kind: Kind | None = None
    after: HoldId = HoldId(0, 0)
    limit: int = 100


class FindConnections(_Question, frozen=True, array_like=True, tag="f"):
    """Those of the connections with these ids that are there."""

    ids: tuple[str, ...]


class CloseConnection(_Question, frozen=True, array_like=True, tag="x"):
    """End the connection of this id in good order; a WebSocket with `code` and `reason`. Found: what was ended."""

    id: str
    code: int | None = None
    reason: str = ""


class RefreshConnection(_Question, frozen=True, array_like=True, tag="r"):
    """Have the backend of the WebSocket of this id asked once more. Found: that WebSocket."""

    id: str


Question = ListChannels | CountChannel | ListConnections | FindConnections | CloseConnection | RefreshConnection


class ChannelRow(_Value, frozen=True, array_like=True):
    """How many connections of each kind are on a channel."""

    channel: str
    stream: int = 0
    response: int = 0
    ws: int = 0


class ConnectionRow(_Value, frozen=True, array_like=True):
    """One held connection.

    `id` is the text of `hold_id`, or the Connection-Id of a WebSocket whose backend knows it by that. `protocol` says
    whose subscriber it is: `channels` are a Mercure subscriber's matchers.
    """

    hold_id: HoldId
    id: str
    kind: Kind
    protocol: Literal["grip", "mercure"]
    peer: str
    route: str
    uri: str
    channels: tuple[str, ...]


class Findings(_Value, frozen=True, array_like=True):
    """What was found. `missing` are the numbers of workers that have not said what they have."""

    channels: tuple[ChannelRow, ...] = ()
    connections: tuple[ConnectionRow, ...] = ()
    missing: tuple[int, ...] = ()


def merge(question: Question, each: Iterable[Findings]) -> Findings:
    """Return what all processes together have found, in order, and not more than was asked for."""
    found = tuple(each)
    limit = question.limit if isinstance(question, ListChannels | ListConnections) else None
    connections = heapq.merge(*(one.connections for one in found), key=attrgetter("hold_id"))
    return Findings(
        channels=_sum_up(row for one in found for row in one.channels)[:limit],
        connections=tuple(connections)[:limit],
        missing=tuple(sorted({number for one in found for number in one.missing})),
    )


def _sum_up(rows: Iterable[ChannelRow]) -> tuple[ChannelRow, ...]:
    """Return one row a channel, by name."""
    sums: dict[str, ChannelRow] = {}
    for row in rows:
        before = sums.get(row.channel, ChannelRow(row.channel))
        sums[row.channel] = ChannelRow(
            row.channel, before.stream + row.stream, before.response + row.response, before.ws + row.ws
        )
    return tuple(sums[channel] for channel in sorted(sums))
