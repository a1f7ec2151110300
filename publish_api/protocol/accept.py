"""Which form a publisher's answer takes: the publish port's reading of `Accept` (reference 6.1)."""

from __future__ import annotations

import enum
from collections.abc import Sequence


class AnswerType(enum.Enum):
    """The two forms of a successful answer. Errors are always text."""

    TEXT = b"text/plain"
    JSON = b"application/json"


ACCEPTED = {
    "text/plain": AnswerType.TEXT,
    "text/*": AnswerType.TEXT,
    "*/*": AnswerType.TEXT,
    "*": AnswerType.TEXT,
    "application/json": AnswerType.JSON,
    "application/*": AnswerType.JSON,
}


def choose_type(accept: Sequence[str]) -> AnswerType | None:
    """Return the form the header's values ask for; None when they allow neither.

    Text without a header. The last entry that can be met wins and quality values are not weighed: not what RFC 9110
    section 12.5.1 says, but what publishers of this protocol are used to.
    """
    if not accept:
        return AnswerType.TEXT
    chosen: AnswerType | None = None
    for entry in ",".join(accept).split(","):
        chosen = ACCEPTED.get(entry.partition(";")[0].strip().lower(), chosen)
    return chosen
