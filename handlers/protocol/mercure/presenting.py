"""How a token is shown to the hub, and from which origins a cookie may publish (reference 1.9.1, 2.1, 6.2).

Called by `handlers.hub.auth` for each request. It finds the token and never looks into it. Whatever bytes a client
sends, the answer is a token, none, or a HubRefusal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import unquote_plus

from ada_url import URL

from handlers.errors import Challenge, HubRefusal
from handlers.protocol.fields import printable
from handlers.protocol.mercure.origin import OPAQUE, origin_matches

CURRENT_COOKIE: Final = "__Secure-mercure_access_token"
LEGACY_COOKIE: Final = "mercureAuthorization"
SHORTEST_TOKEN: Final = 41
"""Bytes of the shortest thing that can be a signed token. Less is a mistake of the one who shows it."""

TOKEN_PARAMETERS: Final = frozenset({"authorization", "access_token", "jwt"})
"""Parameters of URLs that hold tokens: the older dialects', RFC 6750's, and the playground's."""

_BLANKS: Final = b" \t"
_PARAMETER: Final = re.compile(r"([?&;])([^?&;=#]*)=[^?&;#]*")
_REST: Final = re.compile(r"=\.\.\.\?[^&;#]*")
_STATUSES: Final = {
    Challenge.NO_TOKEN: (401, "Unauthorized"),
    Challenge.INVALID_TOKEN: (401, "Unauthorized"),
    Challenge.INVALID_REQUEST: (400, "Bad Request"),
    Challenge.INSUFFICIENT_SCOPE: (403, "Forbidden"),
}


class TokenSource(Enum):
    """Where a token stood."""

    HEADER = "header"
    QUERY = "query"
    COOKIE = "cookie"


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A token as it was shown: any bytes."""

    value: bytes = field(repr=False)
    source: TokenSource


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentingRules:
    """What a hub accepts. `strict_legacy`: only dialects before 1.0 are spoken. `query`: a URL may carry a token."""

    cookie_names: tuple[str, ...] = (CURRENT_COOKIE,)
    strict_legacy: bool = False
    query: bool = False


def refusal(challenge: Challenge, reason: str) -> HubRefusal:
    """Return the refusal that belongs to `challenge` (reference 1.9.5)."""
    status, text = _STATUSES[challenge]
    return HubRefusal(status, text, challenge=challenge, reason=reason)


def find_token(
    *,
    authorization: tuple[bytes, ...],
    cookies: tuple[bytes, ...],
    query_tokens: tuple[str, ...],
    rules: PresentingRules,
) -> ShownToken | None:
    """Return the token of a request, None for none; raise HubRefusal where the way it is shown is wrong.

    All three are every value that came, in order. The header wins over the URL's `authorization`, and that over the
    cookie; what wins does so whole, however wrong it is.
    """
    if authorization:
        return ShownToken(_bearer(authorization, rules), TokenSource.HEADER)
    if rules.query and query_tokens and (token := _query_token(query_tokens, rules)) is not None:
        return ShownToken(token, TokenSource.QUERY)
    pairs = _parse_cookies(cookies)
    for name in rules.cookie_names:
        value = pairs.get(name.encode())
        if value is not None:
            return ShownToken(value, TokenSource.COOKIE)
    return None


def check_origin(origin: bytes | None, referer: bytes | None, publish_origins: tuple[str, ...]) -> None:
    """Return if a page of this origin may publish with a cookie; raise HubRefusal otherwise.

    What a pattern stands for, `null` among it, is said in `origin`; letter case does not count (reference 11, B9).
    """
    if origin is not None:
        source = _decode(origin)
    elif referer is not None:
        source = _origin_of(_decode(referer))
    else:
        raise refusal(Challenge.INVALID_REQUEST, "a cookie is to publish, and there is neither Origin nor Referer")
    if not any(origin_matches(pattern, source) for pattern in publish_origins):
        raise refusal(Challenge.INVALID_REQUEST, f"origin '{printable(source[:200])}' may not publish with a cookie")


def without_tokens(uri: str) -> str:
    """Return a URI as a log may show it: three dots stand in the place of tokens."""

    def shown(found: re.Match[str]) -> str:
        is_token = unquote_plus(found[2]).lower() in TOKEN_PARAMETERS
        return f"{found[1]}{found[2]}=..." if is_token else found[0]

    if "?" not in uri:
        return uri
    # A value ends at a question mark first, as it may be the one that the parameters begin with: `/p;x=?jwt=...`.
    return _REST.sub("=...", _PARAMETER.sub(shown, uri))


def _bearer(values: tuple[bytes, ...], rules: PresentingRules) -> bytes:
    fault = Challenge.INVALID_TOKEN if rules.strict_legacy else Challenge.INVALID_REQUEST
    if len(values) != 1:
        raise refusal(fault, f"there are {len(values)} Authorization headers, expected one")
    scheme, _, rest = values[0].partition(b" ")
    if scheme != b"Bearer" and (rules.strict_legacy or scheme.lower() != b"bearer"):
        raise refusal(fault, "the scheme of the Authorization header is not Bearer")
    # The older hubs count the whole value: seven bytes and the token.
    token = rest if rules.strict_legacy else rest.strip(_BLANKS)
    if len(token) < SHORTEST_TOKEN:
        raise refusal(fault, f"the token in the Authorization header has {len(token)} bytes, too few for a token")
    return token


def _query_token(tokens: tuple[str, ...], rules: PresentingRules) -> bytes | None:
    if len(tokens) == 1 and len(tokens[0]) >= SHORTEST_TOKEN:
        return tokens[0].encode("utf-8", "replace")
    if rules.strict_legacy:
        raise refusal(Challenge.INVALID_TOKEN, "the URL's authorization parameter is repeated, or too short")
    # 1.0's hub overlooks it where it speaks the older dialect beside its own.
    return None


def _parse_cookies(headers: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Return name and value of all cookies; of one that comes twice the first."""
    pairs: dict[bytes, bytes] = {}
    for header in headers:
        for pair in header.split(b";"):
            name, equals, value = pair.partition(b"=")
            if equals:
                pairs.setdefault(name.strip(_BLANKS), _unquote(value.strip(_BLANKS)))
    return pairs


def _unquote(value: bytes) -> bytes:
    if len(value) >= 2 and value[:1] == value[-1:] == b'"':
        return value[1:-1]
    return value


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _origin_of(referer: str) -> str:
    r"""Return the origin of a URL as a browser reads it: `https://a\.b/` is of the host `a`."""
    try:
        origin = URL(referer).origin
    except ValueError as error:
        raise refusal(Challenge.INVALID_REQUEST, "the Referer is not a URL") from error
    if origin == OPAQUE:
        raise refusal(Challenge.INVALID_REQUEST, "the Referer is a URL without an origin")
    return origin
