"""Settings of the Mercure hub (section `[mercure]`, and a table `[[mercure.issuers]]` for each issuer).

Loaded by `proxy.config`; a value of these that exists is valid: what a type cannot say is checked on construction,
and refused as InvalidSetting. Keys are not read here: one in a file that cannot be used is found by `key_ring`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from msgspec import Meta

from handlers.engines.engine import Durability
from handlers.hub.settings_check import check_hub, check_issuer
from handlers.settings import Count, Seconds

Dialect = Literal["1.0", "8", "7", "2019"]
UnknownCursor = Literal["none", "all", "error"]
Bridge = Literal["off", "public", "all"]
BridgeItems = Literal["private", "public"]

DEVELOPMENT_KEY = "!ChangeThisMercureHubJWTSecretKey!"
"""The key of every example of a Mercure hub. Who signs with it may do everything, so it is for trying out alone."""

DEVELOPMENT_ISSUER = "https://localhost"
"""The issuer of tokens signed with it."""

PLAYGROUND_COOKIE = "mercure_access_token"
"""Cookie of a playground: a name without `__Secure-`, which browsers take from `https://` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """One issuer of access tokens (protocol 1.0). Its keys verify its tokens and no other's."""

    id: str
    """The `iss` claim of its tokens, usually a URL. Required; each issuer has its own."""

    publisher_key: str = field(default="", repr=False)
    """Key of publishers' tokens, written as `mercure.publisher_key` is. Empty, together with an empty `publisher_jwks`:
    its tokens cannot publish."""

    publisher_algorithm: str = "HS256"
    """The one algorithm that goes with `publisher_key`, as in `mercure.publisher_algorithm`."""

    publisher_jwks: str = ""
    """URL of a key set, `https://...` or `file:///...`, in the place of `publisher_key`."""

    subscriber_key: str = field(default="", repr=False)
    """Key of subscribers' tokens. Empty, together with an empty `subscriber_jwks`: its tokens cannot subscribe."""

    subscriber_algorithm: str = "HS256"
    """The one algorithm that goes with `subscriber_key`."""

    subscriber_jwks: str = ""
    """URL of a key set in the place of `subscriber_key`."""

    jwks_algorithms: tuple[str, ...] = ()
    """Algorithms accepted with its key sets. Empty: EdDSA, ES256 to ES512, RS256 to RS512 and PS256 to PS512, all those
    with a public key."""

    authorization_server: bool = False
    """Name this issuer in the hub's metadata as one that clients can ask for tokens (RFC 9728). Off: clients get their
    tokens from the application, and need not know who made them."""

    def __post_init__(self) -> None:
        """Refuse what the types allow but nothing can obey."""
        check_issuer(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """How the Mercure hub speaks, whom it lets in, what it keeps. Off until a key, an issuer or `anonymous` is set."""

    path: str = "/.well-known/mercure"
    """Path of the hub on the clients' port, on every host; it goes before all routes. The default is the protocol's,
    and clients may rely on it. Hubs before 0.8 had `/hub`."""

    protocols: tuple[Dialect, ...] = ("1.0", "8")
    """Dialects that are spoken side by side, chosen for each request and each token: `1.0`, `8` (hubs 0.14 to 0.24),
    `7` (0.10 to 0.13) and `2019` (before). At least one. The default serves today's clients and tomorrow's; `["1.0"]`
    is strict, and refuses tokens without audience, issuer or expiry."""

    issuers: tuple[IssuerSettings, ...] = ()
    """Issuers of 1.0 access tokens, a table `[[mercure.issuers]]` for each; in the environment and with `--set` a JSON
    list of objects. Empty: nobody's 1.0 tokens are accepted."""

    publisher_key: str = field(default="", repr=False)
    """Key of publishers' tokens with a `mercure` claim (protocols 8, 7 and 2019): the text of a secret, `base64:...`,
    a PEM public key or certificate, or `file:path` of one of these. Empty: no such token can publish."""

    publisher_algorithm: str = "HS256"
    """The one algorithm that goes with `publisher_key`: HS256 to HS512 with a secret; EdDSA, ES256 to ES512, RS256 to
    RS512 or PS256 to PS512 with PEM. HS256 is what everybody starts with."""

    publisher_jwks: str = ""
    """URL of a key set, `https://...` or `file:///...`, in the place of `publisher_key`. It is fetched when it is
    needed, and again when a token names a key that is not in it."""

    subscriber_key: str = field(default="", repr=False)
    """Key of subscribers' tokens with a `mercure` claim, written like `publisher_key`. Empty: no such token can read
    private updates. It may be the publishers' key, but then each publisher can make itself subscribers' tokens."""

    subscriber_algorithm: str = "HS256"
    """The one algorithm that goes with `subscriber_key`."""

    subscriber_jwks: str = ""
    """URL of a key set in the place of `subscriber_key`."""

    resource_identifier: str = ""
    """The hub's public URL, path included: what 1.0 tokens must name as their audience, and the base of URL patterns.
    Empty: derived from each request's scheme and host, which is right where clients cannot make the host up."""

    public_urls: tuple[str, ...] = ()
    """Origins on which the hub answers, as `https://hub.example`; requests for others get 421. Empty: any. With one
    here no client can choose the audience by its Host header."""

    anonymous: bool = False
    """Let subscribers in without a token; they get public updates only. Off: every subscriber shows a token."""

    publish_origins: tuple[str, ...] = ()
    """Origins whose pages may publish with the cookie: `scheme://host[:port]` with at most one `*`, `null`, or `*` for
    any. Empty: no page can, and publishers show their token in a header."""

    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may use the hub from elsewhere (CORS), written like `publish_origins`. With `*` any page may,
    but without cookies. Empty: pages of the hub's own origin only."""

    cookie_name: str = "__Secure-mercure_access_token"
    """Cookie that carries the token, besides the protocol's own name, and `mercureAuthorization` where a protocol
    before 1.0 is spoken. Browsers take a name with `__Secure-` from `https://` alone: on plain HTTP choose another."""

    legacy_status: bool = False
    """Answer every fault of a token with a bare 401, as hubs before 1.0 do. Off: 400, 401 or 403 with a challenge.
    For clients that test for 401 when a grant is missing."""

    relaxed_ids: bool = False
    """Accept ids that begin with `#` from publishers with tokens from before 1.0. Off, because the protocol now
    reserves them."""

    subscriptions: bool = False
    """Tell of subscriptions: updates when they come and go, and the API that lists them, to those whose tokens grant
    their topics. Off: it costs an update, stored and delivered, for each matcher of each subscriber when it comes, and
    another when it goes. Therefore `topic` parameters then count towards `matcher_limit` too. Long polls are not told
    of."""

    heartbeat: Seconds = 40.0
    """Seconds of silence after which a comment is sent, so that no proxy between takes the connection for dead. 0 sends
    none. 40 is the reference hub's; many proxies give up after 60."""

    write_timeout: Seconds = 600.0
    """Longest life of a subscriber's connection in seconds; each ends at 80 to 100 % of it, so that they do not all
    come back at once. 0 is no limit. 600 is the reference hub's."""

    body_limit: Annotated[int, Meta(ge=1024, le=2**31 - 1)] = 1_048_576
    """Bytes that the body of a publication may have; a longer one is refused. 1 MiB is the reference hub's. A QUERY may
    have as many, but at most 65536: it is read before its token is."""

    history: str = "mercure.db"
    """File of the history, an SQLite database for this process alone. A relative path starts at the settings file's
    folder (on the command line: at the working directory). Empty keeps no history: who was away has missed it."""

    history_size: Count = 0
    """Updates kept; older ones go first. 0 is no limit, as in the reference hub: set one of the three limits."""

    history_age: Seconds = 0.0
    """Seconds an update is kept. 0 is no limit."""

    history_bytes: Annotated[int, Meta(ge=0, le=2**50)] = 0
    """Bytes of updates kept, which the file exceeds somewhat. 0 is no limit."""

    durability: Durability = "disk"
    """When a publisher is answered: `disk`, once its update is on the disk; `process`, once the operating system has
    it, which is faster, survives a crash of Holdfast, and may lose the last updates in a power cut."""

    on_unknown_cursor: UnknownCursor = "none"
    """What a subscriber gets whose last event id is not in the history (any more): `none`, new updates only, as from
    the reference hub; `all` there is; or an `error`, status 410. With the first two it is told `earliest` in the place
    of its id, and can fetch anew."""

    bridge: Bridge = "off"
    """Make GRIP channels and Mercure topics one namespace: `public` updates, or `all`, also go to whoever a backend
    holds on a channel called like their topic, and items published to a channel become updates. Off: the two worlds
    know nothing of each other."""

    bridge_items: BridgeItems = "private"
    """What items become that `bridge` makes updates of: `private`, for those whose tokens grant the topic, or
    `public`, for every subscriber. Private, because a backend chose who is on a channel, and the hub does not know
    whom."""

    matcher_limit: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """Matchers one subscriber may have (`match` parameters); with more it is refused. 100 is the reference hub's.
    `topic` parameters may be 1000, as they always could, but only so many of them with braces; with `subscriptions`,
    all together count. What the patterns of one subscriber may be in all is bounded as well, and grows with a limit
    over 100: 256 variables, wildcards and groups, 32 KiB, and 40960 instructions compiled."""

    unanchored_limit: Count = 1000
    """Distinct patterns that a topic may have to be tried on in one place: those without a literal beginning, as
    `*://*/x`, which are tried on every topic and of which each subscriber may bring a tenth; and those with the same
    beginning up to a slash, as `https://example.com/books/:id`. Further ones are refused: this bounds what a
    publication can cost. So is, with 503, an update of more than a hundred topics that would be tried on patterns more
    than a hundred times as often. 0 allows no patterns at all."""

    matcher_cache: Count = 100_000
    """Outcomes of matching a token's pattern with a topic that are remembered, and a tenth as many compiled patterns of
    tokens, but at most 1000. 0 remembers none. Subscribers' patterns stay compiled while somebody has them, whatever
    stands here. 100000 is the reference hub's, and some tens of megabytes when it is full."""

    debugger: bool = False
    """Serve a page to try the hub out, at `debug/` under the hub's path. It can do what a visitor's token can."""

    playground: bool = False
    """Let everybody do everything: serve the debugger, with `anonymous`, `subscriptions` and all origins on, the cookie
    called `mercure_access_token`, and, where no key is set, the development key that everybody knows; with that key,
    and no other, mint tokens. Never in production."""

    def __post_init__(self) -> None:
        """Refuse what the types allow but nothing can obey."""
        check_hub(self)

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

    @property
    def key_holders(self) -> tuple[HubSettings | IssuerSettings, ...]:
        """Where keys stand: here, those for tokens before 1.0, and with each issuer."""
        return (self, *self.issuers)

    @property
    def takes_publishers(self) -> bool:
        """Whether there is a key that publishers' tokens can be verified with."""
        return any(holder.publisher_key or holder.publisher_jwks for holder in self.key_holders)

    @property
    def takes_subscribers(self) -> bool:
        """Whether anybody can subscribe: with a token, or because none is asked for."""
        return self.anonymous or any(holder.subscriber_key or holder.subscriber_jwks for holder in self.key_holders)

    @property
    def is_enabled(self) -> bool:
        """Whether there is a hub at all."""
        return self.playground or self.takes_publishers or self.takes_subscribers


def effective(settings: HubSettings) -> HubSettings:
    """Return the settings with what `playground` implies (reference 4.5). Called once, by `proxy.config`."""
    if not settings.playground:
        return settings
    opened = replace(
        settings,
        anonymous=True,
        subscriptions=True,
        debugger=True,
        cors_origins=("*",),
        publish_origins=("*",),
        cookie_name=PLAYGROUND_COOKIE,
    )
    has_keys = opened.takes_publishers or replace(opened, anonymous=False).takes_subscribers
    return opened if has_keys else _with_development_keys(opened)


def _with_development_keys(settings: HubSettings) -> HubSettings:
    issuer = IssuerSettings(id=DEVELOPMENT_ISSUER, publisher_key=DEVELOPMENT_KEY, subscriber_key=DEVELOPMENT_KEY)
    key = DEVELOPMENT_KEY if settings.speaks_selectors else ""
    return replace(
        settings,
        publisher_key=key,
        publisher_algorithm="HS256",
        subscriber_key=key,
        subscriber_algorithm="HS256",
        issuers=(issuer,) if settings.speaks_current else (),
    )
