"""Settings of the publishers' door: where it listens, how much it takes, whom it lets in (section `[publish]`).

Loaded by `proxy.config`, handed to `publish_api.http`. A value of these that exists is valid: what a type cannot say
is checked on construction, and refused as InvalidSetting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from handlers.errors import InvalidSetting
from handlers.protocol.address import Address, parse_address
from handlers.protocol.secret import JWT_KEY_MINIMUM, Secret, parse_secret
from handlers.protocol.unix_address import PREFIX as UNIX_PREFIX
from handlers.protocol.unix_address import UnixAddress, parse_unix_address
from handlers.settings import Seconds

PositiveSeconds = Annotated[float, Meta(ge=0.001, le=31_536_000)]
"""Seconds of which there must be some, up to a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings:
    """How publishers come in."""

    listen: str = "127.0.0.1:5561"
    """Address publishers connect to: `port`, `:port`, `host:port` or `[v6]:port`. Without a host it is every interface,
    IPv4 and IPv6. Or `unix:PATH`, a Unix socket, with `?mode=OCT&user=U&group=G` behind it to say who may connect.
    Loopback, because whoever reaches this port can send anything to every client. 5561 is Pushpin's."""

    tls_cert: str = ""
    """File of the certificate, with its chain, that is shown to publishers. They then speak TLS, and nothing else.
    Changed files count for new connections. Empty: no TLS. A relative path starts at the settings file's folder."""

    tls_key: str = ""
    """File of the certificate's key. Empty: it is in the certificate's file. A relative path starts as there."""

    max_head: Annotated[int, Meta(ge=1024, le=1_048_576)] = 10_000
    """Bytes a request line and its headers may have together; more are refused. 10000 is Pushpin's."""

    max_body: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1_000_000
    """Bytes a request body may have; a longer one is refused before it is read. 1000000 is Pushpin's
    `push_in_http_max_body_size`."""

    token: str = field(default="", repr=False)
    """The bearer token a publisher must show, or `file:PATH` to read it from a file. Empty, together with an empty
    `jwt_key`, lets in whoever reaches the port, as Pushpin does."""

    jwt_key: str = field(default="", repr=False)
    """The key of the HS256 tokens a publisher may show instead, as GRIP libraries make them from `iss` and `key` of a
    GRIP_URL: as text, `base64:...` or `file:PATH`. At least 32 bytes (RFC 7518 section 3.2). A token must have `exp`;
    who issued it is not looked at."""

    keep_alive_timeout: Seconds = 75.0
    """Seconds an idle connection is kept for a publisher that asked for it with `Connection: keep-alive`; others are
    closed after their answer, which is what Pushpin does with everybody. 0 closes all. 75 outlives the idle time of
    the usual client pools, so that it is the client that closes first."""

    request_timeout: PositiveSeconds = 30.0
    """Seconds a publisher may take to send the body its request has announced."""

    linger_timeout: Seconds = 5.0
    """Seconds a refused publisher may go on sending after its answer. Closing at once would destroy the answer on its
    way; the sending half of the connection is closed at once."""

    def __post_init__(self) -> None:
        """Check the address and the keys as far as they are written here."""
        try:
            is_unix = isinstance(self.address, UnixAddress)
        except ValueError as error:
            raise InvalidSetting("listen", str(error)) from error
        if self.tls_key and not self.tls_cert:
            raise InvalidSetting("tls_key", "is set although tls_cert is empty")
        if self.tls_cert and is_unix:
            raise InvalidSetting("tls_cert", "there is no TLS on a Unix socket")
        parse_secret("token", self.token)
        key = parse_secret("jwt_key", self.jwt_key)
        if isinstance(key, Secret) and 0 < len(key.value) < JWT_KEY_MINIMUM:
            raise InvalidSetting("jwt_key", f"expected at least {JWT_KEY_MINIMUM} bytes, got {len(key.value)}")

    @property
    def address(self) -> Address | UnixAddress:
        """`listen`, parsed."""
        if self.listen.startswith(UNIX_PREFIX):
            return parse_unix_address(self.listen)
        return parse_address(self.listen)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """How Prometheus reads the counters, beside `GET /metrics` on the publish port (section `[metrics]`)."""

    listen: str = ""
    """Address of a port that serves the metrics on every path, and `/healthz` and `/readyz`, to whoever reaches it:
    `port`, `:port`, `host:port` or `[v6]:port`. Empty: there is none, they are on the publish port alone. Pushpin's
    `prometheus_port`."""

    prefix: Annotated[
        str,
        Meta(
            pattern="^([a-zA-Z_:][a-zA-Z0-9_:]*)?$",
            description="letters, digits, _ and :, not beginning with a digit",
        ),
    ] = ""
    """What stands in front of Pushpin's five names (`request_received` and so on). Empty as in Pushpin, whose
    `prometheus_prefix` it is. Holdfast's own names begin with `holdfast_` in any case."""

    def __post_init__(self) -> None:
        """Check the address."""
        try:
            if self.listen:
                parse_address(self.listen)
        except ValueError as error:
            raise InvalidSetting("listen", str(error)) from error

    @property
    def address(self) -> Address | None:
        """`listen`, parsed."""
        return parse_address(self.listen) if self.listen else None
