"""What a line of the routes file says, as values: `Route`, its `Target`s, and what is odd about the line.

Made by `proxy.protocol.routes`, read by everything that serves a request. Nothing here parses, matches or opens
files. The public name of the format is the GRIP protocol as Pushpin speaks it (reference 1.2 to 1.5).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from handlers.protocol.http1 import Headers
from handlers.protocol.names import Channel


class Proto(enum.Enum):
    """What a client speaks; the values are the words of the `proto` option."""

    HTTP = "http"
    WS = "ws"


DEFAULT_JSONP_BODY = "_body"
"""The query's parameter for the body where a route names none (`jsonp_body`)."""

LEVEL_INFO = 2
"""The `log_level` from which on requests are logged."""


class JsonpMode(enum.Enum):
    """How a JSON-P answer is wrapped; the values are the words of the `jsonp_mode` option."""

    BASIC = "basic"
    EXTENDED = "extended"


class TargetKind(enum.Enum):
    """Where a target leads; the values are what its first part looks like in the file."""

    HOST = "host:port"
    TEST = "test"
    ZHTTP = "zhttp/"
    ZHTTPREQ = "zhttpreq/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One place to send a request to (reference 1.4, 1.5). `host` and `port` are for HOST, `spec` for ZHTTP(REQ)."""

    kind: TargetKind
    host: str = ""
    """Name or address to connect to; an IPv6 address stands without its brackets."""
    port: int = 0
    spec: str = ""
    """ZeroMQ address to bind: `tcp://HOST:PORT` or `ipc://PATH`."""
    ssl: bool = False
    untrusted: bool = False
    """Refuse addresses of internal networks."""
    trust_connect_host: bool = False
    """Check the certificate against `host` and not against the host of the request."""
    insecure: bool = False
    """Check no certificate at all."""
    host_override: str = ""
    """`host=`: the Host to send, with its port if it has one; empty to leave it. Beats `Route.as_host`."""
    subs: tuple[Channel, ...] = ()
    """`sub=`: channels of every hold on this target; the route's prefix does not apply to them."""
    over_http: bool = False
    one_event: bool = False
    ipc_file_mode: int | None = None
    """Permission bits of ipc sockets, 0 to 0o7777."""
    client_cert: str = ""
    """PEM file, relative to the working directory; empty for none. It may hold the key as well."""
    client_key: str = ""
    connect_timeout: float | None = None
    """Seconds until the next target is tried, in whole milliseconds; None for the global setting. Holdfast's own."""
    timeout: float | None = None
    """Seconds until the head of the answer must have come, in whole milliseconds; None for the global setting."""

    @property
    def name(self) -> str:
        """The target as the operator wrote it, without options: for logs, debug texts and `encode_route`."""
        match self.kind:
            case TargetKind.TEST:
                return "test"
            case TargetKind.ZHTTP | TargetKind.ZHTTPREQ:
                return f"{self.kind.value}{self.spec}"
            case TargetKind.HOST:
                host = f"[{self.host}]" if ":" in self.host else self.host
                return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A condition, what to do with the requests that meet it, and at least one target (reference 1.2, 1.3)."""

    host: str
    """Lower case, without port or brackets; `*` for every host not named elsewhere; empty: reachable by id only."""
    targets: tuple[Target, ...]
    """In the order in which they are to be tried."""
    source: str = ""
    """File name, or `<route>` for a line of the command line."""
    line: int = 0
    """Counted from 1; unique in its source."""
    proto: Proto | None = None
    """None: both."""
    ssl: bool | None = None
    """None: both."""
    path_beg: bytes = b""
    """Bytes with which the encoded path must begin; empty: any path."""
    id: str = ""
    """The operator's name for the route, for logs, stats and look-up; empty for none."""
    path_rem: int = 0
    """Bytes to take off the front of the encoded path."""
    replace_beg: bytes = b""
    """Bytes to put in front of what `path_rem` left."""
    as_host: str = ""
    """Host, with its port if it has one, to put in place of the request's; empty to leave it."""
    headers: Headers = ()
    """Headers to set on the request to the backend, after removing all of that name; an empty value only removes."""
    orig_headers: bool = False
    """Copy each client header under a name beginning with `eb9bf0f5-`."""
    sig_iss: str | None = None
    sig_key: str | None = None
    """As written: a literal, `base64:...` or `file:...`; the router turns it into a key."""
    prefix: str = ""
    """Put in front of each channel that the backend names."""
    debug: bool = False
    aco: bool = False
    """Answers are open to pages of every origin, and to be had by JSON-P."""
    jsonp_mode: JsonpMode = JsonpMode.EXTENDED
    jsonp_cb: str = "callback"
    jsonp_body: str = DEFAULT_JSONP_BODY
    jsonp_defcb: str = ""
    """What is called where a query has a body and names nothing to call; empty for none."""
    jsonp_defmethod: str = "GET"
    """A token."""
    session: bool = False
    sockjs: str = ""
    sockjs_as_path: str = ""
    no_grip: bool = False
    mercure_link: str | None = None
    """URL of a Mercure hub to tell clients of in a `Link` header; empty: this process's own. None: say nothing."""
    log_level: int | None = None
    """0 error, 1 warning, 2 info, 3 debug, 4 trace; None for the global setting, beyond which it does not go."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is logged about its requests unless something is wrong."""
        return self.log_level is not None and self.log_level < LEVEL_INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteNotice:
    """Something the operator should know about a line that is in force all the same."""

    line: int
    text: str
