"""permessage-deflate (RFC 7692) between a client and us: its negotiation, and frames compressed for many clients.

Used by held WebSockets. There is one way of compressing here, so that a message is compressed once and the same bytes
go to every client that agreed: each message stands by itself (no context take-over), in a window of WINDOW_BITS. A
client that asks for less is served uncompressed. Towards backends nothing is compressed, and no other extension is
known.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionParameter

from handlers.protocol.ws_frames import IS_CONTROL, Frame, Opcode, encode_frame

WINDOW_BITS: Final = 12
"""Base-2 logarithm of our LZ77 window: 4 KiB hold most of what is published, in the client's memory as in ours."""

# 16 KiB for the tables of a compressor, as much as it takes for this window. More achieves little more.
_MEM_LEVEL: Final = 5
# Clients may use any window. We need not say so: without client_max_window_bits in the response it is 32 KiB or less
# (RFC 7692 section 7.1.2.2). Nor is a smaller one they announce believed: zlib makes 9 bits of 8.
_CLIENT_WINDOW_BITS: Final = 15
_SETTINGS: Final = {"memLevel": _MEM_LEVEL}  # one for all connections
# RFC 7692 sections 7.1.1.1, 7.1.1.2 and 7.1.2.1: all three may be in the response whether or not they were offered.
_PARAMETERS: Final[tuple[ExtensionParameter, ...]] = (
    ("server_no_context_takeover", None),
    ("client_no_context_takeover", None),
    ("server_max_window_bits", str(WINDOW_BITS)),
)
_OFFERS: Final = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True, server_max_window_bits=WINDOW_BITS
)
# RFC 7692 section 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
_SYNC_TAIL: Final = b"\x00\x00\xff\xff"
_RSV1: Final = 0x40


class Deflate:
    """permessage-deflate as agreed with one client. `extension` goes to its FrameReader, and inflates there.

    Memory: no window between messages, in either direction.
    """

    __slots__ = ("extension",)

    response: ClassVar[bytes] = build_extension([(PerMessageDeflate.name, _PARAMETERS)]).encode()
    """The value of Sec-WebSocket-Extensions in the response. Every client gets the same."""

    def __init__(self) -> None:
        self.extension = PerMessageDeflate(
            remote_no_context_takeover=True,
            local_no_context_takeover=True,
            remote_max_window_bits=_CLIENT_WINDOW_BITS,
            local_max_window_bits=WINDOW_BITS,
            compress_settings=_SETTINGS,
        )

    def encode(self, frame: Frame) -> bytes:
        """Encode the next frame of a relayed stream for this client: a message, a fragment or a control frame.

        Frames must come in an order that a FrameReader lets through. A message in fragments holds a compressor, 32 KiB,
        from its first to its last.
        """
        if frame.fin and frame.opcode is not Opcode.CONT:
            return deflate_frame(frame.opcode, bytes(frame.data))
        return frame.serialize(mask=False, extensions=[self.extension])


def negotiate(offers: Iterable[bytes]) -> Deflate | None:
    """Accept the first offer we can serve (RFC 7692 section 5), None without one; nothing is raised.

    `offers` are the values of a client's Sec-WebSocket-Extensions lines, in order. An offer with parameters that are
    unknown, doubled or out of range is passed over (section 7.1), a line that cannot be parsed as a whole is.
    """
    return Deflate() if any(_is_acceptable(parameters) for parameters in _parse_offers(offers)) else None


def deflate_frame(opcode: Opcode, data: bytes) -> bytes:
    """Encode a whole message as one frame for every client with a Deflate.

    It is left uncompressed where that is no longer, as section 6 lets us decide for each message; so are control
    frames, which are never compressed (section 6.1).
    """
    plain = encode_frame(opcode, data)
    if opcode & IS_CONTROL:
        return plain
    compressor = zlib.compressobj(wbits=-WINDOW_BITS, memLevel=_MEM_LEVEL)
    deflated = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    if len(deflated) - len(_SYNC_TAIL) >= len(data):
        return plain
    encoded = bytearray(encode_frame(opcode, deflated.removesuffix(_SYNC_TAIL)))
    encoded[0] |= _RSV1
    return bytes(encoded)


def _parse_offers(lines: Iterable[bytes]) -> Iterator[Sequence[ExtensionParameter]]:
    for line in lines:
        try:
            extensions = parse_extension(line.decode("latin-1").strip(" \t"))
        except InvalidHeader:
            continue
        yield from (parameters for name, parameters in extensions if name == PerMessageDeflate.name)


def _is_acceptable(parameters: Sequence[ExtensionParameter]) -> bool:
    try:
        _, extension = _OFFERS.process_request_params(parameters, [])
    except NegotiationError:
        return False
    return extension.local_max_window_bits == WINDOW_BITS
