"""GRIP sessions of routes with the option `session`: which one a request belongs to, and what it has seen.

Made by the composition of the clients' side where `session.state` is set; asked by the front. Everything is remembered
by the state service: rules by host, and each session's last ids. When that fails, a request goes on as if it had no
session (reference 3.14).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from handlers.counters import Counters
from handlers.edge import Edge
from handlers.protocol.http1 import Headers
from handlers.protocol.items import Item
from handlers.protocol.zmq_spec import ZmqSpec
from handlers.timers import Clock
from handlers.websocket import WebSocketSession
from proxy.grip_session.held import HeldSessions
from proxy.grip_session.state import StateError, StateService
from proxy.incoming import Incoming
from proxy.protocol.grip_session import add_session, find_sid, parse_session_word
from proxy.protocol.matching import host_of
from proxy.protocol.state_call import (
    CREATE_OR_UPDATE,
    GET_LAST_IDS,
    RULES_GET,
    RULES_SET,
    UPDATE_MANY,
    Args,
    StateCallError,
    encode_rules,
    parse_last_ids,
    parse_rules,
)
from proxy.upstream import BackendRequest

NOT_FOUND = "item-not-found"
"""What a service says of a session that it does not know, which is no failure."""


class GripSessions:
    """`open` once; then any of the others, any number of times at once; then `close`."""

    def __init__(self, spec: ZmqSpec, *, sender: bytes, edge: Edge, clock: Clock, counters: Counters) -> None:
        """`sender` is what the service knows this process by."""
        self._state = StateService(spec, sender=sender, clock=clock, counters=counters)
        self._edge = edge
        self._held = HeldSessions(edge)

    def open(self) -> None:
        """Bind where the service connects. Raises OSError with the endpoint in it."""
        self._state.open()
        self._edge.on_items = self.note

    def close(self) -> None:
        """End it."""
        self._state.close()

    async def recognise(self, request: BackendRequest, incoming: Incoming) -> BackendRequest:
        """Return the request with what is known of its session, or as it is. Raises what its body raises."""
        body = request.body
        if body.length == 0 or not await body.read_small():
            return request
        try:
            where: Args = {"domain": _domain(incoming), "path": incoming.path.partition(b"?")[0]}
            rules = parse_rules(await self._state.call(RULES_GET, where))
            sid = find_sid(rules, body.joined())
            last_ids = await self._last_ids(sid) if sid else ()
        except StateError as error:
            self._state.count_failure(error)
            return request
        except StateCallError as error:
            self._state.count_failure(StateError(RULES_GET, str(error)))
            return request
        return structs.replace(request, headers=add_session(request.headers, sid, last_ids)) if sid else request

    async def learn(self, headers: Headers, incoming: Incoming) -> str:
        """Have the service remember what an answer says of sessions; return the session that it names, or nothing."""
        word = parse_session_word(headers, _domain(incoming))
        try:
            if word.rules:
                await self._state.call(RULES_SET, encode_rules(word.rules))
            if word.sid:
                await self._state.call(CREATE_OR_UPDATE, {"sid": word.sid, "last-ids": dict(word.last_ids)})
        except StateError as error:
            self._state.count_failure(error)
        return word.sid

    def hold(self, held: object, sid: str) -> None:
        """Note that a held connection belongs to a session: what it is sent, the service is told of.

        `held` is what has the connection now, which may have ended already.
        """
        self._held.add(held, sid)

    def name(self, socket: WebSocketSession, sid: str | None) -> None:
        """Note which session a WebSocket belongs to from now on, None for no more (reference 5.3, `session`)."""
        self._held.name(socket, sid)
        if sid:
            self._state.tell(CREATE_OR_UPDATE, {"sid": sid, "last-ids": {}})

    def note(self, items: Sequence[Item]) -> None:
        """Tell the service of what is about to be sent to sessions."""
        told = self._held.receivers(items)
        if told:
            self._state.tell(UPDATE_MANY, {"sid-last-ids": told})

    async def _last_ids(self, sid: str) -> tuple[tuple[str, str], ...]:
        """Return what a session has seen. Raises StateError."""
        try:
            return parse_last_ids(await self._state.call(GET_LAST_IDS, {"sid": sid}))
        except StateError as error:
            if error.condition != NOT_FOUND:
                self._state.count_failure(error)
        except StateCallError as error:
            self._state.count_failure(StateError(GET_LAST_IDS, str(error)))
        return ()


def _domain(incoming: Incoming) -> str:
    return host_of(incoming.authority.decode("latin-1"))
