"""A session state service as an operator writes one: a REP socket that connects, and somebody else's codec."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import tnetstring
import zmq
import zmq.asyncio

from tests.support.turns import until
from tests.support.zhttp import places


class StateService:
    """Remembers rules and last ids; answers one call at a time."""

    def __init__(self, context: zmq.asyncio.Context, endpoints: list[str]) -> None:
        self.answers: dict[str, Any] = {}
        """What a method returns in place of what it should."""
        self.rules: list[dict[bytes, bytes]] = []
        self.last_ids: dict[bytes, dict[bytes, bytes]] = {}
        self.calls: list[tuple[str, Any]] = []
        """What was called, with which arguments."""
        self.is_mute = False
        """Whether it answers nothing sensible for now."""
        self._socket = context.socket(zmq.REP)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._endpoints = endpoints
        for place in self._endpoints:
            self._socket.connect(place)

    async def connected(self) -> None:
        """Wait until it is connected everywhere."""
        for _ in self._endpoints:
            await self._monitor.recv_multipart()

    async def serve(self) -> None:
        """Answer calls until cancelled."""
        while True:
            call = tnetstring.loads(await self._socket.recv())
            method = call[b"method"].decode()
            self.calls.append((method, call[b"args"]))
            await self._socket.send(tnetstring.dumps({b"id": call[b"id"], **self._answer(method, call[b"args"])}))

    def called(self, method: str) -> list[Any]:
        """Return the arguments of each call of a method so far."""
        return [args for name, args in self.calls if name == method]

    async def until_called(self, method: str, times: int = 1) -> Any:
        """Wait until a method was called so often, and return the arguments of the last time."""
        await until(lambda: len(self.called(method)) >= times)
        return self.called(method)[-1]

    def close(self) -> None:
        """Go away."""
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=0)

    def _answer(self, method: str, args: Any) -> dict[bytes, Any]:
        if self.is_mute:
            return {b"id": b"somebody else's", b"success": True, b"value": None}
        if method in self.answers:
            return {b"success": True, b"value": self.answers[method]}
        match method:
            case "session-detect-rules-set":
                self.rules += args[b"rules"]
            case "session-detect-rules-get":
                rules = [
                    rule
                    for rule in self.rules
                    if rule[b"domain"] == args[b"domain"] and args[b"path"].startswith(rule[b"path-prefix"])
                ]
                return {b"success": True, b"value": rules}
            case "session-create-or-update":
                self.last_ids.setdefault(args[b"sid"], {}).update(args[b"last-ids"])
            case "session-update-many":
                for sid, last_ids in args[b"sid-last-ids"].items():
                    self.last_ids[sid].update(last_ids)
            case "session-get-last-ids":
                if args[b"sid"] not in self.last_ids:
                    return {b"success": False, b"condition": b"item-not-found"}
                return {b"success": True, b"value": self.last_ids[args[b"sid"]]}
            case _:
                return {b"success": False, b"condition": b"method-not-found"}
        return {b"success": True, b"value": None}


@asynccontextmanager
async def state_service(endpoint: str, *, is_alone: bool = False) -> AsyncGenerator[StateService]:
    """A service for the time of the block; `is_alone`: there is one process at this endpoint, whatever this run has."""
    context = zmq.asyncio.Context()
    service = StateService(context, [endpoint] if is_alone else places(endpoint))
    await service.connected()
    serving = asyncio.create_task(service.serve())
    try:
        yield service
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        service.close()
        context.term()
