"""What passes between `ws_over_http` and its shell: requests to send, answers that came, what to do to the client.

Plain values, and the parser of the headers that an answer with events has for Holdfast itself (reference 4.3). The
shell judges status and Content-Type before it, and reads Sec-WebSocket-Extensions: GRIP is its matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from handlers.protocol.http1 import Headers, header_values
from proxy.protocol.ws_events import Event, EventsError, parse_events

Meta: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""(name without its prefix, value), in the order they were set."""

_SET_META: Final = b"set-meta-"
_COUNT: Final = re.compile(rb"[0-9]{1,15}")
# More than nine digits are off, like everything that is no number to Pushpin; it would be never in 31 years.
_SECONDS: Final = re.compile(rb"\+?([0-9]{1,9})")
_MIN_INTERVAL: Final = 20

META_LIMIT: Final = 32_768
"""Bytes of meta, names and values, that a backend may set on one connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsRequest:
    """What to POST. `replayed` is Content-Bytes-Replayed, 0 for no such header; each of `meta` is a Meta-NAME header.

    `is_last`: whatever comes of this one, nothing more will be asked.
    """

    body: bytes
    replayed: int
    meta: Meta
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsAnswer:
    """What an answer of status 200 and type EVENTS_TYPE says (reference 4.3).

    `set_meta`: an empty value deletes. `keep_alive_interval`: seconds, 0 for off, None for as before.
    `accepted`: content bytes of the request, None for all.
    """

    events: tuple[Event, ...] = ()
    set_meta: Meta = ()
    keep_alive_interval: int | None = None
    accepted: int | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The backend takes the connection: the client gets its 101."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Messages, pings and pongs for the client, in order; in GRIP mode some of them are control messages."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseClient:
    """The backend closes: the client gets a close frame of `content`, unjudged, or with it the answer to its own."""

    content: bytes


@dataclass(frozen=True, slots=True)
class EchoClose:
    """The backend had nothing to say to the client's close: the client gets its own code back. Pushpin cuts here."""


@dataclass(frozen=True, slots=True)
class CutClient:
    """The backend disconnects: the client's connection ends without a close frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailOpening:
    """The backend's fault instead of an opening: 502. `reason` is for the log."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailClient:
    """The backend's fault later on: close code 1011. `reason` is for the log."""

    reason: str


Outcome: TypeAlias = Opened | Deliver | CloseClient | EchoClose | CutClient | FailOpening | FailClient


def meta_fault(meta: Meta) -> str | None:
    """Say what is wrong with all the meta of a connection, which goes along with each of its requests."""
    size = sum(len(name) + len(value) for name, value in meta)
    return "the backend has set too much meta" if size > META_LIMIT else None


def parse_answer(headers: Headers, body: bytes) -> EventsAnswer:
    """Parse what belongs to the events of an answer; of a repeated header the first line counts. Raises EventsError.

    A Content-Bytes-Accepted that is no number is an error: Pushpin takes it for all, and loses what was to be kept.
    """
    accepted = next(iter(header_values(headers, b"content-bytes-accepted")), None)
    if accepted is not None and not _COUNT.fullmatch(accepted.strip(b" \t")):
        raise EventsError("Content-Bytes-Accepted is not a number")
    interval = next(iter(header_values(headers, b"keep-alive-interval")), None)
    return EventsAnswer(
        events=parse_events(body),
        set_meta=tuple(
            (name[len(_SET_META) :], value.strip(b" \t"))
            for name, value in headers
            if name[: len(_SET_META)].lower() == _SET_META and len(name) > len(_SET_META)
        ),
        keep_alive_interval=None if interval is None else _parse_interval(interval),
        accepted=None if accepted is None else int(accepted),
    )


def _parse_interval(value: bytes) -> int:
    number = _SECONDS.fullmatch(value.strip(b" \t"))
    seconds = int(number[1]) if number else 0
    return max(seconds, _MIN_INTERVAL) if seconds else 0
