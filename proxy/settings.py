"""Settings of the clients' door: where it listens, how it forwards, how it signs (section `[proxy]`).

Loaded by `proxy.config`, handed to the front, the router and the upstream client. A value of these that exists is
valid: what a type cannot say is checked on construction, and refused as InvalidSetting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from msgspec import Meta

from handlers.errors import InvalidSetting
from handlers.protocol.address import Address, parse_address
from handlers.protocol.fields import encode_field
from handlers.protocol.http1 import is_token
from handlers.protocol.unix_address import UnixAddress, parse_unix_address
from handlers.settings import Count, Seconds
from proxy.protocol.headers import xff_rules

_Value = TypeVar("_Value")

BackendClient = Literal["own", "aiohttp"]
XForwardedProto = Literal["proto-only", "true", "off"]

_CDN_ID = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]+(?:[ ]*;[ ]*[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """How clients come in and requests go out."""

    listen: tuple[str, ...] = (":7999",)
    """Addresses clients connect to: `port`, `:port`, `host:port` or `[v6]:port`. Without a host it is every interface,
    IPv4 and IPv6. At least one, unless `tls_listen` or `unix_listen` has one. 7999 on every interface is Pushpin's."""

    tls_listen: tuple[str, ...] = ()
    """Addresses clients connect to by TLS, written like `listen`. Certificates are in `tls_certs`."""

    tls_certs: str = "certs"
    """Folder of the certificates for `tls_listen`, in Pushpin's layout: `default_PORT.crt` and `.key` for a port,
    `default.crt` and `.key` for the others, `NAME.crt` and `.key` for clients that ask for a host of that name (in
    lower case), `_.PARENT.crt` and `.key` for those that ask for one directly below PARENT. Changed files count for
    new connections. A relative path starts at the settings file's folder."""

    tls_handshake_timeout: Seconds = 10.0
    """Seconds a client may take for the TLS handshake; then it is cut. 0 leaves 60. 10 allows for several lost packets
    on a bad line."""

    unix_listen: tuple[str, ...] = ()
    """Paths of Unix sockets clients connect to, each `PATH` or `PATH?mode=OCT&user=U&group=G`, which says who may.
    Clients there have no address: X-Forwarded-For gets nothing of them. A socket that nobody listens on any more is
    replaced. A relative path starts at the settings file's folder."""

    connection_limit: Count = 0
    """Clients that may be connected at once, held ones too. One more is cut, which is logged and counted. 0 is as many
    as the open files allow, which bounds them in any case. Each of several workers has its share of it. Pushpin's
    `client_maxconn`."""

    routes: str = "routes.conf"
    """The routes file. A relative path starts at the settings file's folder (on the command line: at the working
    directory). Not read at all when routes are given with `--route`."""

    head_limit: Annotated[int, Meta(ge=1024, le=16_777_216)] = 32_768
    """Bytes a request line and its headers may have together; more are refused. Four times Pushpin's 8192, which large
    cookies reach."""

    header_limit: Annotated[int, Meta(ge=8, le=10_000)] = 128
    """Header lines a request may have. Twice Pushpin's 64."""

    keep_alive_timeout: Seconds = 75.0
    """Seconds an idle client connection stays open for its next request. 0 closes it once it is idle. 75 outlives the
    60 of common load balancers, so that it is they who close."""

    body_timeout: Seconds = 60.0
    """Seconds a client may pause while it sends the body of a request; then it gets a 408. 0 waits for ever. 60 is what
    other proxies allow."""

    connect_timeout: Seconds = 10.0
    """Seconds to wait for a target to accept the connection, TLS included, before the next one is tried, unless the
    target has its own. 0 waits as long as the system does. 10 allows for two lost SYNs."""

    response_timeout: Seconds = 1800.0
    """Seconds until the head of a backend's answer must have come, counted from the last byte sent to it; the client
    then gets 504. 0 waits for ever. 1800 is Pushpin's fixed limit: a backend that holds polls itself is not cut."""

    backend_client: BackendClient = "own"
    """What connects to backends: `own` is Holdfast's own client, `aiohttp` that of the aiohttp library. Both do the
    same, but that only the own one mends slips in a backend's answer; it takes a fraction of the time. A switch back,
    should some backend not get on with it."""

    sig_iss: str = "pushpin"
    """`iss` claim of the Grip-Sig token, unless the route has its own. Backends written for Pushpin may check it."""

    sig_key: str = field(default="", repr=False)
    """Key that signs Grip-Sig, unless the route has its own: text, `base64:...` or `file:path` (relative to the
    settings file). Empty does not sign, and then a backend cannot tell Holdfast from anybody else."""

    upstream_key: str = field(default="", repr=False)
    """Key of a GRIP proxy in front of this one, written like `sig_key`. A client whose Grip-Sig it verifies is trusted
    with Grip headers. Empty trusts nobody."""

    auto_cross_origin: bool = False
    """Treat every route as if it had `aco`: its answers are open to pages of every origin, and can be had by JSON-P."""

    sockjs_url: str = ""
    """URL of the SockJS client's script, for the iframe that pages of other origins load (`iframe*.html` on routes with
    `sockjs`). It must be of the version that the pages have. Empty has no such iframe, which only browsers without
    cross-origin requests want: Internet Explorer. Pushpin ships one of a content delivery network."""

    share_all: bool = False
    """Send one request to the backend for all clients that ask the very same at the same time: see routes.md. Off
    because of backends that answer equal requests unequally without saying so."""

    cdn_loop: str = ""
    """Token appended to CDN-Loop (RFC 8586). Empty leaves that header alone."""

    x_forwarded_for: tuple[str, ...] = ()
    """What to do with X-Forwarded-For: `truncate:N` keeps the last N values, `append` adds the client's address. Empty
    passes it through."""

    x_forwarded_for_trusted: tuple[str, ...] = ()
    """The same for clients that `upstream_key` makes trusted."""

    accept_x_forwarded_proto: bool = False
    """Believe a client's X-Forwarded-Proto. Only for use behind a proxy that sets it, since anybody can send it."""

    accept_pushpin_route: bool = False
    """Let a request's `Pushpin-Route` say which route it takes, by its id; the header goes no further. Only for use
    behind a proxy that sets or removes it, since anybody can send it: routes without a host are reached in no other
    way."""

    set_x_forwarded_proto: XForwardedProto = "proto-only"
    """Tell the backend about TLS clients: `proto-only` sets X-Forwarded-Proto, `true` sets X-Forwarded-Protocol too,
    `off` neither."""

    orig_headers_need_mark: tuple[str, ...] = ()
    """Names of headers that a route with `orig_headers` copies only when they came in already marked."""

    debug: bool = False
    """Show the reason of a failure to the client, on every route. Reveals addresses of backends: not for production."""

    drain_timeout: Seconds = 10.0
    """Seconds that held clients and running requests get to finish at shutdown. 0 cuts them at once. 10 spreads
    reconnections and stays below the usual stop timeout of 90."""

    reload_interval: Seconds = 1.0
    """Seconds between looks at the routes file; a change is loaded at once. 0 loads on SIGHUP only."""

    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    """Processes that serve clients on the same ports. 1 is one process for everything. With more, as many as there are
    cores to give, a further process takes publications and hands each to all of them; see operating.md."""

    worker_timeout: Seconds = 10.0
    """Seconds a worker may take to acknowledge anything of what it was handed, before it is killed and replaced. 0 is
    no bound. 10 is far more than any honest pause, and short enough that clients of a stuck worker are soon elsewhere.
    Without effect with one process."""

    worker_backlog: Annotated[int, Meta(ge=65_536, le=2**31 - 1)] = 67_108_864
    """Bytes of publications that a worker may be behind with. While one is further behind, publishers are answered 503
    with Retry-After, and nothing of what they sent is delivered to anybody. 64 MiB are seconds of the fastest
    publishing. Without effect with one process."""

    def __post_init__(self) -> None:
        """Refuse what the types allow but nothing can obey."""
        self._check_doors()
        if not self.routes:
            raise InvalidSetting("routes", "expected the path of the routes file")
        _check("x_forwarded_for", xff_rules, self.x_forwarded_for)
        _check("x_forwarded_for_trusted", xff_rules, self.x_forwarded_for_trusted)
        for name in self.orig_headers_need_mark:
            if not is_token(encode_field(name)):
                raise InvalidSetting("orig_headers_need_mark", f"expected names of headers, got {name!r}")
        if self.cdn_loop and not _CDN_ID.fullmatch(self.cdn_loop):
            raise InvalidSetting("cdn_loop", f"expected one token, as in 'holdfast', got {self.cdn_loop!r}")
        if self.sig_key and not self.sig_iss:
            raise InvalidSetting("sig_iss", "is empty although sig_key is set, so nothing would be signed")

    def client_limit(self, room: int) -> int:
        """Return how many clients one process may have whose open files leave room for `room`."""
        share = -(-self.connection_limit // self.workers)
        return min(room, share) if share else room

    def _check_doors(self) -> None:
        if not (self.listen or self.tls_listen or self.unix_listen):
            raise InvalidSetting("listen", "expected at least one address, here or in tls_listen or unix_listen")
        for text in self.listen:
            _check("listen", parse_address, text)
        for text in self.tls_listen:
            _check("tls_listen", parse_address, text)
        for text in self.unix_listen:
            _check("unix_listen", parse_unix_address, text)
        if not self.tls_certs:
            raise InvalidSetting("tls_certs", "expected the path of a folder")

    @property
    def addresses(self) -> tuple[Address, ...]:
        """`listen`, parsed."""
        return tuple(parse_address(text) for text in self.listen)

    @property
    def tls_addresses(self) -> tuple[Address, ...]:
        """`tls_listen`, parsed."""
        return tuple(parse_address(text) for text in self.tls_listen)

    @property
    def unix_addresses(self) -> tuple[UnixAddress, ...]:
        """`unix_listen`, parsed."""
        return tuple(parse_unix_address(text) for text in self.unix_listen)


def _check(key: str, parse: Callable[[_Value], object], value: _Value) -> None:
    try:
        parse(value)
    except ValueError as error:
        raise InvalidSetting(key, str(error)) from error
