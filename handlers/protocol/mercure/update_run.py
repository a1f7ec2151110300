"""Runs: updates that were stored together, follow one another and go to the same receivers.

What is for the same receivers can leave in one write to each of them. The engine cuts what it has committed into pieces
by runs, and the hub delivers a piece run by run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handlers.protocol.mercure.update import StoredUpdate, Update


def is_alike(one: Update, other: Update) -> bool:
    """Say whether whoever receives `one` receives `other`. What tells of subscriptions is like nothing else."""
    return (
        one.presence is None and other.presence is None and one.topics == other.topics and one.private == other.private
    )


def split_runs(batch: Sequence[StoredUpdate]) -> Iterator[Sequence[StoredUpdate]]:
    """Yield `batch` in its order, in pieces of at least one update whose updates are alike."""
    begin = 0
    for end in range(1, len(batch)):
        if not is_alike(batch[begin].update, batch[end].update):
            yield batch[begin:end]
            begin = end
    if batch:
        yield batch[begin:]
