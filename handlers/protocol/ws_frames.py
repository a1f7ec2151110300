"""WebSocket frames (RFC 6455 section 5), read and written as they are: the one place that knows their bytes.

Used by held WebSockets, with clients and with backends. The single frame is the library's (`websockets.frames`), what
connects frames is here: messages made of fragments, text, limits. The library's protocol classes are left alone,
because they answer pings and close frames themselves, and those are relayed. Fragments are not put together, nothing
is answered, and of an unsound stream no more is read.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions import Extension
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.streams import StreamReader

__all__ = [
    "IS_CONTROL",
    "CloseCode",
    "CloseReason",
    "Frame",
    "FrameError",
    "FrameReader",
    "Opcode",
    "encode_close",
    "encode_close_payload",
    "encode_frame",
    "encode_masked",
    "parse_close",
    "sendable_close",
    "split_frames",
]

# RFC 6455 section 5.5: all control frames have a payload of 125 bytes or less; the code takes two of a close frame's.
_REASON_LIMIT = 123
IS_CONTROL = 0x08
"""The bit that opcodes of control frames have (RFC 6455 section 5.5)."""


class FrameError(Exception):
    """The other end broke the protocol, or a limit. Close the connection with `code` and `reason`.

    `code` is 1002 (protocol error), 1007 (text that is not UTF-8) or 1009 (too big), as RFC 6455 section 7.4.1 has
    them; `reason` is short enough for a close frame.
    """

    def __init__(self, *, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseReason:
    """What a close frame says. With `code` None it has no body (RFC 6455 section 5.5.1), and so no reason either."""

    code: int | None = None
    reason: str = ""


def parse_close(data: bytes) -> CloseReason:
    """Parse the payload of a close frame (RFC 6455 sections 5.5.1 and 7.4); raise FrameError (1002, 1007)."""
    if not data:
        return CloseReason()
    try:
        close = Close.parse(data)
    except ProtocolError as error:
        raise FrameError(code=CloseCode.PROTOCOL_ERROR, reason=str(error)) from error
    except UnicodeDecodeError as error:
        raise FrameError(code=CloseCode.INVALID_DATA, reason="close reason is not UTF-8") from error
    return CloseReason(code=int(close.code), reason=close.reason)


def sendable_close(close: CloseReason) -> CloseReason:
    """Return what may be sent in the place of `close`, and `close` itself where that is sound.

    A code that must not be sent becomes 1000: gripcontrol has 0 for "no particular code". A reason that is too long is
    cut between characters, and what UTF-8 cannot say in it becomes a question mark.
    """
    if close.code is None:
        return CloseReason()
    code = close.code if _is_sendable(close.code) else CloseCode.NORMAL_CLOSURE.value
    reason = close.reason.encode(errors="replace")[:_REASON_LIMIT].decode(errors="ignore")
    return CloseReason(code=code, reason=reason)


def coded_close(close: CloseReason) -> CloseReason:
    """Return `close`, or where nobody gave a code a normal one: what the other side is told (reference 5.1)."""
    return CloseReason(code=CloseCode.NORMAL_CLOSURE.value) if close.code is None else close


def encode_close_payload(close: CloseReason) -> bytes:
    """Encode a close frame's payload as `parse_close` reads it, with what may not be sent made sendable."""
    sent = sendable_close(close)
    return b"" if sent.code is None else Close(sent.code, sent.reason).serialize()


def encode_close(close: CloseReason) -> bytes:
    """Encode a close frame for a client."""
    return encode_frame(Opcode.CLOSE, encode_close_payload(close))


def encode_frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    """Encode a frame for a client: unmasked (RFC 6455 section 5.1). Control frames take 125 bytes at most."""
    return Frame(opcode, data, fin).serialize(mask=False)


def encode_masked(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    """Encode a frame for a server: masked with four random bytes (RFC 6455 section 5.3)."""
    return Frame(opcode, data, fin).serialize(mask=True)


def split_frames(data: bytes) -> tuple[Frame, ...]:
    """Return the frames that were encoded for a client and joined. Only for what we have encoded ourselves."""
    stream = StreamReader()
    stream.feed_data(data)
    frames: list[Frame] = []
    while stream.buffer:
        parser = Frame.parse(stream.read_exact, mask=False)
        try:
            next(parser)
        except StopIteration as stop:
            frames.append(stop.value)
        else:
            raise ValueError("the last frame is incomplete")
    return tuple(frames)


class FrameReader:
    """The frames in one direction of one connection. Memory: a few slots; an incomplete frame and no message."""

    __slots__ = (
        "_extensions",
        "_frame_limit",
        "_is_over",
        "_masked",
        "_message_limit",
        "_parser",
        "_size",
        "_stream",
        "_tail",
    )

    def __init__(
        self,
        *,
        masked: bool,
        frame_limit: int,
        message_limit: int | None,
        extensions: Sequence[Extension] = (),
    ) -> None:
        """Say who sends, and bound what is sent.

        `masked`: True for what clients send, False for what servers do (RFC 6455 section 5.1). `frame_limit`: bytes
        of one frame's payload, on the wire and inflated; 125 or more, for control frames. `message_limit`: bytes of a
        message, over all its fragments; None leaves it unbounded, which costs no memory here.
        """
        self._masked = masked
        self._frame_limit = frame_limit
        self._message_limit = message_limit
        self._extensions = extensions
        self._stream: StreamReader | None = None  # the bytes of the incomplete frame, if there is one ...
        self._parser: Generator[None, None, Frame] | None = None  # ... and the place reached in it
        self._size: int | None = None  # bytes of the message so far; None between messages
        self._tail: bytes | None = None  # the incomplete character at the end of that; None when it is not text
        self._is_over = False

    @property
    def is_in_message(self) -> bool:
        """A message has begun and its last fragment is still to come."""
        return self._size is not None

    def receive(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that `data` completes, its payload as `bytes`; raise FrameError where it goes wrong.

        What came before the fault is yielded first. After a close frame or a fault there is nothing more, whatever is
        sent. Use up the iterator before the next call; frames not fetched by then are fetched there.
        """
        if self._is_over:
            return
        stream = self._stream
        if stream is None:
            stream = self._stream = StreamReader()
        stream.feed_data(data)
        while not self._is_over:
            try:
                frame = self._parse(stream)
                if frame is None:
                    return
                self._check(frame)
            except FrameError:
                self._end()
                raise
            if frame.opcode is Opcode.CLOSE:
                self._end()
            yield frame

    def _parse(self, stream: StreamReader) -> Frame | None:
        """Return the next frame, None when it is incomplete."""
        parser = self._parser
        if parser is None:
            if not stream.buffer:
                self._stream = None
                return None
            parser = Frame.parse(
                stream.read_exact, mask=self._masked, max_size=self._frame_limit, extensions=self._extensions
            )
        try:
            next(parser)
        except StopIteration as stop:
            self._parser = None
            frame: Frame = stop.value
            frame.data = bytes(frame.data)
            return frame
        except PayloadTooBig as error:
            raise _too_big("frame", self._frame_limit) from error
        except ProtocolError as error:
            # Data that does not inflate is among them: nothing is known about the message yet that 1007 could be about.
            raise FrameError(code=CloseCode.PROTOCOL_ERROR, reason=str(error)) from error
        self._parser = parser
        return None

    def _check(self, frame: Frame) -> None:
        """Check a frame against those before it."""
        if frame.opcode is Opcode.CLOSE:
            parse_close(bytes(frame.data))
        if frame.opcode & IS_CONTROL:
            return
        # RFC 6455 section 5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another
        # message unless an extension has been negotiated that can interpret the interleaving."
        if (frame.opcode is Opcode.CONT) is not self.is_in_message:
            reason = "message begins inside another" if self.is_in_message else "continuation of no message"
            raise FrameError(code=CloseCode.PROTOCOL_ERROR, reason=reason)
        size = (self._size or 0) + len(frame.data)
        if self._message_limit is not None and size > self._message_limit:
            raise _too_big("message", self._message_limit)
        if frame.opcode is Opcode.TEXT:
            self._tail = b""
        if self._tail is not None:
            self._tail = _check_text(self._tail, bytes(frame.data), fin=frame.fin)
        self._size = None if frame.fin else size
        if frame.fin:
            self._tail = None

    def _end(self) -> None:
        self._is_over = True
        self._stream = self._parser = self._size = self._tail = None


def _check_text(tail: bytes, data: bytes, *, fin: bool) -> bytes:
    """Check the next bytes of a text, `tail` being what was incomplete before; return what is incomplete now.

    RFC 6455 section 5.6: "a particular text frame might include a partial UTF-8 sequence; however, the whole message
    MUST contain valid UTF-8".
    """
    if not tail and data.isascii():  # most text, and no string is made of it
        return b""
    text = tail + data if tail else data
    try:
        _, length = utf_8_decode(text, "strict", fin)
    except UnicodeDecodeError as error:
        raise _not_text() from error
    rest = text[length:]
    # ED A0 and up can only be half of a surrogate (RFC 3629 section 3). Python waits for the third byte to say so.
    if len(rest) == 2 and rest >= b"\xed\xa0" and rest[0] == 0xED:
        raise _not_text()
    return rest


def _is_sendable(code: int) -> bool:
    try:
        Close(code, "").check()
    except ProtocolError:
        return False
    return True


def _not_text() -> FrameError:
    return FrameError(code=CloseCode.INVALID_DATA, reason="text is not UTF-8")


def _too_big(what: str, limit: int) -> FrameError:
    return FrameError(code=CloseCode.MESSAGE_TOO_BIG, reason=f"{what} is longer than {limit} bytes")
