"""The operator's faults: what is wrong in the routes file or in the settings.

Raised by `proxy.protocol.routes`, `proxy.router` and `proxy.settings`. At start-up the console script prints the
text on one line and exits; on a reload the old state stays in force and the text is logged. Never shown to a client.
"""

from __future__ import annotations


class RoutesError(Exception):
    """One line of the routes cannot be used. The other lines are not affected."""

    def __init__(self, *, source: str, line: int, reason: str) -> None:
        super().__init__(source, line, reason)
        self.source = source
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        """Return `SOURCE:LINE: reason`, the form editors and terminals can jump to."""
        return f"{self.source}:{self.line}: {self.reason}"


class RoutesFileError(Exception):
    """The routes file itself cannot be read: fatal at start-up, while a reload keeps the old table."""

    def __init__(self, *, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        """Return `unable to open routes file: PATH (reason)`."""
        return f"unable to open routes file: {self.path} ({self.reason})"


class SettingsError(Exception):
    """A setting is missing, malformed or out of its range. `text` names the setting and what it may be."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class UpstreamError(Exception):
    """The backend's fault: no target reachable (502), no usable answer (502), or none in time (504).

    `detail` says what happened, for the log; debug routes show it to clients where it `is_public`, others never do.
    """

    def __init__(self, *, status: int, detail: str, is_public: bool = False) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.is_public = is_public

    def __str__(self) -> str:
        return self.detail


BLOCKED = "Error: Origin host/IP blocked."
"""What an UpstreamError says of an address that may not be asked: Pushpin's text (reference 3.16)."""


class UnreachableError(UpstreamError):
    """No target of the route could be connected to; nothing was sent."""

    def __init__(self, *, status: int, detail: str) -> None:
        super().__init__(status=status, detail=detail, is_public=True)


class RequestBodyError(Exception):
    """The client's fault: its request body is malformed (400), or did not come in time (408)."""

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
