"""Tokens before 1.0, alone and beside those of 1.0 (reference 2.1, 2.4, 3, 6.2)."""

from __future__ import annotations

import pytest

from handlers.errors import Challenge
from handlers.hub.auth import Authority, Role, Shown
from handlers.hub.settings import Dialect, HubSettings, IssuerSettings
from handlers.protocol.mercure.grants import TokenDialect
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.target import target_topic
from tests.handlers.hub.signing import DETAIL_TYPE, OTHER_SECRET, SECRET, current_claims, details, token
from tests.handlers.hub.test_auth import MATCHING, checked, refused
from tests.support.clock import WALL_START, ManualClock

PUBLISHER, SUBSCRIBER = Role.PUBLISHER, Role.SUBSCRIBER
ISSUER = IssuerSettings(id="https://issuer.example", publisher_key=OTHER_SECRET, subscriber_key=OTHER_SECRET)
ALL = {"publish": ["*"], "subscribe": ["*"]}


def hub(*protocols: Dialect) -> Authority:
    return Authority(
        HubSettings(
            protocols=protocols,
            issuers=(ISSUER,) if "1.0" in protocols else (),
            publisher_key=SECRET,
            subscriber_key=SECRET,
        ),
        clock=ManualClock(),
        matching_check=MATCHING.check,
    )


BOTH, ONLY_8 = hub("1.0", "8"), hub("8")


@pytest.mark.parametrize("authority", [BOTH, ONLY_8], ids=["1.0 and 8", "8"])
@pytest.mark.parametrize("role", Role)
async def test_an_older_token_needs_a_signature_and_a_claim(authority: Authority, role: Role) -> None:
    found = await checked(token({"mercure": ALL | {"payload": 5}}), role, authority)

    assert found is not None
    assert (found.expires_at, found.grants.dialect) == (None, TokenDialect.LEGACY)
    assert found.grants.publish == (Matcher(MatcherKind.SELECTOR, "*"),)
    assert found.grants.subscribe[0].payload == 5


@pytest.mark.parametrize(
    ("claims", "key", "reason"),
    [
        ({"mercure": ALL, "exp": WALL_START}, SECRET, "it expired"),
        ({"mercure": ALL, "nbf": WALL_START + 1}, SECRET, "it is valid only in"),
        ({"mercure": ALL}, OTHER_SECRET, "its signature is wrong"),
        ({"mercure": []}, SECRET, "'mercure' is not an object"),
        ({"mercure": {"publish": "*"}}, SECRET, "'mercure.publish' is not an array"),
        ({"mercure": {"subscribe": ["*"]}}, SECRET, "its 'mercure' claim has no 'publish'"),
        ({"mercure": {"publish": None}}, SECRET, "its 'mercure' claim has no 'publish'"),
        ({}, SECRET, "its 'mercure' claim has no 'publish'"),
    ],
)
async def test_one_that_fails_a_check_is_invalid(claims: dict[str, object], key: str, reason: str) -> None:
    found = await refused(token(claims, key), hub=BOTH)

    assert (found.status, found.challenge) == (401, Challenge.INVALID_TOKEN)
    assert reason in found.reason


async def test_a_subscriber_needs_no_claim_at_all() -> None:
    found = await checked(token({"sub": "somebody"}), SUBSCRIBER, BOTH)

    assert found is not None
    assert found.grants.readable == ()


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(token({"mercure": ALL}, SECRET, typ="at+jwt"), id="type"),
        pytest.param(token({"mercure": ALL, "authorization_details": []}, SECRET), id="claim"),
        pytest.param(token(current_claims(mercure=ALL), SECRET, typ="at+jwt"), id="complete, with the older key"),
        pytest.param(token(current_claims(mercure=ALL, aud="x"), OTHER_SECRET, typ="at+jwt"), id="another audience"),
        pytest.param(token(current_claims(mercure=ALL, exp=WALL_START), OTHER_SECRET, typ="at+jwt"), id="expired"),
        pytest.param(token(current_claims(mercure=ALL), OTHER_SECRET), id="an issuer's key for an older token"),
        pytest.param(
            token(
                current_claims(mercure=ALL, authorization_details=[{"type": DETAIL_TYPE}]), OTHER_SECRET, typ="at+jwt"
            ),
            id="bad details",
        ),
    ],
)
async def test_a30_what_fails_as_a_token_of_1_0_is_not_tried_as_an_older_one(shown: str) -> None:
    found = await refused(shown, hub=BOTH)

    assert (found.status, found.text, found.challenge) == (401, "Unauthorized", Challenge.INVALID_TOKEN)


async def test_a30_an_access_token_has_only_the_grants_of_1_0() -> None:
    shown = token(
        current_claims(mercure=ALL, authorization_details=details("publish", topics=("a",))), OTHER_SECRET, typ="at+jwt"
    )
    found = await checked(shown, hub=BOTH)

    assert found is not None
    assert found.grants.publish == (Matcher(MatcherKind.EXACT, "a"),)
    assert found.grants.readable == ()


async def test_a18_a19_the_url_carries_a_token_after_the_header_and_before_the_cookie() -> None:
    first, second, third = (token({"sub": name, "mercure": ALL}) for name in ("first", "second", "third"))
    cookies = (f"mercureAuthorization={third}".encode(),)

    for authorization, query, name in (((first,), (second,), "first"), ((), (second,), "second"), ((), (), "third")):
        shown = Shown(
            method="GET",
            authorization=tuple(f"Bearer {value}".encode() for value in authorization),
            query_tokens=query,
            cookies=cookies,
        )
        found = await checked(shown, SUBSCRIBER, BOTH)
        assert found is not None
        assert found.name == name


async def test_a17_no_url_carries_a_token_where_8_is_not_spoken() -> None:
    shown = Shown(method="GET", query_tokens=(token({"mercure": ALL}),))

    assert await checked(shown, SUBSCRIBER, hub("1.0", "7")) is None


async def test_a25_roles_have_their_own_keys() -> None:
    settings = HubSettings(protocols=("8",), publisher_key=SECRET, subscriber_key=OTHER_SECRET)
    authority = Authority(settings, clock=ManualClock(), matching_check=MATCHING.check)
    publishers, subscribers = token({"mercure": ALL}, SECRET), token({"mercure": ALL}, OTHER_SECRET)

    assert await checked(publishers, PUBLISHER, authority) is not None
    assert await checked(subscribers, SUBSCRIBER, authority) is not None
    assert (await refused(publishers, SUBSCRIBER, authority)).status == 401
    assert (await refused(subscribers, PUBLISHER, authority)).status == 401


# -- hubs that speak 1.0 no more, or not yet ------------------------------------------------------------------------


async def test_there_a_bad_header_is_unauthorized() -> None:
    shown = Shown(method="GET", authorization=(b"Basic x",))

    assert (await refused(shown, hub=ONLY_8)).status == 401
    assert (await refused(shown, hub=BOTH)).status == 400


async def test_a02_there_the_scheme_is_written_in_one_way() -> None:
    shown = Shown(method="GET", authorization=(f"bearer {token({'mercure': ALL})}".encode(),))

    assert await checked(shown, SUBSCRIBER, BOTH) is not None
    assert (await refused(shown, SUBSCRIBER, ONLY_8)).status == 401


async def test_there_the_type_of_a_token_means_nothing() -> None:
    assert await checked(token({"mercure": ALL}, typ="at+jwt"), hub=ONLY_8) is not None


async def test_a29_in_2019_the_lists_are_targets() -> None:
    found = await checked(token({"mercure": {"publish": ["t"]}}), hub=hub("2019"))

    assert found is not None
    assert Matcher(MatcherKind.EXACT, target_topic("t")) in (found.grants.publish or ())
