"""An asker that writes down what it is asked, and answers when a test says so."""

from __future__ import annotations

from collections.abc import Callable

from handlers.protocol.http_filter import Question, Verdict


class RecordingAsker:
    """A `handlers.door.Asker`."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.called_off = 0
        self._answered: list[Callable[[Verdict], None]] = []

    def ask(self, question: Question, answered: Callable[[Verdict], None]) -> Callable[[], None]:
        self.questions.append(question)
        self._answered.append(answered)
        return self._call_off

    def answer(self, verdict: Verdict) -> None:
        """Answer the oldest question."""
        self._answered.pop(0)(verdict)

    @property
    def open(self) -> int:
        """How many questions have no answer yet."""
        return len(self._answered)

    def _call_off(self) -> None:
        self.called_off += 1
