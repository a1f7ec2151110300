"""Errors by fault: the backend's (InstructError), the publisher's (ItemError) and the operator's (InvalidSetting).

Each carries its text, ready to be shown. Who catches them decides the status: an InstructError is answered to the
client with 502, an ItemError to the publisher with 400, and an InvalidSetting ends the start.
"""

from __future__ import annotations


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


class InvalidSetting(ValueError):
    """A setting has a value that its type allows and that nothing can obey. `key` is its name within its section."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        """Return `KEY: reason`."""
        return f"{self.key}: {self.reason}"
