"""Settings of the Mercure hub (section `[mercure]`, and a table `[[mercure.issuers]]` for each issuer).

Loaded by `proxy.config`; a value of these that exists is valid: what a type cannot say is checked on construction,
and refused as InvalidSetting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from handlers.settings import Count, Seconds

Dialect = Literal["1.0", "8", "7", "2019"]
UnknownCursor = Literal["none", "all", "error"]
Durability = Literal["disk", "process"]
Bridge = Literal["off", "public", "all"]

DEVELOPMENT_KEY = "!ChangeThisMercureHubJWTSecretKey!"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """One issuer of access tokens (protocol 1.0). Its keys verify its tokens and no other's."""

    id: str
    """The `iss` claim of its tokens."""

    publisher_key: str = field(default="", repr=False)
    """Key of publishers' tokens: text, `base64:...`, `file:path`, or PEM. Empty: its tokens cannot publish."""

    publisher_algorithm: str = "HS256"
    """The one algorithm that goes with `publisher_key`."""

    publisher_jwks: str = ""
    """URL of a key set, `https://...` or `file://...`, in the place of `publisher_key`."""

    subscriber_key: str = field(default="", repr=False)
    """Key of subscribers' tokens, written as `publisher_key`."""

    subscriber_algorithm: str = "HS256"
    """The one algorithm that goes with `subscriber_key`."""

    subscriber_jwks: str = ""
    """URL of a key set in the place of `subscriber_key`."""

    jwks_algorithms: tuple[str, ...] = ()
    """Algorithms accepted with key sets. Empty: EdDSA, ES256 to ES512, RS256 to RS512, PS256 to PS512."""

    authorization_server: bool = False
    """Name this issuer in the hub's metadata as one that clients can ask for tokens (RFC 9728)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """How the Mercure hub speaks, whom it lets in, and what it keeps. Off without a key and without `anonymous`."""

    path: str = "/.well-known/mercure"
    """Path of the hub on the clients' port, on every host."""

    protocols: tuple[Dialect, ...] = ("1.0", "8")
    """Dialects that are spoken, side by side: `1.0`, `8` (hubs 0.14 to 0.24), `7` (0.10 to 0.13), `2019` (before)."""

    issuers: tuple[IssuerSettings, ...] = ()
    """Issuers of 1.0 access tokens, one table each."""

    publisher_key: str = field(default="", repr=False)
    """Key of publishers' tokens with a `mercure` claim (protocols 8, 7, 2019)."""

    publisher_algorithm: str = "HS256"
    """The one algorithm that goes with `publisher_key`."""

    publisher_jwks: str = ""
    """URL of a key set in the place of `publisher_key`."""

    subscriber_key: str = field(default="", repr=False)
    """Key of subscribers' tokens with a `mercure` claim."""

    subscriber_algorithm: str = "HS256"
    """The one algorithm that goes with `subscriber_key`."""

    subscriber_jwks: str = ""
    """URL of a key set in the place of `subscriber_key`."""

    resource_identifier: str = ""
    """The hub's public URL: audience of tokens, base of URL patterns. Empty: derived from each request."""

    public_urls: tuple[str, ...] = ()
    """Origins on which the hub answers; others get 421. Empty: any."""

    anonymous: bool = False
    """Let subscribers in without a token; they get public updates only."""

    publish_origins: tuple[str, ...] = ()
    """Origins from which a cookie may publish."""

    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may use the hub (CORS)."""

    cookie_name: str = "__Secure-mercure_access_token"
    """Cookie that carries the token."""

    legacy_status: bool = False
    """Answer every fault of a token with a bare 401, as hubs before 1.0 do."""

    relaxed_ids: bool = False
    """Accept ids that begin with `#` from publishers with older tokens."""

    subscriptions: bool = False
    """Tell of subscriptions: events when they come and go, and the API that lists them."""

    heartbeat: Seconds = 40.0
    """Seconds of silence after which a comment is sent. 0 sends none."""

    write_timeout: Seconds = 600.0
    """Longest life of a subscriber's connection; each ends at 80 to 100 % of it. 0 is no limit."""

    body_limit: Annotated[int, Meta(ge=1024, le=2**31 - 1)] = 1_048_576
    """Bytes that the body of a publication or of a QUERY may have."""

    history: str = "mercure.db"
    """File of the history. Empty keeps none."""

    history_size: Count = 0
    """Updates kept. 0 is no limit."""

    history_age: Seconds = 0.0
    """Seconds an update is kept. 0 is no limit."""

    history_bytes: Annotated[int, Meta(ge=0, le=2**50)] = 0
    """Bytes of updates kept. 0 is no limit."""

    durability: Durability = "disk"
    """`disk`: an update is on the disk before its publisher is answered. `process`: it is with the operating system."""

    on_unknown_cursor: UnknownCursor = "none"
    """What a subscriber gets whose last event id is not in the history: nothing old, everything, or an error."""

    bridge: Bridge = "off"
    """Make GRIP channels and Mercure topics one namespace."""

    matcher_limit: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """Matchers one subscriber may have."""

    unanchored_limit: Count = 1000
    """Distinct patterns without a literal beginning that may be subscribed to at once."""

    matcher_cache: Count = 100_000
    """Outcomes of matching a pattern with a topic that are remembered."""

    debugger: bool = False
    """Serve a page to try the hub out, under the hub's path."""

    playground: bool = False
    """Serve the debugger, mint tokens for it, allow everybody everything: never in production."""

    @property
    def speaks_current(self) -> bool:
        """Whether protocol 1.0 is spoken."""
        return "1.0" in self.protocols

    @property
    def speaks_selectors(self) -> bool:
        """Whether any dialect with `topic` parameters and `mercure` claims is spoken."""
        return any(dialect != "1.0" for dialect in self.protocols)

    @property
    def speaks_2019(self) -> bool:
        """Whether the dialect with targets is spoken."""
        return "2019" in self.protocols
