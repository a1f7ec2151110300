"""Updates as subscribers get them: server-sent events and JSON; and server-sent events read back (reference 1.6).

Called by `handlers.hub`, once per update and form; `parse_events` by the bridge, for what publishers of GRIP items have
written out themselves. What ids and types may contain is checked where updates are made: a line end in one would forge
fields here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from handlers.protocol.mercure.update import Update
from handlers.protocol.names import EventId

HEARTBEAT: Final = b":\n"
"""A comment, also the first bytes of every stream. No empty line: that would be an event's end."""

MAX_RETRY: Final = 2**64 - 1

_LINE_END = re.compile(r"\r\n|\r|\n")
_FIELD = re.compile(r"(?:data|event|id|retry):")
_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One server-sent event. An empty `type` or `id` is none, and so is a `retry` of 0."""

    data: str
    type: str = ""
    id: str = ""
    retry: int = 0


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    type: str = ""
    data: str
    retry: int = 0


class _Poll(msgspec.Struct, frozen=True, kw_only=True):
    last_event_id: str
    updates: tuple[_Message, ...]


def encode_event(update: Update) -> bytes:
    """Encode the one event of a stream that an update is. Every kind of line end in its data starts a new line."""
    lines = []
    if update.type:
        lines.append(f"event: {update.type}\n")
    if update.retry:
        lines.append(f"retry: {update.retry}\n")
    data = update.data.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\ndata: ")
    lines.append(f"id: {update.id}\ndata: {data}\n\n")
    return "".join(lines).encode()


def encode_message(update: Update) -> bytes:
    """Encode an update as JSON: `id`, `data`, and `type` and `retry` where it has them."""
    return msgspec.json.encode(_message(update))


def encode_poll(updates: Sequence[Update], last_event_id: EventId) -> bytes:
    """Encode the answer to a long poll: updates, oldest first, and the cursor to come back with."""
    return msgspec.json.encode(_Poll(last_event_id=last_event_id, updates=tuple(map(_message, updates))))


def parse_events(content: bytes) -> tuple[Event, ...]:
    """Read the events of one GRIP item, or one event whose data is the text if it is not server-sent events.

    As WHATWG HTML section 9.2.6 says, except that the item stands alone: its last event needs no empty line behind it,
    and an id is that of its event and of none after it. Text counts as server-sent events if a line is one of their
    fields with its colon, or if there are whole lines of comments and nothing else; those are no event. From other text
    one newline is taken off. Raises ValueError for what is not UTF-8.
    """
    text = content.decode()
    lines = _LINE_END.split(text)
    if not any(map(_FIELD.match, lines)):
        return () if _is_comment(lines) else (Event(data=text.removesuffix("\n")),)
    events: list[Event] = []
    fields: list[tuple[str, str]] = []
    for line in (*lines, ""):
        if line:
            name, _, value = line.partition(":")
            fields.append((name, value.removeprefix(" ")))
            continue
        data = [value for name, value in fields if name == "data"]
        if data:
            events.append(_event(data, fields))
        fields.clear()
    return tuple(events)


def parse_retry(text: str) -> int | None:
    """Return the number of a `retry` field, None for anything but ASCII digits up to 2^64 - 1."""
    if not _DIGITS.fullmatch(text):
        return None
    digits = text.lstrip("0")
    number = int(digits or "0") if len(digits) <= len(str(MAX_RETRY)) else MAX_RETRY + 1
    return number if number <= MAX_RETRY else None


def _event(data: list[str], fields: list[tuple[str, str]]) -> Event:
    """Make an event of its lines: the last one of a name counts, of those that can be read."""
    event_type, event_id, retry = "", "", 0
    for name, value in fields:
        match name:
            case "event":
                event_type = value
            case "id" if "\0" not in value:
                event_id = value
            case "retry":
                number = parse_retry(value)
                retry = retry if number is None else number
            case _:
                pass
    return Event(data="\n".join(data), type=event_type, id=event_id, retry=retry)


def _is_comment(lines: list[str]) -> bool:
    """Say whether lines hold comments alone, whole ones: `:)` without a line end is somebody's text."""
    written = [line for line in lines if line]
    return bool(written) and not lines[-1] and all(line.startswith(":") for line in written)


def _message(update: Update) -> _Message:
    return _Message(id=update.id, type=update.type, data=update.data, retry=update.retry)
