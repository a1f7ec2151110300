"""Channels whose names end in `*` stand for all that begin with what is before it, where that is turned on (row X01).

Pure: which of them a name belongs to is found by the lengths that there are, not by walking over all of them.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter

from handlers.protocol.names import Channel

WILDCARD = "*"


def is_wildcard(channel: Channel) -> bool:
    """Say whether a channel is one that stands for others."""
    return channel.endswith(WILDCARD)


def covers(place: Channel, channel: str) -> bool:
    """Say whether items of `channel` go to `place` too, a channel that ends in the wildcard."""
    return channel.startswith(place[:-1])


class WildcardIndex:
    """A set of wildcard channels. Looking one up costs one step for each length that there is among them."""

    def __init__(self) -> None:
        self._wildcards: set[Channel] = set()
        self._lengths: list[int] = []
        """Those that there are, the shortest first, counted without the `*`."""
        self._with_length: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._wildcards)

    def add(self, wildcard: Channel) -> None:
        """Put one in; harmless when it is there."""
        if wildcard in self._wildcards:
            return
        self._wildcards.add(wildcard)
        length = len(wildcard) - 1
        if not self._with_length[length]:
            insort(self._lengths, length)
        self._with_length[length] += 1

    def discard(self, wildcard: Channel) -> None:
        """Take one out; harmless when it is not there."""
        if wildcard not in self._wildcards:
            return
        self._wildcards.discard(wildcard)
        length = len(wildcard) - 1
        self._with_length[length] -= 1
        if not self._with_length[length]:
            del self._with_length[length]
            self._lengths.remove(length)

    def matching(self, channel: Channel) -> list[Channel]:
        """Return those that cover a channel, the least exact first."""
        found: list[Channel] = []
        for length in self._lengths:
            if length > len(channel):
                break
            wildcard = Channel(channel[:length] + WILDCARD)
            if wildcard in self._wildcards:
                found.append(wildcard)
        return found
