"""Request targets and hosts: which forms are accepted, and how one is split into authority and path.

`request_head` asks whether a target or Host may pass; `proxy.outgoing` splits the accepted target to find the route
and the path to forward. Nothing is decoded, normalised or lower-cased: a backend gets the client's bytes.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from proxy.protocol.request_error import Refusal

# RFC 3986 section 3.2.2, without userinfo: RFC 9110 section 4.2.4 calls it an error in a message. The host may
# not be empty (RFC 9110 section 4.2.1); the port may (RFC 3986 section 3.2.3).
_REG_NAME: Final = rb"(?=[^:])[A-Za-z0-9\-._~!$&'()*+,;=]*+(?:%[0-9A-Fa-f]{2}[A-Za-z0-9\-._~!$&'()*+,;=]*+)*+"
_IPV6: Final = rb"\[([0-9A-Fa-f:.]++)\]"
_AUTHORITY: Final = re.compile(rb"(?:" + _IPV6 + rb"|" + _REG_NAME + rb")(?::([0-9]{0,5}))?")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#]*+)")


def is_authority(value: bytes) -> bool:
    """Say whether `value` is a host with or without a port (RFC 9112 section 3.2, RFC 9110 section 7.2)."""
    found = _AUTHORITY.fullmatch(value)
    if found is None:
        return False
    address, port = found.groups()
    if address and not _is_ipv6(address):
        return False
    return not port or int(port) <= 65535


def refuse_target(method: bytes, target: bytes) -> Refusal | None:
    """Return why `target`, free of white space and control characters, may not pass, or None.

    The forms are those of RFC 9112 section 3.2. Authority-form belongs to CONNECT alone, which is not served.
    """
    if target.startswith(b"/"):  # 3.2.1 origin-form
        return None
    if target == b"*":  # 3.2.4 asterisk-form "is only used for a server-wide OPTIONS request"
        return None if method == b"OPTIONS" else Refusal.TARGET_FORM
    # 3.2.2 absolute-form: "a server MUST accept the absolute-form in requests"
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return Refusal.TARGET_FORM
    # A fragment is no part of any form. One behind a path passes, as browsers' scripts do send it, and `split_target`
    # cuts it off. One straight behind the authority is refused: in http://a#@b/ some see the host a, others b.
    if target.startswith(b"#", absolute.end()):
        return Refusal.TARGET_FORM
    return None if is_authority(absolute[1]) else Refusal.TARGET_HOST


def split_target(method: bytes, target: bytes, host: bytes | None) -> tuple[bytes, bytes]:
    """Split an accepted target into (authority, path with query as a backend is asked for it).

    The authority is that of an absolute-form target, which overrides the Host header (RFC 9112 section 3.2.2:
    "the origin server MUST ignore the received Host header field (if any)"), else `host`, and b"" when there is
    neither (HTTP/1.0). The path is byte for byte the client's, only the fragment is cut, and it is b"/" where the
    client gave none; for a server-wide OPTIONS it is b"*". ValueError for what has none of the forms.
    """
    resource, _, _ = target.partition(b"#")
    if resource.startswith(b"/") or resource == b"*":
        return host or b"", resource
    absolute = _ABSOLUTE.match(resource)
    if absolute is None:
        raise ValueError(f"not a request target: {target!r}")
    path = resource[absolute.end() :]
    # RFC 9112 section 3.2.4: of an OPTIONS request in absolute-form with "an empty path and no query component", "the
    # last proxy on the request chain MUST send a request-target of "*"".
    if not path and method == b"OPTIONS":
        return absolute[1], b"*"
    return absolute[1], path if path.startswith(b"/") else b"/" + path


def _is_ipv6(address: bytes) -> bool:
    try:
        ipaddress.IPv6Address(address.decode("ascii"))
    except ValueError:
        return False
    return True
