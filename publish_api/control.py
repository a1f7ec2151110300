"""Who is there, and ending single connections: `/channels/`, `/connections/`, and the description of the whole port.

Called by `publish_api.site` for requests that the planner gives to it. What is asked is answered by whoever holds
connections, in this process or in others; nothing here waits, an exchange is answered when the findings come.
"""

from __future__ import annotations

import asyncio
from functools import cache, partial
from pathlib import Path
from typing import Final, Protocol

from handlers.protocol.survey import Findings, Question
from publish_api.errors import RequestRefused
from publish_api.exchange import Exchange
from publish_api.plan import check_method
from publish_api.protocol.answer import PublishAnswer
from publish_api.protocol.control_answer import JSON, encode_findings
from publish_api.protocol.control_target import DESCRIPTION, parse_control

DOCUMENT: Final = Path(__file__).with_name("openapi.json")


class Surveyor(Protocol):
    """Whoever answers questions: this process, or all workers together."""

    def ask(self, question: Question) -> asyncio.Future[Findings]:
        """Return at once; what was found comes, and no error."""
        ...


class Control:
    """Answers these requests."""

    def __init__(self, surveyor: Surveyor) -> None:
        self._surveyor = surveyor

    def begin(self, exchange: Exchange) -> None:
        """Answer an exchange, now or when it is known what to."""
        head = exchange.plan.head
        try:
            if head.target.removesuffix("/") == DESCRIPTION:
                check_method(head.method, "GET", "HEAD")
                exchange.answer = describe()
                return
            question = parse_control(head.method, head.target)
        except RequestRefused as error:
            exchange.refuse(error)
            return
        self._surveyor.ask(question).add_done_callback(partial(_answered, exchange, question))


@cache
def describe() -> PublishAnswer:
    """Return the OpenAPI document of the publish port."""
    return PublishAnswer(status=200, body=DOCUMENT.read_bytes(), content_type=JSON)


def _answered(exchange: Exchange, question: Question, found: asyncio.Future[Findings]) -> None:
    try:
        exchange.answer = encode_findings(question, found.result())
    except RequestRefused as error:
        exchange.refuse(error)
    except Exception as error:  # noqa: BLE001  # whoever asks is told, and the log
        exchange.fail(error)
    exchange.connection.go_on()
