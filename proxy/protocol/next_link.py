"""The fetch of a next link as a machine: what follows from an answer, and when to try again (reference 3.9).

`proxy.link_fetch` sends the requests and passes the bodies on. It tells this what came, and does what it is told. Time
comes in as `now`.
"""

from __future__ import annotations

from dataclasses import dataclass

from handlers.protocol.http1 import Headers, header_values
from handlers.protocol.instruct import HoldMode, Instruct, NextLink

RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""After how long a fetch that failed is tried again; once more than that, it has failed for good."""

PAUSE = 1.0
"""Seconds before the next link of an answer that had nothing to say, and does not ask for a hold."""

PAGES = 100
"""Answers in a row that do not ask for a hold, after which the next one of them has to wait a PAUSE too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldAgain:
    """Go on as a stream. `link` is where to ask next, None for nowhere."""

    link: NextLink | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoOn:
    """Fetch that link at `due`, or at `later` where pages must not be hurried through (`Pages`)."""

    link: NextLink
    due: float
    later: float


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """That was all."""


Sequel = HoldAgain | GoOn | End


class NextLinkFetch:
    """One link, from the first request for it to the end of an answer that can be used, or of all patience."""

    __slots__ = ("_failures", "has_begun")

    def __init__(self) -> None:
        self._failures = 0
        self.has_begun = False
        """Whether clients have had some of the answer, so that it can't be asked for again."""

    def failed(self, now: float, jitter: float) -> float | None:
        """The link could not be had. Return when to try again, None for never.

        `jitter` is from 0 to 1: seconds by which to be later.
        """
        if self.has_begun or self._failures == len(RETRY_SECONDS):
            return None
        due = now + RETRY_SECONDS[self._failures] + jitter
        self._failures += 1
        return due

    def passed_on(self) -> None:
        """Some of the answer's body has gone to the clients."""
        self.has_begun = True

    def sequel(self, instruct: Instruct, now: float) -> Sequel:
        """Say what comes behind an answer without fault, whose body has been passed on."""
        if instruct.hold is HoldMode.STREAM:
            return HoldAgain(link=instruct.next_link)
        if instruct.next_link is not None:
            later = now + PAUSE
            return GoOn(link=instruct.next_link, due=now if self.has_begun else later, later=later)
        return End()


class Pages:
    """The answers that one stream has had in a row without a hold. A backend could go on with them for ever."""

    __slots__ = ("_count", "has_warned")

    def __init__(self) -> None:
        self._count = 0
        self.has_warned = False
        """Whether it has been told that they are not hurried through: once is enough."""

    def must_wait(self, *, is_same: bool) -> bool:
        """Say whether the link behind one more page has to wait. `is_same`: it asks for what has just been answered."""
        self._count += 1
        return is_same or self._count > PAGES


def fault_of(instruct: Instruct) -> str | None:
    """Return why nothing can follow an answer's body, in Pushpin's words; None where something can."""
    if instruct.hold is HoldMode.RESPONSE:
        return "Next link returned non-stream hold."
    unlinked = unlinked_channel(instruct) if instruct.hold is HoldMode.STREAM else None
    return None if unlinked is None else no_link_for(unlinked)


def is_success(status: int) -> bool:
    """Say whether an answer with this status can be used."""
    return 200 <= status <= 299


def encoding_of(headers: Headers) -> str:
    """Return how an answer's body is encoded, empty where it is as it is: appended to a stream no other is readable."""
    codings = b", ".join(header_values(headers, b"content-encoding")).strip().lower()
    return "" if codings in (b"", b"identity") else codings.decode("latin-1")


def unlinked_channel(instruct: Instruct) -> str | None:
    """Return a channel that asks for order where nothing missing could be asked for (reference 3.5, row H32)."""
    if instruct.next_link is not None:
        return None
    return next((channel.name for channel in instruct.channels if channel.prev_id is not None), None)


def no_link_for(channel: str) -> str:
    """Return the text that Pushpin has for this."""
    return f"channel '{channel}' specifies prev-id, but no next link found"
