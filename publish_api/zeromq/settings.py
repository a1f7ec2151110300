"""Settings of the ZeroMQ sockets: which there are, and where (section `[zeromq]`).

Loaded by `proxy.config`, handed to `publish_api.zeromq.server`. A value of these that exists is valid: what a type
cannot say is checked on construction, and refused as InvalidSetting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from handlers.errors import InvalidSetting
from handlers.protocol.observed import Interest
from handlers.protocol.zmq_spec import ZmqSpec, parse_spec
from handlers.settings import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroMQSettings:
    """How publishers come in by ZeroMQ. All of it is off until an endpoint is set."""

    pull: str = ""
    """Endpoint of the PULL socket, to which publishers PUSH items: `tcp://HOST:PORT` (`*` for every interface) or
    `ipc://PATH`. Empty, as all endpoints are: ZeroMQ knows no tokens, so a socket that is there by default would be a
    way around `publish.token`. Pushpin's is `tcp://127.0.0.1:5560`."""

    sub: tuple[str, ...] = ()
    """Endpoints of the SUB socket, to which publishers connect a PUB or XPUB socket; all of them are bound. Pushpin's
    is `tcp://127.0.0.1:5562`."""

    sub_connect: bool = False
    """Connect the SUB socket to the endpoints of `sub`, at which publishers then listen, instead of binding it."""

    command: str = ""
    """Endpoint of the command socket, by which libraries ask where to publish. Pushpin's is
    `tcp://127.0.0.1:5563`."""

    subscribe: Literal["all", "channels"] = "all"
    """What the SUB socket subscribes to. `all`: nothing that is published while a channel gets its first listener is
    missed, and what is for nobody is dropped here. `channels`: each channel that somebody is on, as Pushpin does, so
    that a publisher's XPUB socket hears who listens, and ZeroMQ sends nothing that nobody wants."""

    subscription_linger: Seconds = 60.0
    """Seconds for which a channel whose last long poll has ended still counts as listened to, for `subscribe` and for
    `stats`: between two polls of one client it has nobody. 60 is Pushpin's."""

    stats: str = ""
    """Endpoint of the PUB socket that tells what happens here. Pushpin's is an `ipc://` one."""

    stats_format: Literal["tnetstring", "json"] = "tnetstring"
    """How what is told there is written. Pushpin's `stats_format`."""

    stats_interval: Seconds = 10.0
    """Seconds between two reports there; 0 sends none. 10 is Pushpin's `stats_report_interval`."""

    stats_connection_ttl: Annotated[int, Meta(ge=1, le=31_536_000)] = 120
    """Seconds for which what is told there of a connection holds; it is told again in time. 120 is Pushpin's."""

    stats_connection_send: bool = True
    """Tell there of each connection. Otherwise only how many there are is told."""

    stats_connections_max_ttl: Annotated[int, Meta(ge=1, le=31_536_000)] = 60
    """Seconds for which what is told there of the number of connections holds, without `stats_connection_send`. 60 is
    Pushpin's."""

    stats_subscription_ttl: Annotated[int, Meta(ge=1, le=31_536_000)] = 60
    """Seconds for which what is told there of a channel's subscribers holds. 60 is Pushpin's."""

    ipc_file_mode: Annotated[str, Meta(pattern="^[0-7]{0,4}$", description="up to four octal digits, as in '660'")] = ""
    """Permissions of `ipc://` sockets that are bound, as octal digits, for example `660`. Whoever may write to one may
    publish. Empty leaves them to the umask: with the usual one, only the user Holdfast runs as can connect."""

    max_message: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 16_777_216
    """Bytes a message may have; a longer one is logged, counted and skipped. Pushpin has no limit here."""

    def __post_init__(self) -> None:
        """Check the endpoints."""
        for key in ("pull", "command", "stats"):
            text = getattr(self, key)
            if text:
                _check(key, text)
        for text in self.sub:
            _check("sub", text)

    @property
    def is_enabled(self) -> bool:
        """Whether there is any socket."""
        return bool(self.pull or self.sub or self.command or self.stats)

    @property
    def interest(self) -> Interest:
        """What the sockets have to be told of what happens on the edges."""
        has_stats = bool(self.stats)
        subscribes = bool(self.sub) and self.subscribe == "channels"
        return Interest(channels=has_stats or subscribes, connections=has_stats, deliveries=has_stats)

    @property
    def exposed(self) -> tuple[str, ...]:
        """Endpoints, as written, at which other machines can publish or give commands."""
        return tuple(text for text in self._commanding if not parse_spec(text).is_local)

    @property
    def bound(self) -> tuple[ZmqSpec, ...]:
        """Endpoints at which others connect."""
        return tuple(map(parse_spec, (*self._commanding, *filter(None, (self.stats,)))))

    @property
    def _commanding(self) -> tuple[str, ...]:
        return tuple(text for text in (self.pull, self.command, *self.bound_subs) if text)

    @property
    def bound_subs(self) -> tuple[str, ...]:
        """Endpoints of the SUB socket at which publishers connect, as written: none where it is the one that does."""
        return () if self.sub_connect else self.sub


def _check(key: str, text: str) -> ZmqSpec:
    try:
        return parse_spec(text)
    except ValueError as error:
        raise InvalidSetting(key, str(error)) from error
