"""One connection's heads, read with what the one before came to: clients say nearly the same again and again.

Called by `framing` with each complete head. What it returns is what `request_head` returns for the same bytes; a head
that differs from the one before in its method and target alone is just not taken apart a second time, and its
`headers` are the same object. That is how the parts behind this tell that they have seen them.

Memory: the last head of at most `REMEMBERED_BYTES`, and its bytes, until the next such or as long as the reader lives.
"""

from __future__ import annotations

from typing import Final

from proxy.protocol.request_head import RequestHead, parse_request_head, repeat_request_head

REMEMBERED_BYTES: Final = 4096
"""A longer head is forgotten with its request: taken apart it is several times as large, and thousands of idle
connections may each have sent one. With cookies and all, most are below 2 KB."""


class HeadReader:
    """Parses the heads of one connection."""

    __slots__ = ("_bodyless_bytes", "_head_bytes", "_max_headers", "_rest_size", "last")

    last: RequestHead | None
    """The last head that was read and is remembered."""

    def __init__(self, *, max_headers: int) -> None:
        self._max_headers = max_headers
        self.last = None
        self._head_bytes = b""
        self._bodyless_bytes = b""
        """The last head's bytes if no body comes behind it, otherwise b""."""
        self._rest_size = 0
        """Of the last head the bytes from the space before its version on."""

    def is_last(self, received: bytes) -> bool:
        """Say whether bytes are the last head again, whole and with nothing behind it, and it announces no body."""
        return received == self._bodyless_bytes and received != b""

    def read(self, head_bytes: bytes) -> RequestHead:
        """Parse a head that ends with its first empty line. Raises RequestError."""
        if head_bytes == self._head_bytes and self.last is not None:
            return self.last
        if len(head_bytes) > REMEMBERED_BYTES:
            self.last, self._head_bytes, self._bodyless_bytes = None, b"", b""
            return parse_request_head(head_bytes, max_headers=self._max_headers)
        head = self._read_again(head_bytes)
        if head is None:
            head = parse_request_head(head_bytes, max_headers=self._max_headers)
            self._rest_size = len(head_bytes) - len(head.method) - 1 - len(head.target)
        self.last, self._head_bytes = head, head_bytes
        self._bodyless_bytes = b"" if head.chunked or head.content_length else head_bytes
        return head

    def _read_again(self, head_bytes: bytes) -> RequestHead | None:
        """Read a head that ends as the last one did, from its version on; None for any other."""
        if self.last is None or not head_bytes.endswith(self._head_bytes[-self._rest_size :]):
            return None
        # What stands before holds no CR or LF, or it is no method and target. So it is the same line that `rest`
        # belonged to, and the lines behind are the same.
        return repeat_request_head(head_bytes[: -self._rest_size], self.last)
