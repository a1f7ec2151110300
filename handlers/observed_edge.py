"""The edge where somebody wants to be told of every delivery: the same one, that says what it did.

A class of its own, so that the edge of everybody else does not have to ask.
"""

from __future__ import annotations

from collections.abc import Sequence

from handlers.channel_rows import ChannelRows
from handlers.edge import Edge
from handlers.filtering import Told
from handlers.observer import Observer
from handlers.protocol.carried_name import carry
from handlers.protocol.items import HttpResponseFormat, HttpStreamFormat, Item, WsMessageFormat
from handlers.protocol.names import Channel, ItemId
from handlers.protocol.observed import Delivered, Interest, Transport


class ObservedEdge(Edge):
    """Tells of each item and format that went to somebody, right behind the delivery."""

    _observer: Observer

    def watch(self, observer: Observer, interest: Interest, *, worker: int = 1) -> None:
        """Tell `observer` of deliveries, and of what else it wants to know."""
        super().watch(observer, interest, worker=worker)
        self._observer = observer

    def _deliver_run(self, run: Sequence[Item]) -> list[int]:
        # Each item of its own: a run's frames leave together, and nobody could say which item went to whom.
        return [self.deliver(item) for item in run]

    def _deliver_stream(self, item: Item, rows: ChannelRows, told: Told, published: HttpStreamFormat) -> int:
        return self._tell(item, "http-stream", super()._deliver_stream(item, rows, told, published))

    def _deliver_response(self, item: Item, rows: ChannelRows, told: Told, published: HttpResponseFormat) -> int:
        return self._tell(item, "http-response", super()._deliver_response(item, rows, told, published))

    def _deliver_message(self, item: Item, rows: ChannelRows, told: Told, published: WsMessageFormat) -> int:
        return self._tell(item, "ws-message", super()._deliver_message(item, rows, told, published))

    def _tell(self, item: Item, transport: Transport, receivers: int) -> int:
        if receivers:
            item_id = None if item.id is None else ItemId(carry(item.id))
            self._observer.observe(Delivered(Channel(carry(item.channel)), item_id, transport, receivers))
        return receivers
