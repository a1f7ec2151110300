"""Runs: items of one publication that may leave in one write per session.

The edge splits what it is given to deliver. Items of one channel that follow one another, and that every session takes
as they are, make a run: their frames are joined once and each session is written to once, not once an item.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handlers.protocol.items import Action, Item

RUN_BYTES = 65_536
"""Bytes of content a run grows to: beyond, joining copies more than it saves."""


def split_runs(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield `items` in their order, in pieces of at least one: either one item, or a run."""
    run: list[Item] = []
    size = 0
    for item in items:
        if run and not (item.channel == run[0].channel and size < RUN_BYTES and is_plain(item) and is_plain(run[0])):
            yield run
            run, size = [], 0
        run.append(item)
        size += size_of(item)
    if run:
        yield run


def is_plain(item: Item) -> bool:
    """Say whether streams and WebSockets are just sent the item's content, whatever their filters' names.

    Long polls do not count: an item that answers one leaves none behind for the next item of a run.
    """
    stream, message = item.http_stream, item.ws_message
    return (stream is None or (stream.action is Action.SEND and stream.content_filters is None)) and (
        message is None or (message.action is Action.SEND and message.content_filters is None)
    )


def size_of(item: Item) -> int:
    """Return the bytes of the larger of the contents that a run joins."""
    stream, message = item.http_stream, item.ws_message
    return max(len(stream.content) if stream else 0, len(message.content) if message else 0)
