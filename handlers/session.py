"""A held connection: a transport and a few slots.

Once a request is held no task, queue or coroutine belongs to it. The session is itself the transport's protocol,
so the event loop tells it directly when the client goes, sends something, or falls behind. `stream`, `response` and
`websocket` say what a publication does to it; `edge` finds it by channel.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, ParamSpec, Protocol, Required, TypedDict

from handlers.counters import Counters
from handlers.door import Door
from handlers.protocol.hold_id import Stamps
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import LastSeen, Subscription, id_on, last_seen, place_for
from handlers.settings import HoldSettings
from handlers.timers import NOWHERE, Clock, TimerWheel

log = logging.getLogger("holdfast.session")

P = ParamSpec("P")

NO_META: Final[Mapping[str, str]] = MappingProxyType({})
"""What most sessions have for meta: one object for all of them."""


class Index(Protocol):
    """Where sessions are found by channel."""

    def leave(self, session: Session) -> None:
        """Take `session` off all its channels; harmless when it is on none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all sessions of a process share."""

    index: Index
    door: Door
    clock: Clock
    wheel: TimerWheel
    counters: Counters
    settings: HoldSettings
    random: Callable[[], float]
    stamps: Stamps = field(default_factory=Stamps)


class Parts(TypedDict, total=False):
    """What every session is made of (`Session.__init__`), as the constructors of its kinds hand it on."""

    site: Required[Site]
    transport: Required[asyncio.Transport]
    label: Required[str]
    subscriptions: tuple[Subscription, ...]
    reusable: bool
    meta: Mapping[str, str]
    prefix: str


class Session(asyncio.Protocol, abc.ABC):
    """The part that all held connections have in common: the transport, what the client sends, how it ends.

    Every method is called from the event loop's thread; none awaits. Each way to end calls `leave` at once, so
    that nothing is published to a session that has ended, however late the loop reports `connection_lost`.
    """

    __slots__ = (
        "_kept",
        "deadline",
        "is_attached",
        "is_behind",
        "label",
        "meta",
        "prefix",
        "reusable",
        "route",
        "site",
        "stamp",
        "subscriptions",
        "tick",
        "transport",
    )

    def __init__(
        self,
        *,
        site: Site,
        transport: asyncio.Transport,
        label: str,
        subscriptions: tuple[Subscription, ...] = (),
        reusable: bool = False,
        meta: Mapping[str, str] = NO_META,
        prefix: str = "",
    ) -> None:
        """`meta` is what filters look at; `prefix` is the route's, which stands in front of the backend's channels."""
        self.site = site
        self.transport = transport
        self.subscriptions = subscriptions
        self.reusable = reusable
        self.label = label
        self.meta = meta
        self.prefix = prefix
        self.route = ""
        """The id of the route it came by, for whoever lists connections. Set by the door, which may leave it empty."""
        self.stamp = site.stamps.take(site.clock.wall())
        """When it was made, in microseconds since 1970: its own among all of this process (`protocol.hold_id`)."""
        self.deadline = math.inf
        self.tick = NOWHERE
        self.is_attached = False
        self.is_behind = False
        self._kept = b""

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Become the transport's protocol.

        `kept` are bytes the client sent behind the held request. `is_behind`: the transport has told its last protocol
        to pause writing, and will tell this one to resume.
        """
        self.is_attached = True
        self._kept = kept
        self.transport.set_protocol(self)
        self.transport.set_write_buffer_limits(high=self.high_water)
        if is_behind:
            self.pause_writing()

    @property
    def high_water(self) -> int:
        """Bytes in the transport's buffer from which on the client counts as behind."""
        return self.site.settings.outbox_limit

    def is_subscribed(self, name: str) -> bool:
        """Say whether the session gets the items of the channel that the backend calls `name`."""
        takes_wildcards = self.site.settings.wildcard_subscriptions
        return place_for(Channel(self.prefix + name), self.subscriptions, takes_wildcards=takes_wildcards) is not None

    def id_on(self, name: str) -> str | None:
        """Return the id that was seen last on the channel that the backend calls `name`, empty if that is not known.

        None if the session does not sit there.
        """
        return id_on(self.subscriptions, self.prefix + name)

    def last_seen(self) -> LastSeen:
        """Return what a backend is told when it is asked for what came since."""
        return last_seen(self.subscriptions, prefix=self.prefix)

    def leave(self) -> None:
        """Come off every channel and out of the timer wheel."""
        self.deadline = math.inf
        self.site.wheel.forget(self)
        self.site.index.leave(self)

    def expire(self, now: float) -> None:
        """The session's deadline has come (see `TimerWheel`). Never raises."""
        guarded(self, self.on_deadline, now)

    @abc.abstractmethod
    def on_deadline(self, now: float) -> None:
        """Do what is due, and go on with a new deadline or end the session."""

    @property
    def can_update(self) -> bool:
        """Whether there is a way to ask the backend for what the session has missed."""
        return False

    def update(self) -> None:
        """Ask the backend for what this session has missed; those that have no way to ask go on as they are."""

    @abc.abstractmethod
    def drain(self) -> None:
        """End the session in good order because the process stops."""

    def cut(self, why: str) -> None:
        """Close the connection at once, mid-body: the only honest end when a client has missed bytes."""
        self.leave()
        log.warning("%s closed: %s", self.label, why)
        self.transport.abort()

    def give_back(self) -> None:
        """Let the connection serve its next request, or close it when it may not."""
        if self.transport.is_closing():
            return
        if self.reusable:
            self.site.door.take_back(self.transport, self._kept, is_behind=self.is_behind)
        else:
            self.site.door.close(self.transport)

    def data_received(self, data: bytes) -> None:
        """Keep what a client sends early (its next request) for when the connection is given back."""
        if len(self._kept) + len(data) > self.site.settings.kept_limit:
            self.site.counters.kept_overflows += 1
            self.cut(f"sent more than {self.site.settings.kept_limit} bytes while held")
            return
        self._kept += data

    def eof_received(self) -> bool | None:
        """The client has closed its side: it is gone, as for every server that holds streams."""
        self.leave()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, whoever closed it."""
        self.leave()
        self.site.door.gone(self.transport)
        # The kernel's has a number. Without one it is TLS that has waited for its end, of a session that is over.
        if isinstance(exc, TimeoutError) and exc.errno is not None:
            self.site.counters.clients_vanished += 1
            log.warning("%s closed: nothing taken for %g seconds", self.label, self.site.settings.user_timeout)
            return
        log.debug("%s ended%s", self.label, f": {exc}" if exc else "")

    def pause_writing(self) -> None:
        """More than `outbox_limit` bytes wait for the client."""
        self.is_behind = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.is_behind = False

    def cut_slow(self) -> None:
        """Close the connection of a client that takes less than it is sent."""
        self.site.counters.slow_clients += 1
        self.cut(f"too slow, more than {self.site.settings.outbox_limit} bytes behind")


def guarded(session: Session, act: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Do `act` for `session`, and make its failure that session's alone: see `failed`.

    For whoever walks over sessions or calls one from a timer: the edge, the wheel, the drain.
    """
    try:
        act(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  # `failed` logs it
        failed(session, error)


def failed(session: Session, error: Exception) -> None:
    """End a session that has run into `error`, wherever that left it: off its channels, no timer, connection closed.

    A transport that is closed already raises RuntimeError (uvloop) or OSError: a client that is gone. Any other error,
    of the door that the connection goes back to or of the session itself, is a fault of ours.
    """
    if isinstance(error, (RuntimeError, OSError)) and session.transport.is_closing():
        log.debug("%s ended while it was written to: %s", session.label, error)
    else:
        log.error("%s ended by a fault", session.label, exc_info=error)
    session.leave()
    session.transport.abort()
