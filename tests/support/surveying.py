"""Whoever answers questions on connections, as a test wants it."""

from __future__ import annotations

import asyncio

from handlers.protocol.hold_id import HoldId
from handlers.protocol.survey import ConnectionRow, Findings, Kind, Question


class ScriptedSurveyor:
    """Notes what it is `asked`, and has `found` that. When it `waits`, what is found is for the test to say."""

    def __init__(self, found: Findings | None = None) -> None:
        self.found = found or Findings()
        self.asked: list[Question] = []
        self.waits = False
        self.waiting: list[asyncio.Future[Findings]] = []

    def ask(self, question: Question) -> asyncio.Future[Findings]:
        """Answer, or let it wait (`Surveyor`)."""
        self.asked.append(question)
        answer: asyncio.Future[Findings] = asyncio.get_running_loop().create_future()
        if self.waits:
            self.waiting.append(answer)
        else:
            answer.set_result(self.found)
        return answer


def connection(name: str, stamp: int, *, kind: Kind = Kind.WS, channels: tuple[str, ...] = ()) -> ConnectionRow:
    """A connection of worker 1, which is called `name`."""
    return ConnectionRow(HoldId(stamp, 1), name, kind, "grip", "127.0.0.1", "r", "http://a/", channels)
