"""What a client's request is, and what the last one on its connection came to.

Made by `proxy.outgoing`; routing, forwarding, holding and the log go by it.
"""

from __future__ import annotations

import msgspec

from handlers.protocol.http1 import Headers
from proxy.protocol.repeated_head import REMEMBERED_BYTES
from proxy.protocol.request_head import RequestHead
from proxy.router import LoadedRoute


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a request that routing, forwarding and the log share.

    `authority` is the host with its port, `path` the origin-form target, `client` the logical address. `uri` is for
    the log: a long one is cut.
    """

    authority: bytes
    path: bytes
    is_tls: bool
    is_trusted: bool
    uri: str
    client: str
    is_looping: bool = False
    """Whether it is a link's that this very Holdfast has sent directly."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The headers written for a backend, and all that went into them besides the connection and the settings.

    `received` and `headers` are compared by identity: equal lines of one connection are one object (`repeated_head`).
    """

    received: Headers
    headers: Headers
    loaded: LoadedRoute
    host: bytes
    signature: bytes | None
    is_trusted: bool


class Repetition:
    """What the last request of one connection came to: most clients' next one is the same, or nearly.

    It belongs to the connection and goes with it, so a held one keeps nothing. Each use must say for what the value
    was made; what comes out is what would be made anew.
    """

    __slots__ = ("_head", "_incoming", "_written")

    def __init__(self) -> None:
        self._head: RequestHead | None = None
        self._incoming: Incoming | None = None
        self._written: Written | None = None

    def unless_large(self, head_bytes: bytes) -> Repetition:
        """Return what serves the request with this head: itself, or one that goes with a request whose head is large.

        Thousands of idle connections may each have sent a large one, which `repeated_head` does not keep either.
        """
        return self if len(head_bytes) <= REMEMBERED_BYTES else Repetition()

    def same_incoming(self, head: RequestHead, *, is_trusted: bool) -> Incoming | None:
        """Return the facts about the last request if `head` is its head."""
        incoming = self._incoming
        if head is self._head and incoming is not None and incoming.is_trusted is is_trusted:
            return incoming
        return None

    def same_client(self, head: RequestHead, *, is_trusted: bool) -> Incoming | None:
        """Return the facts about the last request if all that does not come of the target is the same."""
        earlier, incoming = self._head, self._incoming
        if earlier is None or incoming is None or earlier.headers is not head.headers:
            return None
        return incoming if incoming.is_trusted is is_trusted else None

    def keep_incoming(self, head: RequestHead, incoming: Incoming) -> None:
        """Remember the facts about the request that `head` is the head of."""
        self._head, self._incoming = head, incoming

    def same_headers(
        self, received: Headers, loaded: LoadedRoute, host: bytes, signature: bytes | None, *, is_trusted: bool
    ) -> Headers | None:
        """Return the headers written for the last request if they were made of the same."""
        written = self._written
        if (
            written is not None
            and written.received is received
            and written.loaded is loaded
            and written.host == host
            and written.signature == signature
            and written.is_trusted is is_trusted
        ):
            return written.headers
        return None

    def keep_headers(self, written: Written) -> None:
        """Remember headers that were written."""
        self._written = written
