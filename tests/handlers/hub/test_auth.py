"""Who may do what: tokens of 1.0, signed with real keys (reference 1.9; section 13.4)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import Challenge, HubRefusal
from handlers.hub.auth import Authority, Role, Shown
from handlers.hub.settings import HubSettings, IssuerSettings
from handlers.protocol.mercure.grants import Token, TokenDialect
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import Matching
from handlers.protocol.mercure.presenting import CURRENT_COOKIE
from tests.handlers.hub.signing import (
    OTHER_SECRET,
    RESOURCE,
    SECRET,
    current_claims,
    details,
    jwk,
    key_set,
    private_key,
    public_pem,
    token,
)
from tests.support.clock import WALL_START, ManualClock

PUBLISHER, SUBSCRIBER = Role.PUBLISHER, Role.SUBSCRIBER
MATCHING = Matching(RESOURCE, 100)

ISSUERS = (
    IssuerSettings(id="https://issuer.example", publisher_key=SECRET, subscriber_key=OTHER_SECRET),
    IssuerSettings(
        id="https://other.example",
        publisher_key=public_pem(private_key("RS256")),
        publisher_algorithm="RS256",
        subscriber_key=SECRET,
    ),
)


def authority(**settings: object) -> Authority:
    chosen: dict[str, object] = {"protocols": ("1.0",), "issuers": ISSUERS} | settings
    return Authority(
        HubSettings(**chosen),  # type: ignore[arg-type]
        clock=ManualClock(),
        matching_check=MATCHING.check,
    )


def bearer(value: str, method: str = "GET") -> Shown:
    return Shown(method=method, authorization=(f"Bearer {value}".encode(),))


def access_token(key: str = SECRET, **claims: object) -> str:
    return token(current_claims(**claims), key, typ="at+jwt")


async def checked(shown: Shown | str, role: Role = PUBLISHER, hub: Authority | None = None) -> Token | None:
    shown = bearer(shown) if isinstance(shown, str) else shown
    return await (hub or authority()).check(shown, role, resource=RESOURCE)


async def refused(shown: Shown | str, role: Role = PUBLISHER, hub: Authority | None = None) -> HubRefusal:
    with pytest.raises(HubRefusal) as caught:
        await checked(shown, role, hub)
    return caught.value


async def assert_invalid(shown: Shown | str, reason: str, role: Role = PUBLISHER, hub: Authority | None = None) -> None:
    found = await refused(shown, role, hub)
    assert (found.status, found.text, found.challenge) == (401, "Unauthorized", Challenge.INVALID_TOKEN)
    assert reason in found.reason


# -- what is accepted -----------------------------------------------------------------------------------------------


async def test_a_good_token_says_who_it_is_for_how_long_and_for_what() -> None:
    found = await checked(access_token(authorization_details=details("publish", topics=("a", "b"))))

    assert found is not None
    assert (found.name, found.expires_at) == ("me", WALL_START + 60)
    assert found.grants.dialect is TokenDialect.CURRENT
    assert found.grants.publish == (Matcher(MatcherKind.EXACT, "a"), Matcher(MatcherKind.EXACT, "b"))


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_a05_both_spellings_of_the_type_are_accepted(typ: str) -> None:
    assert await checked(token(current_claims(), typ=typ)) is not None


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"iat": WALL_START + 1000}, id="a10 future iat"),
        pytest.param({"aud": [RESOURCE, "x"]}, id="a08 audience among others"),
        pytest.param({"sub": None}, id="no sub"),
        pytest.param({"nbf": WALL_START}, id="begins now"),
        pytest.param({}, id="a24 no grants"),
    ],
)
async def test_what_the_issuer_is_free_to_say_is_accepted(claims: dict[str, object]) -> None:
    assert await checked(token(current_claims(**claims), typ="at+jwt")) is not None


async def test_a15_a_cookie_is_accepted_from_anywhere_but_where_it_publishes() -> None:
    for method in ("GET", "HEAD", "QUERY"):
        shown = Shown(method=method, cookies=(f"{CURRENT_COOKIE}={access_token(OTHER_SECRET)}".encode(),))
        assert await checked(shown, SUBSCRIBER) is not None


@pytest.mark.parametrize(
    ("origin", "referer", "status"),
    [
        (None, None, 400),
        (b"https://evil.example", None, 400),
        (b"null", None, 400),
        (b"https://app.example", None, 200),
        (b"https://APP.example", None, 200),
        (None, b"https://app.example/page", 200),
        (None, b"http://[::1", 400),
        (b"https://a.b.wild.example", None, 200),
    ],
)
async def test_a16_a_cookie_publishes_from_listed_origins(
    origin: bytes | None, referer: bytes | None, status: int
) -> None:
    hub = authority(publish_origins=("https://app.example", "https://*.wild.example"))
    cookie = f"{CURRENT_COOKIE}={access_token()}".encode()
    shown = Shown(method="POST", cookies=(cookie,), origin=origin, referer=referer)

    if status == 200:
        assert await checked(shown, hub=hub) is not None
    else:
        found = await refused(shown, hub=hub)
        assert (found.status, found.text, found.challenge) == (400, "Bad Request", Challenge.INVALID_REQUEST)


async def test_a_header_publishes_from_anywhere() -> None:
    assert await checked(bearer(access_token(), "POST")) is not None


async def test_p15_who_shows_no_token_has_none() -> None:
    assert await checked(Shown(method="POST", cookies=(b"a=b",))) is None


async def test_a13_where_a_role_has_no_key_tokens_are_not_looked_at() -> None:
    hub = authority(issuers=(IssuerSettings(id="a", publisher_key=SECRET),))

    assert not hub.has_keys(SUBSCRIBER)
    assert await checked(Shown(method="GET", authorization=(b"garbage", b"twice")), SUBSCRIBER, hub) is None


async def test_a17_a_token_in_the_url_is_not_looked_at() -> None:
    assert await checked(Shown(method="GET", query_tokens=(access_token(),))) is None


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        pytest.param(token(current_claims()), "'typ' is 'JWT'", id="a04 typ JWT"),
        pytest.param(token(current_claims(), typ=None), "'typ' is missing", id="a04 no typ"),
        pytest.param(access_token(OTHER_SECRET), "its signature is wrong", id="a25 the other role's key"),
        pytest.param(access_token("a third secret"), "its signature is wrong", id="an unknown key"),
        pytest.param(access_token(iss=None), "it has no 'iss'", id="a07 no issuer"),
        pytest.param(access_token(iss=5), "it has no 'iss'", id="a07 an issuer that is none"),
        pytest.param(access_token(iss="x"), "its 'iss', 'x', has no key", id="a07 unknown issuer"),
        pytest.param(access_token(iss="https://other.example"), "no key goes with", id="a07 another issuer's key"),
        pytest.param(access_token(aud="x"), "its 'aud' is 'x'", id="a08 another audience"),
        pytest.param(access_token(aud=None), "its 'aud' is missing", id="a08 no audience"),
        pytest.param(access_token(exp=None), "it has no 'exp'", id="a09 no exp"),
        pytest.param(access_token(exp=WALL_START), "it expired 0 seconds ago", id="a09 past exp"),
        pytest.param(access_token(nbf=WALL_START + 1), "it is valid only in 1", id="a09 future nbf"),
        pytest.param(access_token(authorization_details={}), "is not an array", id="a11 details"),
        pytest.param("t" * 41, "it is not a signed token", id="garbage"),
        pytest.param(access_token(sub="x" * 20_000), "more than 16384", id="too long"),
    ],
)
async def test_a_token_that_fails_a_check_is_invalid(shown: str, reason: str) -> None:
    await assert_invalid(shown, reason)


def unsigned(algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "at+jwt"}, current_claims())
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.mark.parametrize("algorithm", ["none", "None", ""])
async def test_a06_a_token_without_a_signature_is_invalid(algorithm: str) -> None:
    await assert_invalid(unsigned(algorithm), "")


async def test_a06_a_public_key_is_no_secret() -> None:
    # pyjwt refuses to sign like this, so the signature is made by hand: HMAC with the text of the public key.
    head = unsigned("HS256").rstrip(".")
    claims = current_claims(iss="https://other.example")
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    signed = f"{head.partition('.')[0]}.{middle}"
    pem = public_pem(private_key("RS256")).encode()
    signature = base64.urlsafe_b64encode(hmac.new(pem, signed.encode(), hashlib.sha256).digest()).decode().rstrip("=")

    await assert_invalid(f"{signed}.{signature}", "no key goes with its 'alg'")


async def test_a_key_that_the_token_brings_along_is_not_looked_at() -> None:
    mine = private_key("RS256", 1)
    header = {"typ": "at+jwt", "jwk": {"kty": "oct", "k": "eA"}, "jku": "https://evil.example/", "x5u": "https://e/"}
    shown = token(current_claims(iss="https://other.example"), mine, "RS256", **header)

    await assert_invalid(shown, "its signature is wrong")


async def test_a07_keys_of_issuers_are_not_pooled() -> None:
    theirs = token(current_claims(iss="https://other.example"), private_key("RS256"), "RS256", typ="at+jwt")
    claimed = token(current_claims(), private_key("RS256"), "RS256", typ="at+jwt")

    assert await checked(theirs) is not None
    await assert_invalid(claimed, "no key goes with its 'alg'")


async def test_a25_keys_of_roles_are_not_pooled() -> None:
    assert await checked(access_token(SECRET), PUBLISHER) is not None
    assert await checked(access_token(OTHER_SECRET), SUBSCRIBER) is not None
    await assert_invalid(access_token(SECRET), "its signature is wrong", SUBSCRIBER)


async def test_a12_an_anonymous_hub_refuses_an_invalid_token() -> None:
    await assert_invalid(access_token("x"), "signature", SUBSCRIBER, authority(anonymous=True))


async def test_a14_a_bad_header_is_refused_whatever_the_cookie() -> None:
    cookies = (f"{CURRENT_COOKIE}={access_token()}".encode(),)
    wrong = f"Bearer {access_token('x')}".encode()

    await assert_invalid(Shown(method="GET", authorization=(wrong,), cookies=cookies), "signature")


async def test_a09_time_goes_by() -> None:
    clock = ManualClock()
    hub = Authority(HubSettings(protocols=("1.0",), issuers=ISSUERS), clock=clock, matching_check=MATCHING.check)
    shown = access_token()
    clock.advance(59.9)
    assert await checked(shown, hub=hub) is not None
    clock.advance(0.1)
    await assert_invalid(shown, "it expired", hub=hub)


async def test_a_key_set_that_cannot_be_had_is_the_hubs_fault() -> None:
    hub = authority(issuers=(IssuerSettings(id="https://issuer.example", publisher_jwks="http://127.0.0.1:1/"),))
    found = await refused(token(current_claims(), private_key("ES256"), "ES256", typ="at+jwt"), hub=hub)
    await hub.close()

    assert (found.status, found.text, found.challenge) == (503, "Service Unavailable", None)


HUB = authority(protocols=("1.0", "8"), publisher_key=SECRET)
HEADERS = st.binary(min_size=41).map(b"Bearer ".__add__) | st.binary()


@given(authorization=st.lists(HEADERS, max_size=2), cookie=st.binary(), query=st.text(), role=st.sampled_from(Role))
async def test_any_bytes_are_a_token_none_or_a_refusal(
    authorization: list[bytes], cookie: bytes, query: str, role: Role
) -> None:
    cookies = (cookie, b"mercureAuthorization=" + cookie)
    shown = Shown(method="POST", authorization=tuple(authorization), cookies=cookies, query_tokens=(query,))

    with contextlib.suppress(HubRefusal):
        assert await HUB.check(shown, role, resource=RESOURCE) is None


# -- tokens that come again -----------------------------------------------------------------------------------------


async def test_a09_a_token_that_was_good_is_not_when_its_time_has_not_come_back() -> None:
    clock = ManualClock()
    hub = Authority(HubSettings(protocols=("1.0",), issuers=ISSUERS), clock=clock, matching_check=MATCHING.check)
    shown = bearer(access_token())
    first = await checked(shown, hub=hub)
    assert await checked(shown, hub=hub) is first, "verified once"
    clock.advance(60)
    await assert_invalid(shown, "it expired", hub=hub)


async def test_a08_a_token_that_was_good_here_is_not_at_another_resource() -> None:
    hub, shown = authority(), bearer(access_token())
    assert await checked(shown, hub=hub) is not None
    with pytest.raises(HubRefusal) as caught:
        await hub.check(shown, PUBLISHER, resource="https://another.example/.well-known/mercure")
    assert "its 'aud' is" in caught.value.reason


async def test_a25_a_token_that_was_good_for_one_role_is_not_for_the_other() -> None:
    hub, shown = authority(), bearer(access_token(SECRET))
    assert await checked(shown, PUBLISHER, hub) is not None
    await assert_invalid(shown, "its signature is wrong", SUBSCRIBER, hub)


async def test_a_token_that_was_good_in_the_header_is_still_told_from_a_cookie() -> None:
    hub, value = authority(), access_token()
    cookie = Shown(method="GET", cookies=(f"{CURRENT_COOKIE}={value}".encode(),))
    found = [await checked(shown, hub=hub) for shown in (bearer(value), cookie, bearer(value))]
    assert [each.is_cookie for each in found if each is not None] == [False, True, False]


async def test_a_changed_byte_of_a_token_that_was_good_is_seen() -> None:
    hub, value = authority(), access_token()
    assert await checked(value, hub=hub) is not None
    head, claims, signature = value.split(".")
    other = "B" if signature[0] == "A" else "A"
    await assert_invalid(f"{head}.{claims}.{other}{signature[1:]}", "its signature is wrong", hub=hub)


async def test_a28_a_token_that_was_good_is_not_once_its_key_is_withdrawn(tmp_path: Path) -> None:
    first, second = private_key("ES256"), private_key("ES256", 1)
    keys = tmp_path / "keys.json"
    keys.write_bytes(key_set(jwk(first, "ES256", kid="one")))
    hub = authority(issuers=(IssuerSettings(id="https://issuer.example", publisher_jwks=keys.as_uri()),))
    shown = bearer(token(current_claims(), first, "ES256", typ="at+jwt", kid="one"))
    assert await checked(shown, hub=hub) is await checked(shown, hub=hub) is not None
    keys.write_bytes(key_set(jwk(second, "ES256", kid="two"), jwk(first, "ES256", kid="one")))
    assert await checked(shown, hub=hub) is not None, "read anew, and still there"
    keys.write_bytes(key_set(jwk(second, "ES256", kid="two"), jwk(second, "ES256", kid="three")))
    await assert_invalid(shown, "its signature is wrong", hub=hub)
    await hub.close()
