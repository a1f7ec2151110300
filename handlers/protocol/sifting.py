"""Which of the items that came while a backend was asked are not in its answer (reference 3.9, step 6).

Asked by the edge when a stream is held again. An item that does not follow what the answer names last (`prev-id`) is
taken to be contained in it. Unless it is the last that came on its channel: then the backend may have answered before
it knew of it, and has to be asked once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from handlers.protocol.items import Item
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Subscription, place_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Sifted:
    """`news` are to be delivered in this order, `contained` is how many are not; `unsure` may be missing all the same.

    Items of channels that the session is on no more are in none of them.
    """

    news: tuple[Item, ...]
    contained: int
    unsure: tuple[Item, ...]


def sift(items: Iterable[Item], subscriptions: Sequence[Subscription], *, takes_wildcards: bool = False) -> Sifted:
    """Sort the kept `items` of a session that is now on `subscriptions`."""
    stands_at = {each.channel: each.prev_id for each in subscriptions}
    news: list[Item] = []
    unsure: dict[Channel, Item] = {}
    contained = 0
    for item in items:
        if item.channel not in stands_at:
            # By a place that stands for many channels items come as they are: nobody has said what was seen last.
            if place_for(item.channel, subscriptions, takes_wildcards=takes_wildcards) is not None:
                news.append(item)
            continue
        prev_id = stands_at[item.channel]
        if prev_id is None:
            news.append(item)
        elif item.prev_id == prev_id:
            news.append(item)
            stands_at[item.channel] = item.id
            unsure.pop(item.channel, None)
        else:
            contained += 1
            unsure[item.channel] = item
    left = tuple([item for item in unsure.values() if stands_at[item.channel] not in (None, item.id)])
    return Sifted(news=tuple(news), contained=contained, unsure=left)
