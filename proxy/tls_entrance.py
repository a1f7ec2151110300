"""Where TLS clients and publishers come in: accepts their connections, and serves those whose handshake succeeds.

Made by `proxy.client_side` and `proxy.publishers`, one for each listening socket. It accepts by itself, since the
loop's own server says nothing of a handshake that fails: each is counted and told, and bounded in time. Only a
handshake has a task; what comes of it is a transport like any other, which this forgets.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from handlers.counters import Counters
from handlers.deadline import Deadline
from handlers.protocol.address import peer_ip
from handlers.protocol.rate import Seldom
from handlers.timers import Clock, TimerHandle
from proxy.accept_queue import take_waiting
from proxy.certificates import Certificate
from proxy.tls_transport import LOOP_CLOSE_SECONDS, TlsTransport

log = logging.getLogger("holdfast.tls")

ACCEPTS_A_TURN = 16
"""Connections accepted in one turn of the loop: the arithmetic of a handshake takes up to a millisecond."""

PAUSE_SECONDS = 1.0
"""How long nobody is accepted after the system had no room for another connection."""

LOOP_SECONDS = 5.0
"""By how much the loop's own bound on a handshake is longer than ours, which the process's clock measures."""


class Room(Protocol):
    """Who is told of a connection before its handshake, because it takes a socket already."""

    def enter(self) -> bool:
        """Note a connection; False when there is no room for it."""
        ...

    def has_entered(self) -> None:
        """Forget one that was noted: its handshake is over, and its protocol about to be told of it if it succeeded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSite:
    """What the entrances of one door share."""

    clock: Clock
    counters: Counters
    handshake_timeout: float
    """Seconds; 0 for the loop's own 60."""
    room: Room
    log_from: bool
    """Whether log lines say from where a handshake was that failed."""


class TlsEntrance:
    """`open` once, then `close`; before that, `stop` where handshakes are to come to their end."""

    def __init__(
        self, site: TlsSite, sock: socket.socket, *, certificate: Certificate, make: Callable[[], asyncio.Protocol]
    ) -> None:
        """`sock` listens already, and is this entrance's from now on. `make` makes the protocol of a connection."""
        self._site = site
        self._sock = sock
        self._certificate = certificate
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._paused: TimerHandle | None = None
        self._failures = Seldom()
        self._untold = 0

    def open(self) -> None:
        """Accept."""
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def stop(self) -> None:
        """Accept who waits, and then nobody any more; handshakes go on."""
        for sock in take_waiting(self._sock, self._site.counters):
            self._begin(sock)
        self._shut()

    def close(self) -> None:
        """Accept nobody any more, and end the handshakes that are under way. Harmless when that has been done."""
        self._shut()
        for task in self._handshakes:
            self._site.counters.connections_cut += task.cancelling() == 0
            task.cancel()

    def _shut(self) -> None:
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        if self._paused is not None:
            self._paused.cancel()

    async def wait_closed(self) -> None:
        """Wait until no handshake is under way."""
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._begin(sock)

    def _begin(self, sock: socket.socket) -> None:
        if not self._site.room.enter():
            sock.close()
            return
        task = self._loop.create_task(self._admit(sock), name="TLS handshake")
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    def _pause(self, error: OSError) -> None:
        """Wait: the loop would come back at once, for ever."""
        log.error("cannot accept a TLS connection: %s; next try in %g seconds", error.strerror, PAUSE_SECONDS)
        self._loop.remove_reader(self._sock.fileno())
        self._paused = self._site.clock.call_later(PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        self._paused = None
        self._loop.add_reader(self._sock.fileno(), self._accept)

    async def _admit(self, sock: socket.socket) -> None:
        """See a connection through its handshake; the protocol's `connection_made` is called then."""
        who = _name_peer(sock) if self._site.log_from else ""
        arrival = _Arrival(self._site, sock, self._make)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._shake_hands(sock, arrival)
        except OSError as error:  # ssl.SSLError and TimeoutError are
            self._failed(who, error)
        except Exception:
            # The root of the handshake's task.
            log.exception("a TLS handshake was not done")
        finally:
            arrival.leave_the_room()

    async def _shake_hands(self, sock: socket.socket, arrival: _Arrival) -> None:
        seconds = self._site.handshake_timeout
        context = self._certificate.context()  # there has been one, so there is one
        async with Deadline(self._site.clock, seconds) as arrival.deadline:
            await self._loop.connect_accepted_socket(
                lambda: arrival,
                sock,
                ssl=context,
                ssl_handshake_timeout=seconds + LOOP_SECONDS if seconds else None,
                ssl_shutdown_timeout=LOOP_CLOSE_SECONDS,
            )

    def _failed(self, who: str, error: OSError) -> None:
        """Count a handshake that has failed; of many in a short time a few are told."""
        self._site.counters.tls_failures += 1
        why = _describe(error)
        log.debug("TLS handshake failed%s: %s", who, why)
        if isinstance(error, ConnectionError):
            return  # a port scan, or a balancer that asks whether the port is open
        self._untold += 1
        if self._failures.take(self._site.clock.now()):
            log.info("TLS handshakes failed: %d, the last%s: %s", self._untold, who, why)
            self._untold = 0


class _Arrival(asyncio.Protocol):
    """The protocol of a connection until its handshake is done."""

    def __init__(self, site: TlsSite, sock: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        self._site = site
        self._sock = sock
        self._make = make
        self._is_in_the_room = True
        self.deadline: Deadline | None = None
        """The bound on its handshake."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the connection to its protocol, for whom there is the place that was kept."""
        self.leave_the_room()
        if self.deadline is not None:
            self.deadline.stop()  # the task may have a turn only after it
        site, below = self._site, cast("asyncio.Transport", transport)
        protocol = self._make()
        below.set_protocol(protocol)
        protocol.connection_made(TlsTransport(below, self._sock, clock=site.clock, counters=site.counters))

    def leave_the_room(self) -> None:
        """Have the room forget this connection. Harmless when that has been done."""
        if self._is_in_the_room:
            self._is_in_the_room = False
            self._site.room.has_entered()


def ignore_bad_names() -> None:
    """Have nothing printed about a client that asks for a name which is not ASCII.

    Python ends such a handshake by itself, and shows the operator a traceback; the handshake's end is told anyway.
    """
    if not isinstance(sys.unraisablehook, _ExceptBadNames):
        sys.unraisablehook = _ExceptBadNames(sys.unraisablehook)


class _ExceptBadNames:
    def __init__(self, others: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self._others = others

    def __call__(self, unraisable: sys.UnraisableHookArgs, /) -> None:
        if not (isinstance(unraisable.exc_value, UnicodeDecodeError) and isinstance(unraisable.object, bytes)):
            self._others(unraisable)


def _name_peer(sock: socket.socket) -> str:
    try:
        return f" from={peer_ip(sock.getpeername())}"
    except OSError:
        return ""  # somebody who has left already


def _describe(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    if isinstance(error, TimeoutError):
        return "not done in time"
    if isinstance(error, ConnectionError):
        return "the peer has closed the connection"
    return error.strerror or str(error)
