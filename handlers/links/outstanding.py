"""What a worker was sent and has not acknowledged: how much it is, and since when nothing has been taken.

Numbers only: who is told, and when somebody is too far behind, is decided by whoever keeps the links.
"""

from __future__ import annotations

from collections import deque

MESSAGE = 64
"""Bytes that a message costs beside its own."""


class Outstanding:
    """One worker's account. `now` is monotonic seconds."""

    __slots__ = ("_handled", "_sizes", "bytes", "reply_bytes", "since")

    def __init__(self) -> None:
        self.bytes = 0
        """Bytes that are outstanding of what is sent to all workers, each message with what it costs beside."""
        self.reply_bytes = 0
        """The same of answers to this worker's own requests. Publishers are not held off for them."""
        self.since: float | None = None
        """Since when something is outstanding and nothing was acknowledged; None when nothing is."""
        self._sizes: deque[int] = deque()  # below 0: of an answer
        self._handled = 0

    def __len__(self) -> int:
        """Return how many messages are outstanding."""
        return len(self._sizes)

    def sent(self, size: int, now: float, *, is_reply: bool = False) -> None:
        """Note a message of `size` bytes."""
        if not self._sizes:
            self.since = now
        cost = size + MESSAGE
        if is_reply:
            self._sizes.append(-cost)
            self.reply_bytes += cost
        else:
            self._sizes.append(cost)
            self.bytes += cost

    def acknowledge(self, handled: int, now: float) -> None:
        """Note that the first `handled` messages have been handled. Raises ValueError for more than were sent."""
        count = handled - self._handled
        if count > len(self._sizes):
            raise ValueError(f"{handled} messages acknowledged, {self._handled + len(self._sizes)} sent")
        if count <= 0:
            return
        for _ in range(count):
            cost = self._sizes.popleft()
            if cost < 0:
                self.reply_bytes += cost
            else:
                self.bytes -= cost
        self._handled = handled
        self.since = now if self._sizes else None
