"""Errors by fault: the backend's (InstructError), the publisher's (ItemError) and the operator's (InvalidSetting).

Each carries its text, ready to be shown. Who catches them decides the status: an InstructError is answered to the
client with 502, an ItemError to the publisher with 400, and an InvalidSetting ends the start. A HubRefusal, a Mercure
subscriber's or publisher's fault, carries its status, because the protocol fixes it.
"""

from __future__ import annotations

from enum import Enum


class InstructError(Exception):
    """A backend's answer carries GRIP instructions that cannot be obeyed. `reason` is shown on debug routes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ItemError(Exception):
    """A publish body or item is malformed. `str(error)` is the text the publisher reads."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Challenge(Enum):
    """What RFC 6750 section 3.1 calls the fault of a token; the value stands in the challenge, empty for none."""

    NO_TOKEN = ""
    INVALID_REQUEST = "invalid_request"
    INVALID_TOKEN = "invalid_token"  # noqa: S105  # an error code
    INSUFFICIENT_SCOPE = "insufficient_scope"


class HubRefusal(Exception):
    """A request to the Mercure hub is refused: `status` and `text` (without its line end) are the answer.

    `challenge` is set where a token is at fault; without one, `retry_after` says in how many seconds to come again.
    `reason` is for the log alone, and says precisely what was wrong; it never holds a token or a key.
    """

    def __init__(
        self, status: int, text: str, *, challenge: Challenge | None = None, reason: str = "", retry_after: int = 0
    ) -> None:
        super().__init__(status, text, reason)
        self.status = status
        self.text = text
        self.challenge = challenge
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Return the precise reason, or else the answer's text."""
        return self.reason or self.text


class StorageError(Exception):
    """The history could not be written or read: `str(error)` says why. Nothing of what failed was stored."""


class HistoryTrimmed(StorageError):
    """What a reader was to read next has been trimmed meanwhile: it must not be given a gap."""


class Busy(Exception):
    """A publication is refused for now: somebody is too far behind to be given more. Nothing of it was delivered.

    `retry_after` says in how many seconds to come again.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Return what the log says."""
        return f"a worker is too far behind; to be tried again in {self.retry_after} seconds"


class InvalidSetting(ValueError):
    """A setting has a value that its type allows and that nothing can obey. `key` is its name within its section."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        """Return `KEY: reason`."""
        return f"{self.key}: {self.reason}"
