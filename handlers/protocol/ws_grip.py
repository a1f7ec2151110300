"""GRIP mode of a WebSocket: what a backend's frames are for, and the extension that turns the mode on (reference 5.2).

Called by held WebSockets for each frame of the backend's; what clients send carries no prefixes. A message is relayed
fragment by fragment. Only a control message is put together, and nothing is made of it here: `control` reads it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from handlers.protocol.fields import (
    decode_field,
    encode_field,
    encode_parameters,
    parameter,
    parse_parameters,
    printable,
    split_list,
)
from handlers.protocol.ws_frames import IS_CONTROL, Frame, Opcode

CONTROL_PREFIX = b"c:"
DEFAULT_PREFIX = b"m:"

_NAME = "grip"
_PREFIX = "message-prefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control message: what stands behind `c:`, whole."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A message that goes nowhere. Told once per message, as soon as it is known; `reason` is for the log."""

    reason: str


def parse_extension(values: Iterable[bytes]) -> bytes | None:
    """Return the message prefix that a backend's `Sec-WebSocket-Extensions` lines set, None when `grip` is not there.

    The prefix may be empty: messages then have none.
    """
    for value in values:
        for element in split_list(decode_field(value)):
            name, parameters = parse_parameters(element)
            if name.lower() == _NAME:
                prefix = parameter(parameters, _PREFIX)
                return DEFAULT_PREFIX if prefix is None else encode_field(prefix)
    return None


def encode_extension(prefix: bytes) -> bytes:
    """Encode the counterpart of `parse_extension`. Control characters are the caller's to refuse."""
    if not prefix:
        return f'{_NAME}; {_PREFIX}=""'.encode()
    return encode_field(encode_parameters(_NAME, ((_PREFIX, decode_field(prefix)),)))


class _Fate(enum.Enum):
    """What becomes of the message that is being read."""

    UNDECIDED = enum.auto()
    RELAYED = enum.auto()
    CONTROL = enum.auto()
    DROPPED = enum.auto()


class GripReader:
    """The frames that one backend sends, in the order that `FrameReader` lets through.

    Memory: a few bytes of a message too short to be told apart, and up to `control_limit` of a control message.
    """

    __slots__ = ("_control_limit", "_fate", "_held", "_opcode", "_prefix")

    def __init__(self, prefix: bytes, *, control_limit: int) -> None:
        """`prefix` is what `parse_extension` gave. `control_limit`: bytes of a control message behind its `c:`."""
        self._prefix = prefix
        self._control_limit = control_limit
        self._fate = _Fate.DROPPED
        self._opcode = Opcode.BINARY
        self._held = bytearray()

    def feed(self, frame: Frame) -> Frame | Control | Dropped | None:
        """Return the frame to send to the client, or what else the message is, or None when there is nothing to do.

        Pings, pongs and closes come back as they are. Of a relayed message the first frame that comes back is TEXT or
        BINARY, and those after it are CONT.
        """
        if frame.opcode & IS_CONTROL:
            return frame
        if frame.opcode is not Opcode.CONT:
            self._fate = _Fate.UNDECIDED
            self._opcode = frame.opcode
        match self._fate:
            case _Fate.UNDECIDED:
                return self._decide(bytes(self._held) + frame.data, fin=frame.fin)
            case _Fate.RELAYED:
                return frame
            case _Fate.CONTROL:
                return self._collect(bytes(frame.data), fin=frame.fin)
            case _Fate.DROPPED:
                return None
            case _:
                assert_never(self._fate)

    def _decide(self, head: bytes, *, fin: bool) -> Frame | Control | Dropped | None:
        """Take all of the message so far, of which nothing has gone on yet."""
        self._held.clear()
        self._fate = self._judge(head, fin=fin)
        match self._fate:
            case _Fate.UNDECIDED:
                self._held += head
                return None
            case _Fate.RELAYED:
                return Frame(self._opcode, head[len(self._prefix) :], fin)
            case _Fate.CONTROL:
                return self._collect(head[len(CONTROL_PREFIX) :], fin=fin)
            case _Fate.DROPPED:
                return Dropped(reason=f"it does not begin with '{printable(decode_field(self._prefix))}'")
            case _:
                assert_never(self._fate)

    def _judge(self, head: bytes, *, fin: bool) -> _Fate:
        """Tell by its beginning what becomes of a message; `c:` counts before the prefix, even before an empty one."""
        is_text = self._opcode is Opcode.TEXT
        if is_text and head.startswith(CONTROL_PREFIX):
            return _Fate.CONTROL
        if is_text and not fin and CONTROL_PREFIX.startswith(head):
            return _Fate.UNDECIDED
        if head.startswith(self._prefix):
            return _Fate.RELAYED
        if not fin and self._prefix.startswith(head):
            return _Fate.UNDECIDED
        return _Fate.DROPPED

    def _collect(self, data: bytes, *, fin: bool) -> Control | Dropped | None:
        if len(self._held) + len(data) > self._control_limit:
            self._held.clear()
            self._fate = _Fate.DROPPED
            return Dropped(reason=f"it is a control message of more than {self._control_limit} bytes")
        self._held += data
        if not fin:
            return None
        whole = bytes(self._held)
        self._held.clear()
        return Control(data=whole)
