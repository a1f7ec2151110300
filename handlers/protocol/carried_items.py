"""Items whose channels or ids are not UTF-8, on links between processes: with carried names (`carried_name`).

Called by `link`, for the messages that could not be written otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from handlers.protocol.carried_name import carry, uncarry
from handlers.protocol.items import Item
from handlers.protocol.names import Channel, ItemId


def carry_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return items by carried names, from which `uncarry_items` makes them again."""
    return tuple([_rename(item, carry) for item in items])


def uncarry_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return items as they were."""
    return tuple([_rename(item, uncarry) for item in items])


def _rename(item: Item, name: Callable[[str], str]) -> Item:
    return replace(
        item,
        channel=Channel(name(item.channel)),
        id=None if item.id is None else ItemId(name(item.id)),
        prev_id=None if item.prev_id is None else ItemId(name(item.prev_id)),
    )
