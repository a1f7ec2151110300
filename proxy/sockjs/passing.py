"""With several workers: passes a SockJS client's connection to the worker that has its session.

The kernel gives each connection to any worker, and a session's requests come by several. Which worker has a session
follows from its key alone, so that nobody needs to be asked. A connection is passed with the request that has come by
it, read to its end and not answered: its file descriptor goes to the other process over a Unix socket, and what comes
by it later comes there. Of a connection by TLS half is in this process's memory: it stays here, and its bytes are
relayed (`relay`), for this one request: the answer to it is the last on the connection. Else one that has requests for
sessions here and there would be relayed to and fro, once more with each.

The other worker says when it has taken a connection: from then on the request is its to answer and to log.
"""

from __future__ import annotations

import asyncio
import enum
import json
import logging
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

from handlers.session import Session, Site
from handlers.sockjs.session import Key
from proxy.errands import Errands
from proxy.exchange import Exchange
from proxy.sockjs.relay import Relay, RelayedTransport, RelayEnd
from proxy.sockjs.way import SIGN, NotPassedError, Passenger, hear_whether_taken, reach, receive, send

log = logging.getLogger("holdfast.sockjs")

BACKLOG = 1024
NOT_PASSED = "SockJS session not reachable."
PAUSE_SECONDS = 1.0
"""How long nothing is taken from the other workers when there is no room for it, as when all files are open."""

Adopt = Callable[[asyncio.Transport, bytes], None]
"""Serves a connection that has come from another worker, beginning with these bytes."""


class Passed(enum.Enum):
    """What has become of a connection that was to be passed on."""

    TAKEN = enum.auto()
    """The other worker has it, and the request."""
    REFUSED = enum.auto()
    """It is still here, and the request still to be answered."""
    CUT = enum.auto()
    """It is closed: the other worker has not taken it."""


def owner_of(key: Key, workers: int) -> int:
    """Return the number, from 1, of the worker that has the session."""
    return zlib.crc32(b"\0".join(key)) % workers + 1


class Passing:
    """One worker's: passes connections on, and takes those of the others. `listen` once, then `close`."""

    def __init__(self, *, folder: Path, number: int, workers: int, errands: Errands) -> None:
        """`folder` is for this Holdfast's processes alone; `number` is this one's of `workers`, from 1."""
        self._folder = folder
        self._number = number
        self._workers = workers
        self._errands = errands
        self._socket: socket.socket | None = None

    def is_here(self, key: Key) -> bool:
        """Say whether a session is this worker's."""
        return owner_of(key, self._workers) == self._number

    def listen(self, adopt: Adopt) -> None:
        """Take connections from the other workers. Raises OSError."""
        path = self._path(self._number)
        path.unlink(missing_ok=True)  # of a worker of this number that has died
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self._socket.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept, adopt)

    def close(self) -> None:
        """Take no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    async def pass_on(self, exchange: Exchange, site: Site, key: Key, body: bytes, label: str) -> Passed:
        """Give the connection, with the request that `body` belongs to, to the worker that has the session.

        Raises CancelledError or ConnectionError when the client goes before that.
        """
        try:
            with reach(self._path(owner_of(key, self._workers))) as way:
                transport = exchange.transport
                await hand_on(exchange, site, way, exchange.request_with(body), label)
                is_taken = await hear_whether_taken(way, site.clock)
        except NotPassedError as error:
            site.counters.sockjs_unpassed += 1
            log.warning("%s: not passed to the worker that has its session: %s", label, error)
            return Passed.REFUSED
        if is_taken:
            site.counters.sockjs_passed += 1
            return Passed.TAKEN
        site.counters.sockjs_unpassed += 1
        log.warning("%s: cut, the worker that has its session has not taken it", label)
        transport.abort()
        exchange.is_handed_over = False  # nobody has it
        return Passed.CUT

    def _accept(self, adopt: Adopt) -> None:
        assert self._socket is not None, "it is read"
        try:
            way, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            # Whoever waits goes on waiting, and would have this called again at once.
            log.error("connections of other workers are not taken for %g s: %s", PAUSE_SECONDS, error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket.fileno())
            loop.call_later(PAUSE_SECONDS, self._take_again, adopt)
            return
        way.setblocking(False)
        self._errands.start(self._take(way, adopt), name="a connection of another worker")

    def _take_again(self, adopt: Adopt) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept, adopt)

    async def _take(self, way: socket.socket, adopt: Adopt) -> None:
        with way:
            passenger = await receive(way)
            if passenger is not None and await serve(passenger, adopt):
                with suppress(OSError):  # should the other worker have ended meanwhile
                    way.send(SIGN)

    def _path(self, number: int) -> Path:
        return self._folder / f"sockjs-{number}"


class Departing(Session):
    """A connection on its way to another worker: its last protocol here."""

    __slots__ = ("_request", "_way")

    def __init__(
        self, *, site: Site, transport: asyncio.Transport, label: str, way: socket.socket, request: bytes
    ) -> None:
        super().__init__(site=site, transport=transport, label=label)
        self._way = way
        self._request = request

    def attach(self, kept: bytes, *, is_behind: bool) -> None:
        """Send the connection away, with what has come by it, and close our end."""
        self.is_attached = True
        self.transport.set_protocol(self)
        try:
            send(self._way, self.transport.get_extra_info("socket").fileno(), b"", self._request + kept)
        except NotPassedError as error:
            with suppress(OSError):
                self._way.shutdown(socket.SHUT_RDWR)  # nobody will say that it was taken
            self.cut(str(error))
        else:
            self.transport.close()

    def on_deadline(self, now: float) -> None:
        """There is none."""

    def drain(self) -> None:
        """It is closed already."""


class Arriving(asyncio.Protocol):
    """The first protocol of a connection that comes from another worker."""

    def __init__(self, begin: Callable[[asyncio.Transport], None]) -> None:
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand it to the clients' server, before anything more comes by it."""
        self._begin(cast("asyncio.Transport", transport))  # uvloop's are not subclasses of asyncio's


async def serve(passenger: Passenger, adopt: Adopt) -> bool:
    """Serve a connection that has come; say whether it is still there."""

    def begin(transport: asyncio.Transport) -> None:
        adopt(transport, passenger.data)

    def make() -> asyncio.Protocol:
        if not passenger.peer:
            return Arriving(begin)
        return RelayedTransport(peername=tuple(json.loads(passenger.peer)), begin=begin)

    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(make, passenger.sock)
    return not transport.is_closing()


async def hand_on(exchange: Exchange, site: Site, way: socket.socket, request: bytes, label: str) -> None:
    """Send the client's connection by `way`. Raises NotPassedError, or ConnectionResetError when the client is gone."""
    transport = exchange.transport
    if transport.get_write_buffer_size():
        raise NotPassedError("its client does not read")  # what waits would come behind what the other worker writes
    if not exchange.is_tls:
        exchange.hand_over(Departing(site=site, transport=transport, label=label, way=way, request=request))
        return
    end, far = await make_pair()
    try:
        with far:
            # The request goes by the pair, so that what the client has sent behind it follows.
            send(way, far.fileno(), peer_of(exchange.transport), b"")
        end.transport.write(as_last(request))
        exchange.hand_over(Relay(site=site, transport=transport, label=label, way=end))
    except BaseException:
        end.transport.abort()
        raise


async def make_pair() -> tuple[RelayEnd, socket.socket]:
    """Return both ends of a pair of sockets: this process's, and the other's. Raises NotPassedError."""
    try:
        near, far = socket.socketpair()
    except OSError as error:
        raise NotPassedError(str(error)) from error
    try:
        _, end = await asyncio.get_running_loop().create_unix_connection(RelayEnd, sock=near)
    except BaseException:
        near.close()
        far.close()
        raise
    return end, far


def as_last(request: bytes) -> bytes:
    """Return a request that asks for its connection to be closed behind the answer."""
    line, end, rest = request.partition(b"\r\n")
    return line + end + b"Connection: close\r\n" + rest


def peer_of(transport: asyncio.Transport) -> bytes:
    """Return who a client is, as the other worker is told."""
    peername = transport.get_extra_info("peername")
    return json.dumps(peername if isinstance(peername, tuple) else ()).encode()
