"""What tokens before 1.0 grant (reference 2.1, 2.4, 3)."""

from __future__ import annotations

import pytest

from handlers.protocol.mercure.claims import TokenError, parse_grants
from handlers.protocol.mercure.grants import Grants, SubscribeGrant, TokenDialect
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.target import target_topic
from tests.handlers.protocol.mercure.test_claims import check, exact, legacy, selector

LEGACY = TokenDialect.LEGACY


@pytest.mark.parametrize("claim", [None, {}, {"publish": None, "subscribe": None}, {"other": 5}])
def test_a_token_without_lists_grants_nothing_and_has_no_word_on_publishing(claim: object) -> None:
    assert legacy(claim) == Grants(dialect=LEGACY, publish=None)


def test_an_empty_list_is_not_the_same_as_none() -> None:
    assert legacy({"publish": []}).publish == ()


def test_strings_are_selectors_with_the_payload_of_the_token() -> None:
    grants = legacy({"publish": ["a", "*"], "subscribe": ["https://e.com/{id}", "*", ""], "payload": {"n": 1}})

    assert grants.publish == (selector("a"), selector("*"))
    assert grants.subscribe == (
        *(SubscribeGrant((selector(value),), {"n": 1}) for value in ("https://e.com/{id}", "*", "")),
        SubscribeGrant((), {"n": 1}),
    )


def test_the_payload_of_the_token_is_there_without_any_grant() -> None:
    assert legacy({"payload": 0}).subscribe == (SubscribeGrant((), 0),)


def test_objects_are_matchers_of_1_0_with_a_payload_of_their_own() -> None:
    entries = [
        {"match": "a", "payload": 5},
        {"match": "/:id", "match_type": "urlpattern"},
        {"match": "b", "payload": 0},
    ]
    grants = legacy({"publish": [{"match": "p"}, "q"], "subscribe": entries, "payload": "whole"})

    assert grants.publish == (exact("p"), selector("q"))
    assert grants.subscribe == (
        SubscribeGrant((exact("a"),), 5),
        SubscribeGrant((Matcher(MatcherKind.URLPATTERN, "/:id"),), "whole"),
        SubscribeGrant((exact("b"),), 0),
        SubscribeGrant((), "whole"),
    )


@pytest.mark.parametrize(
    ("namespaced", "publish"),
    [({"publish": ["n"]}, (selector("n"),)), ({}, None), (None, (selector("m"),))],
    ids=["wins", "wins empty", "null is none"],
)
def test_a20_the_namespaced_claim_stands_in_the_place_of_the_other(namespaced: object, publish: object) -> None:
    claims = {"mercure": {"publish": ["m"], "subscribe": ["m"]}, "https://mercure.rocks/": namespaced}

    assert parse_grants(claims, LEGACY, speaks_2019=False, check=check).publish == publish


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("x", "'mercure' is not an object"),
        ([], "'mercure' is not an object"),
        ({"publish": "*"}, "'mercure.publish' is not an array"),
        ({"publish": {}}, "'mercure.publish' is not an array"),
        ({"subscribe": [5]}, "'mercure.subscribe[0]' is not an object"),
        ({"subscribe": [None]}, "'mercure.subscribe[0]' is not an object"),
        ({"subscribe": ["a", {}]}, "'mercure.subscribe[1].match' is not a string, or empty"),
        ({"subscribe": [{"match": "a", "match_type": "foo"}]}, "unknown: 'foo'"),
        ({"publish": ["bad"]}, "'mercure.publish[0]' is not a matcher: invalid topic matcher pattern"),
        ({"publish": [target_topic("t")]}, "'mercure.publish[0]' holds a control character"),
        ({"publish": ["a"] * 1001}, "'mercure.publish' has 1001 entries, more than 1000"),
        ({"subscribe": ["a"] * 1001}, "'mercure.subscribe' has 1001 entries, more than 1000"),
    ],
)
def test_a_claim_that_cannot_be_read_rejects_the_token(claim: object, reason: str) -> None:
    with pytest.raises(TokenError) as caught:
        legacy(claim)

    assert reason in str(caught.value)


def test_a_thousand_entries_are_accepted() -> None:
    grants = legacy({"publish": ["a"] * 1000, "subscribe": ["a"] * 1000})

    assert (len(grants.publish or ()), len(grants.subscribe)) == (1000, 1000)


def test_a29_in_2019_a_string_is_also_the_target_of_that_name() -> None:
    grants = legacy({"publish": ["t"], "subscribe": ["u", "*"]}, speaks_2019=True)

    assert grants.publish == (selector("t"), exact(target_topic("t")))
    assert grants.subscribe == (
        SubscribeGrant((selector("u"), exact(target_topic("u")))),
        SubscribeGrant((selector("*"),)),
    )


def test_a29_targets_are_not_granted_to_tokens_of_1_0_or_by_objects() -> None:
    details = [
        {"type": "https://mercure.rocks/authorization-detail", "actions": ["publish"], "topics": [{"match": "t"}]}
    ]
    current = parse_grants({"authorization_details": details}, TokenDialect.CURRENT, speaks_2019=True, check=check)

    assert current.publish == (exact("t"),)
    assert legacy({"publish": [{"match": "t"}]}, speaks_2019=True).publish == (exact("t"),)
