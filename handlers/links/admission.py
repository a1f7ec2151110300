"""Stands in front of the publishers' sink and lets in what the workers have room for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from handlers.broker import PublishSink
from handlers.links.fan import Fan
from handlers.protocol.items import Item


class Admission:
    """Asks once for a whole publication, before anything of it is stored or delivered."""

    def __init__(self, sink: PublishSink, fan: Fan) -> None:
        self._sink = sink
        self._fan = fan

    def publish(self, items: Sequence[Item]) -> asyncio.Future[None] | None:
        """Hand `items` on. Raises Busy."""
        self._fan.check_room(len(items))
        return self._sink.publish(items)
