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
from handlers.settings import Seconds
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
    IPv4 and IPv6. At least one. 7999 on every interface is Pushpin's."""

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
    same; the own one takes a fraction of the time. A switch back, should some backend not get on with it."""

    sig_iss: str = "pushpin"
    """`iss` claim of the Grip-Sig token, unless the route has its own. Backends written for Pushpin may check it."""

    sig_key: str = field(default="", repr=False)
    """Key that signs Grip-Sig, unless the route has its own: text, `base64:...` or `file:path` (relative to the
    settings file). Empty does not sign, and then a backend cannot tell Holdfast from anybody else."""

    upstream_key: str = field(default="", repr=False)
    """Key of a GRIP proxy in front of this one, written like `sig_key`. A client whose Grip-Sig it verifies is trusted
    with Grip headers. Empty trusts nobody."""

    cdn_loop: str = ""
    """Token appended to CDN-Loop (RFC 8586). Empty leaves that header alone."""

    x_forwarded_for: tuple[str, ...] = ()
    """What to do with X-Forwarded-For: `truncate:N` keeps the last N values, `append` adds the client's address. Empty
    passes it through."""

    x_forwarded_for_trusted: tuple[str, ...] = ()
    """The same for clients that `upstream_key` makes trusted."""

    accept_x_forwarded_proto: bool = False
    """Believe a client's X-Forwarded-Proto. Only for use behind a proxy that sets it, since anybody can send it."""

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
        if not self.listen:
            raise InvalidSetting("listen", "expected at least one address")
        for text in self.listen:
            _check("listen", parse_address, text)
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

    @property
    def addresses(self) -> tuple[Address, ...]:
        """`listen`, parsed."""
        return tuple(parse_address(text) for text in self.listen)


def _check(key: str, parse: Callable[[_Value], object], value: _Value) -> None:
    try:
        parse(value)
    except ValueError as error:
        raise InvalidSetting(key, str(error)) from error
