"""Answers as aiohttp's parser reads them, and the parts they are made of, for Hypothesis."""

from __future__ import annotations

import asyncio
from functools import cache

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpResponseParser, RawResponseMessage
from hypothesis import strategies as st

FRAMING = {b"connection", b"content-encoding", b"content-length", b"transfer-encoding", b"upgrade"}
"""Names to which a parser gives a meaning."""

NAMES = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True).filter(
    lambda name: name.lower() not in FRAMING
)
VALUES = st.from_regex(rb"([!-~\x80-\xff]([ -~\t\x80-\xff]{0,30}[!-~\x80-\xff])?)?", fullmatch=True)
REASONS = st.from_regex(rb"([!-~]([ -~]{0,20}[!-~])?)?", fullmatch=True)


def parsed(data: bytes) -> tuple[RawResponseMessage, bytes, bytes]:
    """Read one answer: its head, its body, which must be complete, and the bytes behind it."""
    loop = idle_loop()
    parser = HttpResponseParser(BaseProtocol(loop), loop, 2**16, max_line_size=65_536, max_field_size=65_536)
    ((message, payload),), _, rest = parser.feed_data(data)
    assert payload.is_eof()
    return message, payload.read_nowait(), rest


@cache
def idle_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that is never run: the parser asks for one, and only waits on it for bodies that are not there."""
    loop = asyncio.new_event_loop()
    loop.close()
    return loop
