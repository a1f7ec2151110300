"""A complete request head, from bytes to everything Holdfast knows about the request.

Called by `framing` for every request, and the only reading of a head there is: routing, forwarding, body and
connection all go by the `RequestHead` made here. What a proxy before us could have read in another way is refused
(RFC 9112 section 11.2, request smuggling). What a header means beyond framing, routing and the connection is left
to whoever wants to know: the rest pass as they came.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from handlers.protocol.http1 import Headers
from proxy.protocol.field_lines import CRLF, TOKEN, explain_field_lines, find_stray
from proxy.protocol.request_error import Refusal, too_many_headers
from proxy.protocol.request_target import is_authority, refuse_target


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a head says about its request. All bytes are the client's own unless said otherwise.

    A Struct, because every request makes one: a frozen dataclass of ten fields costs 2.3 microseconds more, which
    would be a quarter of all the work done here.
    """

    method: bytes
    """Any token but CONNECT, known or not (RFC 9110 section 9.1): the backend judges it."""

    target: bytes
    """One of the forms of RFC 9112 section 3.2 but authority-form. `request_target` splits it."""

    version: bytes
    """b"1.1" or b"1.0"."""

    host: bytes | None
    """The Host header, never empty. None only in HTTP/1.0."""

    content_length: int | None
    """None without that header; then, unless `chunked`, there is no body (RFC 9112 section 6.3)."""

    chunked: bool
    """The body comes in chunks; then there is no `content_length`."""

    keep_alive: bool
    """The client lets the connection live on (RFC 9112 section 9.3)."""

    upgrade: bytes
    """b"websocket" where the client offers that in any version, else all protocols of its Upgrade header in lower case;
    b"" in HTTP/1.0, and unless Connection names the header (RFC 9110 section 7.8)."""

    expects_continue: bool
    """The client may wait to be told to send its body (RFC 9110 section 10.1.1)."""

    headers: Headers
    """All header lines in order, values without the white space around them. None holds a CR, LF or NUL, nor any
    control character but HTAB inside a value."""

    @property
    def is_websocket(self) -> bool:
        """Whether the client asks for a WebSocket (RFC 6455 section 4.1)."""
        return self.upgrade == b"websocket"


_Fields = dict[bytes, bytes]

# Fields that may come once. A second Transfer-Encoding is a list to the RFC; to others it is one to overlook.
_ONCE: Final = {
    b"host": Refusal.HOST_REPEATED,
    b"content-length": Refusal.LENGTH_REPEATED,
    b"transfer-encoding": Refusal.CODING_REPEATED,
}
# Proxy-Connection is no standard field, and what it once asked for is no concern of ours (RFC 9112 appendix C.2.2).
_LISTS: Final = frozenset((b"connection", b"expect", b"upgrade"))
_NOTED: Final = _LISTS | _ONCE.keys()

_METHOD_AND_TARGET: Final = rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]++)"
_START: Final = re.compile(_METHOD_AND_TARGET)
_REQUEST_LINE: Final = re.compile(_METHOD_AND_TARGET + rb" HTTP/(1\.[01])\r\n")
# RFC 9112 section 5, with the LF of the line before. It fits only whole lines, so all are sound when as many fit as
# there are: one pass both checks and splits. Neither a space before the colon (5.1) nor obs-fold (5.2) fits, nor any
# control character but HTAB (RFC 9110 section 5.5).
_FIELDS: Final = re.compile(rb"\n(" + TOKEN + rb"):[\t ]*+([\t\x20-\x7e\x80-\xff]*+)\r(?=\n)")
_METHOD: Final = re.compile(TOKEN)
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")

_MAX_LENGTH_DIGITS: Final = 18  # below 2 to the 63, whatever counts after us


def parse_request_head(head: bytes, *, max_headers: int) -> RequestHead:
    """Parse a head that begins with the request line and ends with its first empty line, or raise RequestError."""
    request_line = _REQUEST_LINE.match(head)
    headers = _split_headers(head)
    if request_line is None or headers is None:
        raise _explain(head).error()
    if len(headers) > max_headers:
        raise too_many_headers(max_headers)
    method, target, version = request_line.groups()
    _check_start(method, target)
    fields = _noted_fields(headers)
    options = _members(fields[b"connection"]) if b"connection" in fields else []
    return RequestHead(
        method=method,
        target=target,
        version=version,
        host=_parse_host(fields, version),
        content_length=_parse_content_length(fields),
        chunked=_parse_transfer_encoding(fields, version),
        keep_alive=_allows_keep_alive(options, version),
        upgrade=_parse_upgrade(fields, options, version),
        expects_continue=_parse_expect(fields, version),
        headers=headers,
    )


def repeat_request_head(start: bytes, earlier: RequestHead) -> RequestHead | None:
    """Return what a head comes to that differs from that of `earlier` in its method and target alone, or raise.

    `start` is all that stands before the space and the version. None where it is not a method and a target: then the
    head is not what it was thought to be. `headers` is the same object as the earlier one's.
    """
    found = _START.fullmatch(start)
    if found is None:
        return None
    method, target = found.groups()
    _check_start(method, target)
    return msgspec.structs.replace(earlier, method=method, target=target)


def _check_start(method: bytes, target: bytes) -> None:
    # RFC 9110 section 9.1: a method not implemented is answered 501. Which are is the backend's to say, but for the
    # one that would make a tunnel of us (section 9.3.6).
    if method == b"CONNECT":
        raise Refusal.CONNECT.error()
    refusal = refuse_target(method, target)
    if refusal is not None:
        raise refusal.error()


def _split_headers(head: bytes) -> Headers | None:
    """Return the header lines, or None when one of them is unsound."""
    fields: list[tuple[bytes, bytes]] = _FIELDS.findall(head)
    if len(fields) != head.count(b"\n") - 2:
        return None
    if b" \r" not in head and b"\t\r" not in head:  # nearly always
        return tuple(fields)
    return tuple([(name, value.rstrip(b"\t ")) for name, value in fields])


def _noted_fields(headers: Headers) -> _Fields:
    """Return the fields that count here, by name in lower case; lines of a list are joined (RFC 9110 section 5.3)."""
    fields: _Fields = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if name not in _NOTED:
            continue
        if name not in fields:
            fields[name] = value
        elif name in _LISTS:
            fields[name] += b", " + value
        else:
            raise _ONCE[name].error()
    return fields


def _members(value: bytes) -> list[bytes]:
    """Return the members of a list (RFC 9110 section 5.6.1) in lower case, empty ones too."""
    return [member.strip(b" \t") for member in value.lower().split(b",")]


def _parse_host(fields: _Fields, version: bytes) -> bytes | None:
    host = fields.get(b"host")
    # RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request
    # message that lacks a Host header field and to any request message that contains more than one Host header
    # field line or a Host header field with an invalid field value."
    if host is None:
        if version == b"1.1":
            raise Refusal.HOST_MISSING.error()
        return None
    # The same section has a client send an empty Host for a target without authority. An http URI always has one,
    # and RFC 9110 section 4.2.1 has the recipient of one with an empty host "reject it as invalid".
    if not is_authority(host):
        raise Refusal.HOST.error()
    return host


def _parse_content_length(fields: _Fields) -> int | None:
    value = fields.get(b"content-length")
    if value is None:
        return None
    # RFC 9112 section 6.1: "A server MAY reject a request that contains both Content-Length and
    # Transfer-Encoding". To serve it would be to guess which of the two the proxy before us believed.
    if b"transfer-encoding" in fields:
        raise Refusal.LENGTH_AND_CODING.error()
    # RFC 9112 section 6.3, rule 5, lets a list of equal numbers pass; no client has a reason to send one.
    if not value.isdigit():
        raise Refusal.LENGTH.error()
    if len(value) > _MAX_LENGTH_DIGITS:
        raise Refusal.LENGTH_TOO_LARGE.error()
    return int(value)


def _parse_transfer_encoding(fields: _Fields, version: bytes) -> bool:
    value = fields.get(b"transfer-encoding")
    if value is None:
        return False
    # RFC 9112 section 6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding
    # header field MUST treat the message as if the framing is faulty".
    if version == b"1.0":
        raise Refusal.CODING_BEFORE_1_1.error()
    codings = _members(value)
    if codings == [b"chunked"]:
        return True
    # RFC 9112 section 6.3, rule 4: "If a Transfer-Encoding header field is present in a request and the chunked
    # transfer coding is not the final encoding, the message body length cannot be determined reliably; the server
    # MUST respond with the 400 (Bad Request) status code". Section 6.1 forbids chunked twice.
    if len(codings) == 1 or b"" in codings or codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        raise Refusal.CODING.error()
    # RFC 9112 section 6.1: "A server that receives a request message with a transfer coding it does not understand
    # SHOULD respond with 501 (Not Implemented)."
    raise Refusal.CODING_UNKNOWN.error()


def _allows_keep_alive(options: list[bytes], version: bytes) -> bool:
    # RFC 9112 section 9.3, in its order: close, then HTTP/1.1, then keep-alive.
    if b"close" in options:
        return False
    return version == b"1.1" or b"keep-alive" in options


def _parse_upgrade(fields: _Fields, options: list[bytes], version: bytes) -> bytes:
    # RFC 9110 section 7.8: "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request."
    if b"upgrade" not in options or version == b"1.0":
        return b""
    # The client's choice, best first, each with or without a version; of them all we speak one.
    protocols = [protocol for protocol in _members(fields.get(b"upgrade", b"")) if protocol]
    if any(protocol.partition(b"/")[0] == b"websocket" for protocol in protocols):
        return b"websocket"
    return b", ".join(protocols)


def _parse_expect(fields: _Fields, version: bytes) -> bool:
    # RFC 9110 section 10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore
    # that expectation." HTTP/1.0 knows no other either.
    if b"expect" not in fields or version == b"1.0":
        return False
    expectations = set(_members(fields[b"expect"])) - {b""}
    # The same section: a server "that receives an Expect field value containing a member other than 100-continue MAY
    # respond with a 417". We do: the field goes no further than us, so nobody after us could meet the expectation,
    # and a proxy before us that took it for 100-continue would wait with the body and we would not.
    if expectations - {b"100-continue"}:
        raise Refusal.EXPECTATION.error()
    return bool(expectations)


def _explain(head: bytes) -> Refusal:
    """Return what is wrong with a head that does not fit the grammar: the first stray byte, else the first line."""
    stray = find_stray(head, 0, len(head))
    if stray is not None:
        return stray
    request_line, *lines = head[:-4].split(CRLF)
    return _explain_request_line(request_line) or explain_field_lines(lines)


def _explain_request_line(line: bytes) -> Refusal | None:
    # RFC 9112 section 3: method SP request-target SP HTTP-version. It lets a server split at any white space, and
    # warns of what that leads to; section 3.2 has one that finds white space in the target answer 400.
    method, _, rest = line.partition(b" ")
    target, space, version = rest.rpartition(b" ")
    if not (space and target and _VERSION.fullmatch(version)):
        return Refusal.REQUEST_LINE
    if not _METHOD.fullmatch(method):
        return Refusal.METHOD
    # RFC 9110 section 15.6.6: 505 for "the major version of HTTP that was used"; 1.2 and above do not exist.
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        return Refusal.VERSION
    return Refusal.TARGET_SPACE if b" " in target or b"\t" in target else None
