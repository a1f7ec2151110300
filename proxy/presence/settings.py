"""Settings of presence notices: whether a backend is told who is on its channels, and how (section `[presence]`).

Loaded by `proxy.config`. A value of these that exists is valid: what a type cannot say is checked on construction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from handlers.errors import InvalidSetting
from handlers.protocol.observed import Interest
from handlers.settings import Seconds
from proxy.protocol.link_uri import LinkError, LinkUri, follow, request_uri
from proxy.protocol.presence_queue import QueueLimits

_FORM = re.compile(r"(?:/(?!/)|(?i:https?)://(?=[!-~])[^/?#])[!-~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceSettings:
    """Who is told that channels get and lose their subscribers."""

    url: str = ""
    """Where notices are POSTed to, as JSON: a path, which takes the route that a request for it to `localhost` would,
    or an `http://` or `https://` URL, which is asked directly. Empty tells nobody."""

    events: tuple[Literal["channels", "connections"], ...] = ("channels", "connections")
    """What is told: `channels`, that one has got its first subscriber or lost its last; `connections`, that a stream or
    WebSocket has ended."""

    poll_linger: Seconds = 60.0
    """Seconds for which a channel whose last long poll has ended still counts as subscribed to: between two polls of
    one client it has nobody."""

    delay: Seconds = 0.5
    """Seconds for which notices are gathered, to be sent in one request."""

    batch_limit: Annotated[int, Meta(ge=1, le=100_000)] = 500
    """Notices in one request. Ten thousand connections that end at once are twenty requests, one after the other."""

    queue_limit: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    """Notices that may wait while the backend is slow or away, some hundred bytes each. Past that, of each channel only
    the last is kept, then ends of connections are dropped, counted and logged, and their numbers are missing."""

    timeout: Annotated[float, Meta(gt=0, le=3600)] = 10.0
    """Seconds the backend may take to answer one request. Any answer but 2xx, or none, is a failure."""

    retry_for: Seconds = 60.0
    """Seconds for which a request that fails is sent again, after half a second at first and ten at last; what waits
    behind it waits too. Then its ends of connections are given up, counted and logged, and its channels told later. 0
    tries once."""

    def __post_init__(self) -> None:
        """Check the URL."""
        if not self.url:
            return
        if not _FORM.fullmatch(self.url):
            text = "expected a path or an http(s) URL without spaces, others than ASCII percent-encoded"
            raise InvalidSetting("url", f"{text}, got {self.url!r}")
        try:
            _ = self.uri
        except LinkError as error:
            raise InvalidSetting("url", str(error)) from error

    @property
    def is_internal(self) -> bool:
        """Whether the URL is a path, and so for the routes."""
        return self.url.startswith("/")

    @property
    def uri(self) -> LinkUri:
        """Where notices go. Raises LinkError."""
        return follow(request_uri(is_tls=False, authority=b"localhost", path=b"/"), self.url)

    @property
    def interest(self) -> Interest:
        """What has to be noted for it."""
        if not self.url:
            return Interest()
        return Interest(channels="channels" in self.events, connections="connections" in self.events)

    @property
    def limits(self) -> QueueLimits:
        """The bounds of the queue."""
        return QueueLimits(delay=self.delay, batch=self.batch_limit, waiting=self.queue_limit, retry_for=self.retry_for)
