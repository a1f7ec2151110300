"""Items that any text can carry, and that come out as they went in."""

from __future__ import annotations

from handlers.protocol.carried_items import carry_items, uncarry_items
from handlers.protocol.items import HttpStreamFormat, Item
from handlers.protocol.names import Channel, ItemId

CONTENT = HttpStreamFormat(content=b"\xff")
ITEMS = (
    Item(channel=Channel("c\udcff"), id=ItemId("\udcfe"), prev_id=ItemId("a"), http_stream=CONTENT),
    Item(channel=Channel("\0c"), http_stream=CONTENT),
    Item(channel=Channel("c"), prev_id=ItemId("\udcfd"), no_seq=True),
)


def test_names_are_carried_and_nothing_else_changes() -> None:
    carried = carry_items(ITEMS)
    assert [(each.channel, each.id, each.prev_id) for each in carried] == [
        ("\0c\xff", "\0\xfe", "a"),
        ("\0\0c", None, None),
        ("c", None, "\0\xfd"),
    ]
    assert [each.http_stream for each in carried] == [each.http_stream for each in ITEMS]
    assert uncarry_items(carried) == ITEMS
