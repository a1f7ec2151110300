"""Headers on their way through the proxy: what the backend receives, and what the client gets back.

Called by the upstream side of the proxy for each request and each answer. Headers stay the pairs that came
in, in their order and letter case. Nothing here frames a message: Content-Length and Transfer-Encoding of a
request are added by whoever sends it. WebSocket handshakes and CORS are not this module's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from handlers.protocol.fields import (
    decode_field,
    encode_field,
    encode_list,
    encode_parameters,
    split_list,
)
from handlers.protocol.http1 import Headers, header_values, hop_by_hop_names, is_field_value, without_headers

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
_NEVER_FORWARDED = frozenset((b"accept-encoding", b"expect", b"content-length"))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What a route, the settings and the client's connection decide about a request's headers."""

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
    own_names = {name.lower() for name, _ in options.route_headers}
    headers = _without_disguises(headers, own_names)
    # A client's Connection must not be able to remove what the route adds.
    dropped = (hop_by_hop_names(headers) - own_names) | hop_by_hop_names(()) | _NEVER_FORWARDED
    if options.accept_pushpin_route:
        dropped |= {b"pushpin-route"}
    sent = without_headers(headers, own_names) + tuple(pair for pair in options.route_headers if pair[1])
    sent = _with_originals(sent, options)
    sent = without_headers(sent, dropped)
    sent = _with_cdn_loop(sent, options.cdn_loop)
    if not options.trusted:
        sent = _without_prefix(sent, b"grip-")
        sent += _grip_headers(options)
    sent = _with_forwarded_proto(sent, options)
    sent = _with_forwarded_for(sent, options)
    return _with_host(sent, options.host)


def response_headers(headers: Headers, *, grip: bool, keep_length: bool) -> Headers:
    """Turn a backend's headers into the client's, for an answer that is no instruct (reference 3.3, last lines).

    `grip`: the answer belongs to this proxy, so its `Grip-*` go no further. `keep_length`: the body passes
    as it is. Unlike Pushpin, Content-Encoding stays, for without it the client could not decode the body,
    and headers named in `Connection` go, with Upgrade and Trailer.
    """
    passed = without_headers(headers, hop_by_hop_names(headers))
    if not keep_length:
        passed = without_headers(passed, (b"content-length",))
    return _without_prefix(passed, b"grip-") if grip else passed


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
    values = _list_values(headers, _FORWARDED_FOR)
    if not values or rules.truncate == 0:
        return peer
    try:
        return str(ipaddress.ip_address(values[0]))
    except ValueError:
        return peer


_SCHEMES = {b"https": b"https", b"wss": b"https", b"http": b"http", b"ws": b"http"}


def _list_values(headers: Headers, name: bytes) -> tuple[str, ...]:
    return tuple(element for value in header_values(headers, name) for element in split_list(decode_field(value)))


def _without_disguises(headers: Headers, own_names: Collection[bytes]) -> Headers:
    """Leave out names that CGI and WSGI fold into one of ours: to Flask `Grip_Sig` is `Grip-Sig`, to PHP `Grip.Sig`."""
    if not any(name.translate(None, _PLAIN) for name, _ in headers):
        return headers
    guarded = _GUARDED_NAMES.union(folded_name(name) for name in own_names)
    return tuple(pair for pair in headers if not pair[0].translate(None, _PLAIN) or not _is_guarded(pair[0], guarded))


def _is_guarded(name: bytes, guarded: Collection[bytes]) -> bool:
    folded = folded_name(name)
    return folded in guarded or folded.startswith(_GUARDED_PREFIXES)


def _without_prefix(headers: Headers, prefix: bytes) -> Headers:
    return tuple(pair for pair in headers if not pair[0].lower().startswith(prefix))


def _with_originals(headers: Headers, options: RequestOptions) -> Headers:
    """Move marked copies to the end and mark the rest's (reference 1.3); a trusted client has done so already."""
    plain = _without_prefix(headers, ORIGINAL_PREFIX)
    if not options.orig_headers:
        return plain
    if options.trusted:
        return headers
    need_mark = {name.lower() for name in options.orig_headers_need_mark}
    copies: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name.lower().startswith(ORIGINAL_PREFIX):
            copies.append((name, value))
        elif name.lower() not in need_mark:
            copies.append((ORIGINAL_PREFIX + name, value))
    return plain + tuple(copies)


def _with_cdn_loop(headers: Headers, token: bytes) -> Headers:
    """Merge CDN-Loop into one line and add `token` (RFC 8586 section 2)."""
    if not token:
        return headers
    value = encode_list((*_list_values(headers, b"cdn-loop"), decode_field(token)))
    return (*without_headers(headers, (b"cdn-loop",)), (b"CDN-Loop", encode_field(value)))


def _grip_headers(options: RequestOptions) -> Headers:
    if not options.grip:
        return ()
    signature = () if options.grip_sig is None else ((b"Grip-Sig", options.grip_sig),)
    last = tuple((b"Grip-Last", line) for pair in options.grip_last if (line := _last_line(*pair)) is not None)
    return (*signature, (b"Grip-Feature", GRIP_FEATURES), *last)


def _last_line(channel: str, last_id: str) -> bytes | None:
    """Return the value of a `Grip-Last`, or None for an id or a channel that no header can hold.

    Leaving it out is safe: a backend that is told no last id answers as to a newcomer.
    """
    line = encode_field(encode_parameters(channel, (("last-id", last_id),)))
    return line if is_field_value(line) else None


def _with_forwarded_proto(headers: Headers, options: RequestOptions) -> Headers:
    scheme = options.forwarded_proto
    if scheme is None:
        return without_headers(headers, _FORWARDED_PROTO) if options.strip_forwarded_proto else headers
    added: Headers = ((b"X-Forwarded-Proto", scheme),)
    if options.also_forwarded_protocol:
        added += ((b"X-Forwarded-Protocol", scheme),)
    return without_headers(headers, _FORWARDED_PROTO) + added


def _with_forwarded_for(headers: Headers, options: RequestOptions) -> Headers:
    """Join all X-Forwarded-For values in one line at the end, as the rules say; none at all, no line."""
    values = _list_values(headers, _FORWARDED_FOR)
    if options.xff.truncate is not None:
        values = values[max(len(values) - options.xff.truncate, 0) :]
    if options.xff.append and options.peer:
        values += (decode_field(options.peer),)
    rest = without_headers(headers, (_FORWARDED_FOR,))
    return (*rest, (b"X-Forwarded-For", encode_field(encode_list(values)))) if values else rest


def _with_host(headers: Headers, host: bytes) -> Headers:
    """Have exactly one Host, where the client's first stood, or else in front (RFC 9110 section 7.2)."""
    rest = without_headers(headers, (b"host",))
    position = next((index for index, pair in enumerate(headers) if pair[0].lower() == b"host"), 0)
    name = headers[position][0] if len(rest) < len(headers) else b"Host"
    return (*rest[:position], (name, host), *rest[position:])
