"""JSON-P: an answer as a script that calls a page's function with it (reference 3.13).

Used through `presentation`, for what is passed on, answered by ourselves, and published to held long polls. What comes
out is valid JavaScript, whatever came in, or `NotEncodable`. How a request asks for it is
`proxy.protocol.jsonp_request`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers, header_values

NOT_ENCODABLE: Final = "Upstream response could not be JSON-P encoded."

CALLBACK_LIMIT: Final = 256
"""Characters of a callback's name. Those that libraries make up have about 30."""

_IDENTIFIER: Final = r"[A-Za-z_$][A-Za-z0-9_$]*"
_CALLBACK: Final = re.compile(rf"{_IDENTIFIER}(?:\.{_IDENTIFIER}|\[[0-9]{{1,9}}\])*")
# A comment in front, so that the caller does not choose the first bytes of a file of ours (the Rosetta Flash attack).
_START: Final = b"/**/"
_SCRIPT: Final = (b"Content-Type", b"application/javascript")
_NO_SNIFFING: Final = (b"X-Content-Type-Options", b"nosniff")
_COOKIE: Final = b"set-cookie"
_AS_HEADERS: Final = frozenset((b"cache-control", _COOKIE))
# Legal in JSON, but two of them ended a line in JavaScript before 2019, and the third ends an inline script. In JSON
# they can only stand in strings, so that a replacement in its bytes means the same.
_UNSAFE: Final = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"</", b"<\\/"))


class NotEncodable(Exception):
    """An answer cannot be a script: some of it is not UTF-8. Its client is to get a 500 with NOT_ENCODABLE."""


class Jsonp(msgspec.Struct, frozen=True, kw_only=True):
    """How one client wants its answers: as a call of `callback` (as `is_callback` has it)."""

    callback: str
    is_extended: bool = True
    """With status and headers beside the body; otherwise with the body alone."""

    def wrap(self, answer: Answer, *, is_held: bool = False) -> Answer:
        """Return the script that calls back with an answer: always a 200. `is_held`: it answers a held poll.

        `Cache-Control` and cookies stay headers: the latter are not for scripts to read. Raises NotEncodable.
        """
        argument = _extended(answer, is_held=is_held) if self.is_extended else _basic(answer.body)
        for unsafe, safe in _UNSAFE:
            argument = argument.replace(unsafe, safe)
        kept = tuple([pair for pair in answer.headers if pair[0].lower() in _AS_HEADERS])
        return Answer(
            status=200,
            reason=b"OK",
            headers=(_SCRIPT, _NO_SNIFFING, *kept),
            body=b"%b%b(%b);\n" % (_START, self.callback.encode(), argument),
        )


def is_callback(name: str) -> bool:
    """Say whether `name` may be called: a name, or names and numbers of places as in `a.b[0].c`."""
    return len(name) <= CALLBACK_LIMIT and _CALLBACK.fullmatch(name) is not None


def _extended(answer: Answer, *, is_held: bool) -> bytes:
    """Encode status, headers and body. The order of members and the spaces are Pushpin's, which differ for holds."""
    code = b"%d" % answer.status
    reason = _string(answer.reason)
    body = _string(answer.body)
    headers = msgspec.json.encode(_readable(answer.headers), order="sorted" if is_held else None)
    if is_held:
        return b'{"body":%b,"code":%b,"headers":%b,"reason":%b}' % (body, code, headers, reason)
    return b'{"code": %b, "reason": %b, "headers": %b, "body": %b}' % (code, reason, headers, body)


def _basic(body: bytes) -> bytes:
    """Return a body that is JSON as it stands, less one line end; any other as a string, for it is no JavaScript."""
    body = body[:-2] if body.endswith(b"\r\n") else body.removesuffix(b"\n")
    if not body:
        return body
    string = _string(body)
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return string
    return body


def _string(data: bytes) -> bytes:
    try:
        return msgspec.json.encode(data.decode())
    except UnicodeDecodeError as error:
        raise NotEncodable(f"{error.reason} at byte {error.start}") from error


def _readable(headers: Headers) -> Mapping[str, str]:
    """Return headers by name as first written, lines of one name joined as RFC 9110 section 5.3 allows.

    Values that are not UTF-8 are read as ISO-8859-1, as they were once said to be.
    """
    names: dict[bytes, bytes] = {}
    for name, _ in headers:
        names.setdefault(name.lower(), name)
    return {
        name.decode("latin-1"): _text(b", ".join(header_values(headers, plain)))
        for plain, name in names.items()
        if plain != _COOKIE
    }


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
