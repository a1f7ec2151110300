"""What watchers and the API are told of subscriptions, in both dialects (reference 1.12, 2.1, 2.4)."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.mercure.grants import Grants, SubscribeGrant, TokenDialect
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.subscription import (
    encode_collection,
    encode_presence,
    encode_subscription,
    payload_for,
    presence_update,
    subscription_topics,
)
from handlers.protocol.mercure.update import ActiveSubscription, Presence, Update
from handlers.protocol.names import EventId, SubscriberId, Topic

HUB = "/.well-known/mercure"
SUBSCRIBER = SubscriberId("urn:uuid:bb3de268")
ESCAPED = "urn%3Auuid%3Abb3de268"
EXACT, URLPATTERN, SELECTOR = MatcherKind.EXACT, MatcherKind.URLPATTERN, MatcherKind.SELECTOR


def subscription(kind: MatcherKind, value: str, payload: object = None) -> ActiveSubscription:
    return ActiveSubscription(subscriber=SUBSCRIBER, matcher=Matcher(kind, value), payload=payload)


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "current", "legacy"),
    [
        (EXACT, "a", "exact/a", "a"),
        (EXACT, "a b+c/d", "exact/a%20b%2Bc%2Fd", "a%20b%2Bc%2Fd"),
        (EXACT, "-._~", "exact/-._~", "-._~"),
        (EXACT, "é%2F", "exact/%C3%A9%252F", "%C3%A9%252F"),
        (EXACT, "", "exact/", ""),
        (
            URLPATTERN,
            "https://e.com/:id",
            "urlpattern/https%3A%2F%2Fe.com%2F%3Aid",
            "https%3A%2F%2Fe.com%2F%3Aid",
        ),
        (SELECTOR, "*", "selector/%2A", "%2A"),
        (SELECTOR, "/b/{id}", "selector/%2Fb%2F%7Bid%7D", "%2Fb%2F%7Bid%7D"),
    ],
)
def test_l05_a_subscription_has_an_escaped_name_in_either_dialect(
    kind: MatcherKind, value: str, current: str, legacy: str
) -> None:
    assert subscription_topics(HUB, subscription(kind, value)) == (
        f"{HUB}/subscriptions/{current}/{ESCAPED}",
        f"{HUB}/subscriptions/{legacy}/{ESCAPED}",
    )


def test_names_begin_with_the_hubs_path() -> None:
    current, legacy = subscription_topics("/hub", subscription(EXACT, "a"))
    assert current == f"/hub/subscriptions/exact/a/{ESCAPED}"
    assert legacy == f"/hub/subscriptions/a/{ESCAPED}"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(MatcherKind))
def test_l05_names_hold_as_many_segments_as_they_have_parts(value: str, kind: MatcherKind) -> None:
    current, legacy = subscription_topics(HUB, subscription(kind, value))
    assert (current.count("/") - HUB.count("/"), legacy.count("/") - HUB.count("/")) == (4, 3)
    assert set(current + legacy) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%/")


# -- events ---------------------------------------------------------------------------------------------------------


def told(of: ActiveSubscription, *, active: bool = True, legacy: bool = False) -> Update:
    return encode_presence(HUB, presence_update(HUB, Presence(subscription=of, active=active)), legacy=legacy)


def test_an_update_that_tells_of_a_subscription_is_private_and_has_both_names() -> None:
    presence = Presence(subscription=subscription(EXACT, "a"), active=True)
    topics = Topic(f"{HUB}/subscriptions/exact/a/{ESCAPED}"), Topic(f"{HUB}/subscriptions/a/{ESCAPED}")
    assert presence_update(HUB, presence) == Update(topics=topics, id=EventId(""), private=True, presence=presence)


@pytest.mark.parametrize(
    ("of", "active", "data"),
    [
        pytest.param(
            subscription(EXACT, 'a "é"'),
            True,
            """\
            {
              "id": "/.well-known/mercure/subscriptions/exact/a%20%22%C3%A9%22/urn%3Auuid%3Abb3de268",
              "type": "subscription",
              "subscriber": "urn:uuid:bb3de268",
              "match": "a \\"é\\"",
              "match_type": "exact",
              "active": true
            }""",
            id="exact",
        ),
        pytest.param(
            subscription(URLPATTERN, "/:id", {"user": ["é", 1], "empty": {}}),
            False,
            """\
            {
              "id": "/.well-known/mercure/subscriptions/urlpattern/%2F%3Aid/urn%3Auuid%3Abb3de268",
              "type": "subscription",
              "subscriber": "urn:uuid:bb3de268",
              "match": "/:id",
              "match_type": "urlpattern",
              "active": false,
              "payload": {
                "user": [
                  "é",
                  1
                ],
                "empty": {}
              }
            }""",
            id="pattern, gone, with a payload",
        ),
        pytest.param(
            subscription(SELECTOR, "/{id}", ""),
            True,
            """\
            {
              "id": "/.well-known/mercure/subscriptions/selector/%2F%7Bid%7D/urn%3Auuid%3Abb3de268",
              "type": "subscription",
              "subscriber": "urn:uuid:bb3de268",
              "topic": "/{id}",
              "active": true,
              "payload": ""
            }""",
            id="made with topic",
        ),
    ],
)
def test_l04_current_watchers_are_told_in_indented_json(of: ActiveSubscription, active: bool, data: str) -> None:
    update = told(of, active=active)
    assert update.data == dedent(data)
    assert update.type == "mercure"


@pytest.mark.parametrize("kind", MatcherKind)
def test_l19_older_watchers_are_told_of_every_subscription_in_their_own_shape(kind: MatcherKind) -> None:
    update = told(subscription(kind, "a b", {"n": 1}), active=False, legacy=True)
    assert update.type == ""
    assert update.data == dedent(
        """\
        {
          "@context": "https://mercure.rocks/",
          "id": "/.well-known/mercure/subscriptions/a%20b/urn%3Auuid%3Abb3de268",
          "type": "Subscription",
          "subscriber": "urn:uuid:bb3de268",
          "topic": "a b",
          "active": false,
          "payload": {
            "n": 1
          }
        }"""
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_all_else_of_an_update_stays(legacy: bool) -> None:
    presence = Presence(subscription=subscription(EXACT, "a"), active=True)
    update = Update(topics=(Topic("a"), Topic("b")), id=EventId("x"), private=True, presence=presence)
    seen = encode_presence(HUB, update, legacy=legacy)
    assert (seen.topics, seen.id, seen.private, seen.presence) == (update.topics, "x", True, presence)


def test_an_update_that_tells_of_no_subscription_is_returned_as_it_is() -> None:
    update = Update(topics=(Topic("a"),), id=EventId("x"), data="d", type="t")
    assert encode_presence(HUB, update, legacy=False) is update


@pytest.mark.parametrize("payload", ["\ud800", {"\udfff": 1}, [2**70], ["\u2028"], 1.5, False])
def test_any_payload_that_json_can_spell_can_be_told(payload: object) -> None:
    data = told(subscription(EXACT, "a", payload)).data
    assert json.loads(data.encode())["payload"] == payload


# -- payloads -------------------------------------------------------------------------------------------------------

A, B, STAR = Matcher(EXACT, "a"), Matcher(EXACT, "b"), Matcher(EXACT, "*")


def equals(matcher: Matcher, topic: Topic) -> bool:
    return matcher.is_wildcard or matcher.value == topic


def grants(*subscribe: SubscribeGrant, dialect: TokenDialect = TokenDialect.CURRENT) -> Grants:
    return Grants(dialect=dialect, subscribe=subscribe)


@pytest.mark.parametrize(
    ("subscribe", "payload"),
    [
        pytest.param((), None, id="anonymous"),
        pytest.param((SubscribeGrant((B,), 1),), None, id="another topic"),
        pytest.param((SubscribeGrant((B,), 1), SubscribeGrant((B, A), 2)), 2, id="any matcher of a grant"),
        pytest.param((SubscribeGrant((A,), 1), SubscribeGrant((A,), 2)), 1, id="the first"),
        pytest.param((SubscribeGrant((A,)), SubscribeGrant((A,), 2)), None, id="the first, though it has none"),
        pytest.param((SubscribeGrant((STAR,), 1), SubscribeGrant((A,), 2)), 1, id="a default before"),
        pytest.param((SubscribeGrant((A,), 2), SubscribeGrant((STAR,), 1)), 2, id="a default behind"),
        pytest.param((SubscribeGrant((B,), 2), SubscribeGrant((STAR,), 1)), 1, id="a default for the rest"),
        pytest.param((SubscribeGrant((), 1),), None, id="no matchers"),
    ],
)
def test_l06_a_payload_is_that_of_the_first_grant_that_matches(
    subscribe: tuple[SubscribeGrant, ...], payload: object
) -> None:
    assert payload_for(A, grants(*subscribe), equals) == payload


@pytest.mark.parametrize(
    ("subscribe", "payload"),
    [
        pytest.param((SubscribeGrant((B,)), SubscribeGrant((), 1)), 1, id="of the token"),
        pytest.param((SubscribeGrant((), 1), SubscribeGrant((A,), 2)), 2, id="of the token and of a grant"),
        pytest.param((SubscribeGrant((B,), 1),), None, id="of another grant"),
    ],
)
def test_l06_an_older_tokens_payload_is_shown_with_every_subscription(
    subscribe: tuple[SubscribeGrant, ...], payload: object
) -> None:
    assert payload_for(A, grants(*subscribe, dialect=TokenDialect.LEGACY), equals) == payload


# -- the API's documents --------------------------------------------------------------------------------------------

TWO = (subscription(EXACT, "a", {"n": 1}), subscription(SELECTOR, "b"))


def test_l07_a_collection_repeats_the_path_that_was_asked_for() -> None:
    path = "/.well-known/mercure/subscriptions/exact/%61"
    body = encode_collection(HUB, TWO, path=path, last_event_id=EventId("x"), legacy=False)
    assert body.decode() == dedent(
        """\
        {
          "id": "/.well-known/mercure/subscriptions/exact/%61",
          "type": "subscriptions",
          "subscriptions": [
            {
              "id": "/.well-known/mercure/subscriptions/exact/a/urn%3Auuid%3Abb3de268",
              "type": "subscription",
              "subscriber": "urn:uuid:bb3de268",
              "match": "a",
              "match_type": "exact",
              "active": true,
              "payload": {
                "n": 1
              }
            },
            {
              "id": "/.well-known/mercure/subscriptions/selector/b/urn%3Auuid%3Abb3de268",
              "type": "subscription",
              "subscriber": "urn:uuid:bb3de268",
              "topic": "b",
              "active": true
            }
          ]
        }"""
    )


def test_l07_an_empty_collection_has_its_list() -> None:
    body = encode_collection(HUB, (), path="/p", last_event_id=EventId("x"), legacy=False)
    assert body == b'{\n  "id": "/p",\n  "type": "subscriptions",\n  "subscriptions": []\n}'


def test_l15_an_older_collection_is_json_ld_with_the_cursor_within() -> None:
    path = "/.well-known/mercure/subscriptions"
    body = encode_collection(HUB, TWO[:1], path=path, last_event_id=EventId("é x"), legacy=True)
    assert body.decode() == dedent(
        """\
        {
          "@context": "https://mercure.rocks/",
          "id": "/.well-known/mercure/subscriptions",
          "type": "Subscriptions",
          "lastEventID": "é x",
          "subscriptions": [
            {
              "id": "/.well-known/mercure/subscriptions/a/urn%3Auuid%3Abb3de268",
              "type": "Subscription",
              "subscriber": "urn:uuid:bb3de268",
              "topic": "a",
              "active": true,
              "payload": {
                "n": 1
              }
            }
          ]
        }"""
    )


@pytest.mark.parametrize("of", TWO)
def test_l07_one_subscription_is_what_its_event_said(of: ActiveSubscription) -> None:
    body = encode_subscription(HUB, of, last_event_id=EventId("x"), legacy=False)
    assert body.decode() == told(of).data


def test_l15_one_older_subscription_tells_the_cursor_too() -> None:
    body = encode_subscription(HUB, TWO[0], last_event_id=EventId("earliest"), legacy=True)
    event = json.loads(told(TWO[0], legacy=True).data)
    assert json.loads(body) == event | {"lastEventID": "earliest"}
    assert list(json.loads(body)) == [*list(event)[:-1], "lastEventID", "payload"]
