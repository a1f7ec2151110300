"""The ZeroMQ sockets that Pushpin's publishers know: all that are set, opened together (reference 6.2, 7.1, 7.3).

Made by the composition root. The SUB socket subscribes to everything, not to the channels that somebody is on: what
comes for nobody is dropped by the edge, and what is published while a subscription is on its way is not missed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial

import zmq

from handlers.counters import Counters
from handlers.observer import Observer
from handlers.protocol.items import Item
from handlers.timers import Clock
from publish_api.protocol.item_message import parse_pulled, parse_subscribed
from publish_api.protocol.zmq_spec import parse_spec
from publish_api.turn import PublishSink
from publish_api.zeromq.binding import HIGH_WATER, Context, bind, connect, open_socket
from publish_api.zeromq.commands import Commands
from publish_api.zeromq.intake import Intake
from publish_api.zeromq.reader import Parts, SocketReader
from publish_api.zeromq.settings import ZeroMQSettings
from publish_api.zeromq.stats import QUEUE, Stats

log = logging.getLogger("holdfast.publish")


class ZeroMQServer:
    """`open` once, then `begin`, then `close`, on the loop that is to serve it. Only where settings have a socket.

    `counters` are this process's; `count` returns those that are told of, by default the same. `recover` is what the
    command of that name does; None says that nobody can obey it. `joins`: the sink may be given the items of several
    publishers in one call (`publish_api.turn`).
    """

    def __init__(
        self,
        settings: ZeroMQSettings,
        sink: PublishSink,
        *,
        counters: Counters,
        clock: Clock,
        count: Callable[[], Counters] | None = None,
        recover: Callable[[], None] | None = None,
        joins: bool = False,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._joins = joins
        self._counters = counters
        self._clock = clock
        self._count = count or (lambda: counters)
        self._recover = recover
        self._context: Context | None = None
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._running: list[Intake | Commands | Stats] = []
        self._endpoints: list[str] = []
        self.uris: dict[str, str] = {}
        """Where it listens once it is open, by the names that `get-zmq-uris` has for the sockets, and `stats`."""
        self.observer: Observer | None = None
        """Whom to tell what happens here; None until it has begun, and where nobody wants to know."""

    def open(self) -> None:
        """Bind every socket, or none. Raises OSError with the endpoint as its `filename`."""
        settings = self._settings
        self._context = zmq.Context()
        try:
            if settings.pull:
                self.uris["publish-pull"] = self._bind("pull", zmq.PULL, settings.pull)
            if settings.sub:
                self._open_sub(self._make("sub", zmq.SUB))
            if settings.command:
                self.uris["command"] = self._bind("command", zmq.ROUTER, settings.command)
            if settings.stats:
                self.uris["stats"] = self._bind("stats", zmq.PUB, settings.stats, high_water=QUEUE)
        except OSError:
            self.close()
            raise

    def begin(self) -> None:
        """Take what comes, from now on."""
        if "stats" in self._sockets:
            self.observer = self._begin_stats(self._sockets["stats"])
        if "pull" in self._sockets:
            self._begin_intake("pull", parse_pulled)
        if "sub" in self._sockets:
            self._begin_intake("sub", parse_subscribed)
        if "command" in self._sockets:
            self._begin_commands(self._sockets["command"])
        log.info("ZeroMQ: %s", ", ".join(self._endpoints))

    def close(self) -> None:
        """End all of it at once. Harmless when it is closed."""
        for each in self._running:
            each.close()
        self._running.clear()
        for socket in self._sockets.values():
            socket.close(linger=0)
        if self._context is not None:
            self._context.term()
            self._context = None

    def _make(self, name: str, kind: int, *, high_water: int = HIGH_WATER) -> zmq.Socket[bytes]:
        assert self._context is not None, "it is being opened"
        self._sockets[name] = socket = open_socket(self._context, kind, high_water=high_water)
        return socket

    def _bind(self, name: str, kind: int, text: str, *, high_water: int = HIGH_WATER) -> str:
        socket = self._make(name, kind, high_water=high_water)
        endpoint = bind(socket, parse_spec(text), ipc_file_mode=self._settings.ipc_file_mode)
        self._endpoints.append(f"{name} on {endpoint}")
        return endpoint

    def _open_sub(self, socket: zmq.Socket[bytes]) -> None:
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        for spec in map(parse_spec, self._settings.sub):
            if self._settings.sub_connect:
                connect(socket, spec)
                self._endpoints.append(f"sub from {spec.text}")
            else:
                endpoint = bind(socket, spec, ipc_file_mode=self._settings.ipc_file_mode)
                self._endpoints.append(f"sub on {endpoint}")
                self.uris.setdefault("publish-sub", endpoint)

    def _begin_intake(self, name: str, parse: Callable[[Parts], Item]) -> None:
        intake = Intake(
            self._sink,
            name=name,
            parse=parse,
            max_message=self._settings.max_message,
            clock=self._clock,
            counters=self._counters,
            joins=self._joins,
        )
        self._running.append(intake)
        intake.begin(SocketReader(self._sockets[name], intake.take))

    def _begin_commands(self, socket: zmq.Socket[bytes]) -> None:
        commands = Commands(
            self._sink,
            uris={name: uri for name, uri in self.uris.items() if name != "stats"},
            max_message=self._settings.max_message,
            counters=self._counters,
            recover=self._recover,
        )
        self._running.append(commands)
        commands.begin(SocketReader(socket, commands.take))

    def _begin_stats(self, socket: zmq.Socket[bytes]) -> Observer:
        stats = Stats(
            partial(socket.send, flags=zmq.NOBLOCK),
            name=f"holdfast_{os.getpid()}",
            settings=self._settings,
            clock=self._clock,
            count=self._count,
        )
        self._running.append(stats)
        stats.begin()
        return stats
