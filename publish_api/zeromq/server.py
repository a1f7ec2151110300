"""The ZeroMQ sockets that Pushpin's publishers know: all that are set, opened together (reference 6.2, 7.1, 7.3).

Made by the composition root. Unless it is told otherwise the SUB socket subscribes to everything, not to the channels
that somebody is on: what comes for nobody is dropped by the edge, and what is published while a subscription is on its
way is not missed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial

import zmq

from handlers.broker import PublishSink
from handlers.counters import Counters
from handlers.observer import Lingering, Observer, Observers
from handlers.protocol.items import Item
from handlers.protocol.zmq_spec import ZmqSpec, parse_spec
from handlers.timers import Clock
from handlers.zeromq.binding import HIGH_WATER, Context, SocketFiles, bind, connect, open_socket
from publish_api.control import Surveyor
from publish_api.protocol.item_message import parse_pulled, parse_subscribed
from publish_api.zeromq.commands import Commands
from publish_api.zeromq.intake import Intake
from publish_api.zeromq.reader import Parts, SocketReader
from publish_api.zeromq.settings import ZeroMQSettings
from publish_api.zeromq.stats import QUEUE, Stats
from publish_api.zeromq.sub_channels import SubChannels

log = logging.getLogger("holdfast.publish")

Running = Intake | Commands | Stats | SubChannels | Lingering


class ZeroMQServer:
    """`open` once, then `begin`, then `close`, on the loop that is to serve it. Only where settings have a socket.

    `counters` are this process's; `count` returns those that are told of, by default the same. `recover` is what the
    command of that name does, `surveyor` is asked by those about connections; None says that nobody can obey them.
    `joins`: the sink may be given the items of several publishers in one call (`publish_api.turn`). `observers` are
    told what happens on the edges; whoever here wants to know is added to them. `takes_wildcards`: channels that end in
    `*` stand for all that begin so.
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
        surveyor: Surveyor | None = None,
        joins: bool = False,
        observers: Observers | None = None,
        takes_wildcards: bool = False,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._joins = joins
        self._counters = counters
        self._clock = clock
        self._count = count or (lambda: counters)
        self._recover = recover
        self._surveyor = surveyor
        self._context: Context | None = None
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._files = SocketFiles()
        self._running: list[Running] = []
        self._observers = observers or Observers()
        self._takes_wildcards = takes_wildcards
        self._endpoints: list[str] = []
        self.uris: dict[str, str] = {}
        """Where it listens once it is open, by the names that `get-zmq-uris` has for the sockets, and `stats`."""

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
            self._begin_stats(self._sockets["stats"])
        if "pull" in self._sockets:
            self._begin_intake("pull", parse_pulled)
        if "sub" in self._sockets:
            self._begin_sub(self._sockets["sub"])
        if "command" in self._sockets:
            self._begin_commands(self._sockets["command"])
        log.info("ZeroMQ: %s", ", ".join(self._endpoints))

    def close(self) -> None:
        """End all of it at once, and remove the files of sockets. Harmless when it is closed."""
        for each in self._running:
            each.close()
        self._running.clear()
        self._files.remove()
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
        endpoint = self._bind_socket(socket, parse_spec(text))
        self._endpoints.append(f"{name} on {endpoint}")
        return endpoint

    def _bind_socket(self, socket: zmq.Socket[bytes], spec: ZmqSpec) -> str:
        return bind(socket, spec, ipc_file_mode=self._settings.ipc_file_mode, files=self._files)

    def _open_sub(self, socket: zmq.Socket[bytes]) -> None:
        if self._settings.subscribe == "all":
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        for spec in map(parse_spec, self._settings.sub):
            if self._settings.sub_connect:
                connect(socket, spec)
                self._endpoints.append(f"sub from {spec.text}")
            else:
                endpoint = self._bind_socket(socket, spec)
                self._endpoints.append(f"sub on {endpoint}")
                self.uris.setdefault("publish-sub", endpoint)

    def _begin_sub(self, socket: zmq.Socket[bytes]) -> None:
        reader = self._begin_intake("sub", parse_subscribed)
        if self._settings.subscribe == "all":
            return

        def change(option: int, beginning: bytes) -> None:
            socket.setsockopt(option, beginning)
            reader.look_soon()

        channels = SubChannels(
            subscribe=partial(change, zmq.SUBSCRIBE),
            unsubscribe=partial(change, zmq.UNSUBSCRIBE),
            takes_wildcards=self._takes_wildcards,
        )
        self._running.append(channels)
        self._observe(channels)

    def _observe(self, observer: Observer) -> None:
        """Have `observer` told, of the ends of long polls when they have lingered."""
        lingering = Lingering(observer, seconds=self._settings.subscription_linger, clock=self._clock)
        self._running.append(lingering)
        self._observers.add(lingering)

    def _begin_intake(self, name: str, parse: Callable[[Parts], Sequence[Item]]) -> SocketReader:
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
        reader = SocketReader(self._sockets[name], intake.take)
        intake.begin(reader)
        return reader

    def _begin_commands(self, socket: zmq.Socket[bytes]) -> None:
        commands = Commands(
            self._sink,
            uris={name: uri for name, uri in self.uris.items() if name != "stats"},
            max_message=self._settings.max_message,
            counters=self._counters,
            recover=self._recover,
            surveyor=self._surveyor,
        )
        self._running.append(commands)
        commands.begin(SocketReader(socket, commands.take))

    def _begin_stats(self, socket: zmq.Socket[bytes]) -> None:
        stats = Stats(
            partial(socket.send, flags=zmq.NOBLOCK),
            name=f"holdfast_{os.getpid()}",
            settings=self._settings,
            clock=self._clock,
            count=self._count,
        )
        self._running.append(stats)
        stats.begin()
        self._observe(stats)
