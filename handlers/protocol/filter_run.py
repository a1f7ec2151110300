"""One item on its way through the filters of one session, some of which have to be asked for (reference 6.6).

A machine: `step` goes as far as it can; behind an `Asking`, `take` the answer and `step` again. Used by
`handlers.filter_queue` for sessions that have such a filter; for all others `filters` does it in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from handlers.protocol.build_id import IdOn
from handlers.protocol.filters import HTTP_FILTERS, HTTP_MODIFY, apply_content, passes
from handlers.protocol.http_filter import Dropped, Passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The filter `name` has to be asked, with this content."""

    name: str
    content: bytes


class FilterRun:
    """The run of one item. `content` is None where there is none that filters could change."""

    __slots__ = ("_content", "_filters", "_id_on", "_is_subscribed", "_item_meta", "_meta", "_next")

    def __init__(
        self,
        filters: tuple[str, ...],
        *,
        content: bytes | None,
        meta: Mapping[str, str],
        item_meta: Mapping[str, str],
        is_subscribed: Callable[[str], bool],
        id_on: IdOn,
    ) -> None:
        self._filters = filters
        self._next = 0
        self._content = content
        self._meta = meta
        self._item_meta = item_meta
        self._is_subscribed = is_subscribed
        self._id_on = id_on

    def step(self) -> Asking | Passed | Dropped:
        """Go on to the next filter that has to be asked, or to the end. Raises FilterError."""
        while self._next < len(self._filters):
            name = self._filters[self._next]
            self._next += 1
            if name in HTTP_FILTERS:
                return Asking(name=name, content=(self._content or b"") if name == HTTP_MODIFY else b"")
            alone = (name,)
            if not passes(alone, meta=self._meta, item_meta=self._item_meta, is_subscribed=self._is_subscribed):
                return Dropped()
            if self._content is not None:
                self._content = apply_content(alone, self._content, meta=self._meta, id_on=self._id_on)
        return Passed(content=self._content)

    def take(self, content: bytes | None) -> None:
        """Go on with the content that a filter has answered; None is what there was."""
        if content is not None and self._content is not None:
            self._content = content
