"""What goes wrong at the publishers' door, by whose fault it is.

A publisher's (RequestRefused and AuthError: answered, logged as one line) and that of who runs `holdfast publish`
(CommandError: one line, exit status 1). Malformed items are `handlers.errors.ItemError`, the operator's faults
`handlers.errors.InvalidSetting`.
"""

from __future__ import annotations

from handlers.protocol.http1 import Headers


class RequestRefused(Exception):
    """A request cannot be served. `text` is the answer's body without its line end, `headers` are added to it."""

    def __init__(self, status: int, text: str, headers: Headers = ()) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.headers = headers

    def __str__(self) -> str:
        """Return the text the publisher reads."""
        return self.text


class AuthError(Exception):
    """A publisher has shown no credentials, or wrong ones, or ones for something else (RFC 6750 section 3)."""

    def __init__(self, text: str, *, challenge: bytes, status: int = 401) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.challenge = challenge


class CommandError(Exception):
    """`holdfast publish` cannot do what it was asked. `str(error)` follows `Error: ` on the terminal."""
