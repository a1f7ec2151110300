"""What all connections of the publish port share. Made by `publish_api.http`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from handlers.counters import Counters
from handlers.errors import ItemError
from handlers.protocol.item_json import parse_publish
from handlers.timers import Clock
from publish_api.authorization import Authorization
from publish_api.control import Control
from publish_api.errors import RequestRefused
from publish_api.exchange import Exchange
from publish_api.plan import HEALTHY, METRICS_TYPE, Kind, Planner
from publish_api.protocol.answer import PublishAnswer
from publish_api.request import Request
from publish_api.settings import PublishSettings
from publish_api.turn import Turn


class Closing(Protocol):
    """A connection, to whoever ends them all."""

    def stop(self) -> None:
        """Close once what has been begun is answered."""
        ...

    def abort(self) -> None:
        """Close now."""
        ...


class HubPort(Protocol):
    """The hub, to requests that come to the publish port (`publish_api.mercure_port`)."""

    def takes(self, path: str) -> bool:
        """Say whether a request for `path`, without its query, is the hub's."""
        ...

    async def answer(self, request: Request) -> PublishAnswer:
        """Answer a request whose path it takes. Raises RequestRefused for a body that does not come."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSite:
    """The parts that serve requests, and who is being served."""

    settings: PublishSettings
    planner: Planner
    authorization: Authorization
    turn: Turn
    counters: Counters
    clock: Clock

    metrics: Callable[[], bytes] | None
    """Makes the answer to GET /metrics."""

    hub: HubPort | None
    recover: Callable[[], None] | None = None
    """Has all held connections ask their backends again (POST /recover); None where nobody is held."""
    find_fault: Callable[[], str] | None = None
    """Says why clients are not served now, empty when they are (GET /readyz)."""
    control: Control | None = None
    """Answers who is there; None where nobody knows."""

    connections: set[Closing] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Those of the hub's requests."""

    is_empty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last connection is gone."""

    def leave(self, connection: Closing) -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self.is_empty.set()

    def publish(self, exchange: Exchange, body: bytes) -> None:
        """Publish what the body says at the end of the loop's turn, or refuse it now."""
        try:
            exchange.items = parse_publish(body)
        except ItemError as error:
            exchange.refuse(RequestRefused(400, error.text))
        except Exception as error:  # noqa: BLE001  # whatever a publisher sends, it is told, and so is the log
            exchange.fail(error)
        else:
            self.turn.add(exchange)

    def show_metrics(self, exchange: Exchange) -> None:
        """Answer with the metrics, which there must be."""
        assert self.metrics is not None, "the path is unknown without them"
        try:
            exchange.answer = PublishAnswer(status=200, body=self.metrics(), content_type=METRICS_TYPE)
        except Exception as error:  # noqa: BLE001  # whoever asks is told, and the log
            exchange.fail(error)

    def obey(self, exchange: Exchange) -> None:
        """Do what a request without a body asks for, if anything, and answer with what its plan says."""
        try:
            if exchange.plan.kind is Kind.RECOVER and self.recover is not None:
                self.recover()
            if exchange.plan.kind is Kind.CONTROL and self.control is not None:
                self.control.begin(exchange)
            elif exchange.plan.kind is Kind.READY:
                exchange.answer = tell_ready(self.find_fault() if self.find_fault is not None else "")
            else:
                exchange.answer = exchange.plan.answer
        except Exception as error:  # noqa: BLE001  # whoever asks is told, and the log
            exchange.fail(error)

    def ask_the_hub(self, exchange: Exchange, request: Request, answered: Callable[[], None]) -> None:
        """Have the hub answer an exchange in a task of its own; then call `answered`, whoever has left meanwhile."""
        task = asyncio.get_running_loop().create_task(self._ask(exchange, request, answered))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _ask(self, exchange: Exchange, request: Request, answered: Callable[[], None]) -> None:
        assert self.hub is not None, "no path is the hub's without one"
        try:
            exchange.answer = await self.hub.answer(request)
        except RequestRefused as error:
            exchange.refuse(error)
        except Exception as error:  # noqa: BLE001  # the root of the task: the publisher is told, and the log
            exchange.fail(error)
        answered()

    async def end(self, seconds: float) -> None:
        """Close all connections, idle ones at once, others when they are answered or after `seconds`."""
        for connection in tuple(self.connections):
            connection.stop()
        try:
            # By the loop's time, which no test turns: the process ends.
            async with asyncio.timeout(seconds):
                while self.connections:
                    self.is_empty.clear()
                    await self.is_empty.wait()
        except TimeoutError:
            for connection in tuple(self.connections):
                connection.abort()
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def tell_ready(fault: str) -> PublishAnswer:
    """Return the answer to GET /readyz."""
    return PublishAnswer(status=503, body=f"{fault}\n".encode()) if fault else HEALTHY
