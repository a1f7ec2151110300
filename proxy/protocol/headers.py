"""Headers on their way through the proxy: what the backend receives, and what the client gets back.

Called by the upstream side of the proxy for each request and each answer. Headers stay the pairs that came
in, in their order and letter case. Nothing here frames a message: Content-Length and Transfer-Encoding of a
request are added by whoever sends it. WebSocket handshakes and CORS are not this module's.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from handlers.protocol.fields import (
    decode_field,
    encode_field,
    encode_list,
    encode_parameters,
    split_list,
)
from handlers.protocol.http1 import (
    HOP_BY_HOP,
    Headers,
    header_values,
    hop_by_hop_names,
    is_field_value,
    without_headers,
)

GRIP_FEATURES = (
    b"status, session, link:next, link:gone, "
    b"filter:skip-self, filter:skip-users, filter:require-sub, filter:build-id, filter:var-subst"
)
"""The value of `Grip-Feature` (reference 3.1). Backends split it at exactly `, `."""

ORIGINAL_PREFIX = b"eb9bf0f5-"
"""What marks a header as the copy of one the client sent (`orig_headers`)."""

_GUARDED_PREFIXES = (b"grip-", b"x-forwarded-", ORIGINAL_PREFIX)
_GUARDED_NAMES = frozenset((b"cdn-loop", b"content-length", b"host", b"transfer-encoding"))
"""Names by which backends tell what comes from the proxy, or where a request ends."""

_FORWARDED_FOR = b"x-forwarded-for"
_XFF_RULE = re.compile(r"append|truncate:[0-9]{1,4}")
_FORWARDED_PROTO = (b"x-forwarded-proto", b"x-forwarded-protocol")
# Gone before a backend sees them, besides the hop-by-hop ones. Accept-Encoding, because what comes back must
# be open to appending; Expect, because this server has answered it; the framing is added anew when sending.
_REQUESTS_DROPPED: Final = HOP_BY_HOP | {b"accept-encoding", b"expect", b"content-length"}

_MERGED: Final = frozenset((b"cdn-loop", b"host", _FORWARDED_FOR, *_FORWARDED_PROTO))
"""Names of which no line passes as it is, though there may be one in the end."""


_ALPHANUMERIC = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz")
_PLAIN = b"-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FOLDING = bytes(byte if byte in _ALPHANUMERIC else ord("-") for byte in bytes(range(256)).lower())


def folded_name(name: bytes) -> bytes:
    """Return a header's name as the coarsest backend sees it: lower case, all but letters and digits alike."""
    return name.translate(_FOLDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class XffRules:
    """What becomes of X-Forwarded-For: keep the last `truncate` values (None: all), then `append` the peer."""

    truncate: int | None = None
    append: bool = False


class RequestOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a route, the settings and the client's connection decide about a request's headers.

    A Struct, because most requests make one.
    """

    host: bytes
    """Value of `Host`: the client's, or that of `as_host` or of the target's `host`."""
    peer: bytes = b""
    """The peer's IP address; empty where it has none (a unix socket), which then is not appended."""
    route_headers: Headers = ()
    """`header=` of the route: each replaces what the client sent, and with an empty value just removes it."""
    orig_headers: bool = False
    """Copy every header under ORIGINAL_PREFIX; otherwise such copies are removed."""
    orig_headers_need_mark: tuple[bytes, ...] = ()
    """Names that count as original only if they came marked already, so are not copied."""
    accept_pushpin_route: bool = False
    """`Pushpin-Route` has been obeyed, so is removed."""
    cdn_loop: bytes = b""
    """Token added to CDN-Loop (RFC 8586); empty leaves that header alone."""
    trusted: bool = False
    """The client's Grip-Sig verified: its `Grip-*` pass, and none are added."""
    grip: bool = True
    """The route speaks GRIP."""
    grip_sig: bytes | None = None
    """The token to send, or None without a key."""
    grip_last: tuple[tuple[str, str], ...] = ()
    """(channel without route prefix, last id) for each id that is known."""
    strip_forwarded_proto: bool = False
    """Remove the client's X-Forwarded-Proto and -Protocol; adding one does so in any case."""
    forwarded_proto: bytes | None = None
    """X-Forwarded-Proto to send: `https` (or `wss`) for a TLS client, None for a plain one or if not set."""
    also_forwarded_protocol: bool = False
    """Send the same as X-Forwarded-Protocol too."""
    xff: XffRules = XffRules()
    """The rules for this client: `x_forwarded_for`, or if trusted `x_forwarded_for_trusted`."""


def request_headers(headers: Headers, *, options: RequestOptions) -> Headers:
    """Turn a client's headers into the backend's (reference 3.1), in the order in which that lists the changes.

    Unlike Pushpin, headers named in `Connection` are removed (RFC 9110 section 7.6.1), and so are TE,
    Trailer, Upgrade and Proxy-Connection; Content-Encoding stays, since the body passes undecoded.
    """
    sent = _without_disguises(headers, options)
    dropped = hop_by_hop_names(sent)
    if options.route_headers:
        # A client's Connection must not be able to remove what the route adds.
        own_names = {name.lower() for name, _ in options.route_headers}
        dropped = dropped - own_names
        sent = without_headers(sent, own_names) + tuple([pair for pair in options.route_headers if pair[1]])
    if options.orig_headers and not options.trusted:
        sent = _with_originals(sent, options)
    dropped = dropped | _REQUESTS_DROPPED
    if options.accept_pushpin_route:
        dropped |= {b"pushpin-route"}
    sorted_lines = _sort(sent, dropped, options)
    passed = sorted_lines.passed
    if options.cdn_loop:
        passed.append(_cdn_loop(sorted_lines.loops, options.cdn_loop))
    if not options.trusted:
        passed.extend(_grip_headers(options))
    passed.extend(_forwarded_proto(options))
    passed.extend(_forwarded_for(sorted_lines.forwarded, options))
    # Exactly one Host, where the client's first stood, or else in front (RFC 9110 section 7.2).
    passed.insert(max(sorted_lines.host_position, 0), (sorted_lines.host_name, options.host))
    return tuple(passed)


def response_headers(headers: Headers, *, grip: bool, keep_length: bool) -> Headers:
    """Turn a backend's headers into the client's, for an answer that is no instruct (reference 3.3, last lines).

    `grip`: the answer belongs to this proxy, so its `Grip-*` go no further. `keep_length`: the body passes
    as it is. Unlike Pushpin, Content-Encoding stays, for without it the client could not decode the body,
    and headers named in `Connection` go, with Upgrade and Trailer.
    """
    dropped = hop_by_hop_names(headers)
    if not keep_length:
        dropped = _with_length(dropped)
    if not grip:
        return without_headers(headers, dropped)
    return tuple(
        [pair for pair in headers if (name := pair[0].lower()) not in dropped and not name.startswith(b"grip-")]
    )


@functools.lru_cache(maxsize=256)
def _with_length(names: frozenset[bytes]) -> frozenset[bytes]:
    return names | {b"content-length"}


def xff_rules(values: Iterable[str]) -> XffRules:
    """Parse the entries of an `x_forwarded_for` setting: `truncate:N` and `append`, each once at most.

    Raises ValueError with a text for the operator.
    """
    counts: dict[str, str] = {}
    for value in values:
        if not _XFF_RULE.fullmatch(value):
            raise ValueError(f"expected 'append' or 'truncate:N', got {value!r}")
        name, _, count = value.partition(":")
        if name in counts:
            raise ValueError("'append' and 'truncate:N' can be given once each")
        counts[name] = count
    truncate = counts.get("truncate")
    return XffRules(truncate=None if truncate is None else int(truncate), append="append" in counts)


def forwarded_scheme(headers: Headers) -> bytes | None:
    """Return `https` or `http`, as a proxy in front says the client came, or None if it says nothing usable.

    For `accept_x_forwarded_protocol` (reference 2.3). X-Forwarded-Proto goes before X-Forwarded-Protocol.
    """
    for name in _FORWARDED_PROTO:
        for value in header_values(headers, name):
            return _SCHEMES.get(value.strip().lower())
    return None


def client_address(headers: Headers, peer: str, rules: XffRules) -> str:
    """Return the client's address for logs and stats (reference 3.1, end).

    It is the first X-Forwarded-For value if that is an IP address and the rules don't cut all values off,
    otherwise `peer`. Without a rule the header is believed, so this must never decide about access.
    """
    values = _elements(header_values(headers, _FORWARDED_FOR))
    if not values or rules.truncate == 0:
        return peer
    try:
        return str(ipaddress.ip_address(values[0]))
    except ValueError:
        return peer


_SCHEMES = {b"https": b"https", b"wss": b"https", b"http": b"http", b"ws": b"http"}


def _elements(values: Iterable[bytes]) -> tuple[str, ...]:
    return tuple([element for value in values for element in split_list(decode_field(value))])


def _without_disguises(headers: Headers, options: RequestOptions) -> Headers:
    """Leave out names that CGI and WSGI fold into one of ours: to Flask `Grip_Sig` is `Grip-Sig`, to PHP `Grip.Sig`."""
    if not b"".join([name for name, _ in headers]).translate(None, _PLAIN):
        return headers
    guarded = _GUARDED_NAMES.union([folded_name(name) for name, _ in options.route_headers])
    return tuple([pair for pair in headers if not pair[0].translate(None, _PLAIN) or not _is_guarded(pair[0], guarded)])


def _is_guarded(name: bytes, guarded: Collection[bytes]) -> bool:
    folded = folded_name(name)
    return folded in guarded or folded.startswith(_GUARDED_PREFIXES)


def _with_originals(headers: Headers, options: RequestOptions) -> Headers:
    """Move marked copies to the end and mark the rest's (reference 1.3); a trusted client has done so already."""
    need_mark = {name.lower() for name in options.orig_headers_need_mark}
    plain: list[tuple[bytes, bytes]] = []
    copies: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name.lower().startswith(ORIGINAL_PREFIX):
            copies.append((name, value))
            continue
        plain.append((name, value))
        if name.lower() not in need_mark:
            copies.append((ORIGINAL_PREFIX + name, value))
    return (*plain, *copies)


class _Sorted:
    """A client's headers sorted into what passes, and what is put together anew."""

    __slots__ = ("forwarded", "host_name", "host_position", "loops", "passed")

    def __init__(self) -> None:
        self.passed: list[tuple[bytes, bytes]] = []
        self.loops: list[bytes] = []
        """Values of CDN-Loop."""
        self.forwarded: list[bytes] = []
        """Values of X-Forwarded-For."""
        self.host_name = b"Host"
        self.host_position = -1

    def merge(self, name: bytes, pair: tuple[bytes, bytes], options: RequestOptions) -> None:
        """Take a line whose name, in lower case, is in _MERGED."""
        if name == b"host":
            if self.host_position < 0:
                self.host_name, self.host_position = pair[0], len(self.passed)
        elif name == _FORWARDED_FOR:
            self.forwarded.append(pair[1])
        elif name == b"cdn-loop" and options.cdn_loop:
            self.loops.append(pair[1])
        elif name == b"cdn-loop" or not (options.strip_forwarded_proto or options.forwarded_proto is not None):
            self.passed.append(pair)


def _sort(headers: Headers, dropped: Collection[bytes], options: RequestOptions) -> _Sorted:
    """Sort the lines in one pass: names in lower case that are `dropped`, or not for clients to send, are left out."""
    prefixes = _forbidden_prefixes(options)
    found = _Sorted()
    pass_on = found.passed.append
    for pair in headers:
        name = pair[0].lower()
        if name in dropped:
            continue
        if name in _MERGED:
            found.merge(name, pair, options)
        elif not name.startswith(prefixes):
            pass_on(pair)
    return found


def _forbidden_prefixes(options: RequestOptions) -> tuple[bytes, ...]:
    grip = () if options.trusted else (b"grip-",)
    return grip if options.orig_headers else (*grip, ORIGINAL_PREFIX)


def _cdn_loop(values: Iterable[bytes], token: bytes) -> tuple[bytes, bytes]:
    """Merge all CDN-Loop into one line and add `token` (RFC 8586 section 2)."""
    return b"CDN-Loop", encode_field(encode_list((*_elements(values), decode_field(token))))


def _grip_headers(options: RequestOptions) -> Headers:
    if not options.grip:
        return ()
    signature = () if options.grip_sig is None else ((b"Grip-Sig", options.grip_sig),)
    last = tuple((b"Grip-Last", line) for pair in options.grip_last if (line := encode_last(*pair)) is not None)
    return (*signature, (b"Grip-Feature", GRIP_FEATURES), *last)


def encode_last(channel: str, last_id: str) -> bytes | None:
    """Return the value of a `Grip-Last`, or None for an id or a channel that no header can hold.

    Leaving it out is safe: a backend that is told no last id answers as to a newcomer.
    """
    line = encode_field(encode_parameters(channel, (("last-id", last_id),)))
    return line if is_field_value(line) else None


def _forwarded_proto(options: RequestOptions) -> Headers:
    scheme = options.forwarded_proto
    if scheme is None:
        return ()
    added: Headers = ((b"X-Forwarded-Proto", scheme),)
    return (*added, (b"X-Forwarded-Protocol", scheme)) if options.also_forwarded_protocol else added


def _forwarded_for(lines: Iterable[bytes], options: RequestOptions) -> Headers:
    """Join all X-Forwarded-For values in one line, as the rules say; none at all, no line."""
    values = _elements(lines)
    if options.xff.truncate is not None:
        values = values[max(len(values) - options.xff.truncate, 0) :]
    if options.xff.append and options.peer:
        values += (decode_field(options.peer),)
    return ((b"X-Forwarded-For", encode_field(encode_list(values))),) if values else ()
