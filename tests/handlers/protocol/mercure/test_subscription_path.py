"""What the subscription API's paths ask for (reference 1.12, 2.1, 6.2 point 10)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import HubRefusal
from handlers.hub.settings import Dialect, HubSettings
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.subscription import subscription_topics
from handlers.protocol.mercure.subscription_path import SubscriptionQuery, parse_subscriptions_path, prefers_legacy
from handlers.protocol.mercure.update import ActiveSubscription
from handlers.protocol.names import SubscriberId

BOTH = HubSettings(protocols=("1.0", "8"))
STRICT = HubSettings(protocols=("1.0",))
OLD = HubSettings(protocols=("8",))
EXACT, URLPATTERN, SELECTOR = MatcherKind.EXACT, MatcherKind.URLPATTERN, MatcherKind.SELECTOR
WHO = "urn:uuid:1"


def current(
    kind: MatcherKind | None = None, value: str | None = None, subscriber: str | None = None
) -> SubscriptionQuery:
    return SubscriptionQuery(legacy=False, kind=kind, value=value, subscriber=subscriber)


def older(value: str | None = None, subscriber: str | None = None) -> SubscriptionQuery:
    return SubscriptionQuery(legacy=True, value=value, subscriber=subscriber)


@pytest.mark.parametrize("settings", [BOTH, STRICT], ids=["both", "strict"])
@pytest.mark.parametrize(
    ("rest", "query"),
    [
        (b"/subscriptions", current()),
        (b"/subscriptions/exact/a", current(EXACT, "a")),
        (b"/subscriptions/urlpattern/%2F%3Aid", current(URLPATTERN, "/:id")),
        (b"/subscriptions/%65xact/a", current(EXACT, "a")),
        (b"/subscriptions/exact/", current(EXACT, "")),
        (b"/subscriptions/exact/a+b%2Bc%20d", current(EXACT, "a+b+c d")),
        (b"/subscriptions/exact/%C3%A9", current(EXACT, "é")),
        (b"/subscriptions/exact/%FF", current(EXACT, "\udcff")),
        # A topic that looks like a subscriber.
        (b"/subscriptions/exact/urn%3Auuid%3A1", current(EXACT, WHO)),
        (b"/subscriptions/exact/a/urn%3Auuid%3A1", current(EXACT, "a", WHO)),
        (b"/subscriptions/exact/a/urn:uuid:1", current(EXACT, "a", WHO)),
        (b"/subscriptions/exact/a/x", current(EXACT, "a", "x")),
    ],
)
def test_l07_a_path_says_which_subscriptions(settings: HubSettings, rest: bytes, query: SubscriptionQuery) -> None:
    assert parse_subscriptions_path(rest, settings=settings, prefers_legacy=False) == query


@pytest.mark.parametrize("preferred", [False, True])
@pytest.mark.parametrize(
    ("rest", "query"),
    [
        (b"/subscriptions/a%20b+c", older("a b+c")),
        (b"/subscriptions/exact", older("exact")),
        (b"/subscriptions/a/urn%3Auuid%3A1", older("a", WHO)),
        (b"/subscriptions/exact/foo", current(EXACT, "foo")),
        (b"/subscriptions/selector/a", current(SELECTOR, "a")),
        (b"/subscriptions/selector/a/urn%3Auuid%3A1", current(SELECTOR, "a", WHO)),
    ],
)
def test_l15_with_both_dialects_the_path_tells_which(preferred: bool, rest: bytes, query: SubscriptionQuery) -> None:
    assert parse_subscriptions_path(rest, settings=BOTH, prefers_legacy=preferred) == query


@pytest.mark.parametrize(
    ("rest", "if_current", "if_older"),
    [
        (b"/subscriptions", current(), older()),
        (b"/subscriptions/exact/urn%3Auuid%3A1", current(EXACT, WHO), older("exact", WHO)),
    ],
)
def test_l15_where_the_path_does_not_tell_the_client_does(
    rest: bytes, if_current: SubscriptionQuery, if_older: SubscriptionQuery
) -> None:
    assert parse_subscriptions_path(rest, settings=BOTH, prefers_legacy=False) == if_current
    assert parse_subscriptions_path(rest, settings=BOTH, prefers_legacy=True) == if_older


@pytest.mark.parametrize(
    ("rest", "query"),
    [
        (b"/subscriptions", older()),
        (b"/subscriptions/exact", older("exact")),
        (b"/subscriptions/exact/urn%3Auuid%3A1", older("exact", WHO)),
    ],
)
def test_l15_a_hub_of_the_older_dialect_knows_no_other(rest: bytes, query: SubscriptionQuery) -> None:
    assert parse_subscriptions_path(rest, settings=OLD, prefers_legacy=False) == query


def test_a_strict_hub_does_not_ask_what_the_client_prefers() -> None:
    assert parse_subscriptions_path(b"/subscriptions", settings=STRICT, prefers_legacy=True) == current()


@pytest.mark.parametrize(
    ("protocols", "rest", "status", "text"),
    [
        pytest.param(("1.0",), b"/subscriptions/a", 404, "404 page not found", id="l07-one segment"),
        pytest.param(("1.0",), b"/subscriptions/foo/a", 400, "unsupported topic matcher type", id="l12-two"),
        pytest.param(("1.0",), b"/subscriptions/foo/a/b", 400, "unsupported topic matcher type", id="l12-three"),
        pytest.param(("1.0",), b"/subscriptions/Exact/a", 400, "unsupported topic matcher type", id="l12-case"),
        pytest.param(("1.0",), b"/subscriptions/selector/a", 400, "unsupported topic matcher type", id="l12-older"),
        pytest.param(
            ("1.0",), b"/subscriptions/a/urn:uuid:1", 400, "unsupported topic matcher type", id="l12-older path"
        ),
        pytest.param(("1.0", "8"), b"/subscriptions/foo/a", 400, "unsupported topic matcher type", id="l12-both"),
        pytest.param(("1.0", "8"), b"/subscriptions/foo/a/b", 400, "unsupported topic matcher type", id="l12-both, 3"),
        pytest.param(("1.0", "8"), b"/subscriptions/", 404, "404 page not found", id="trailing slash"),
        pytest.param(("1.0", "8"), b"/subscriptions/exact/a/", 404, "404 page not found", id="no subscriber"),
        pytest.param(("1.0", "8"), b"/subscriptions/exact/a/b/c", 404, "404 page not found", id="four segments"),
        pytest.param(("1.0", "8"), b"/subscriptionsx", 404, "404 page not found", id="another path"),
        pytest.param(("1.0", "8"), b"", 404, "404 page not found", id="no path"),
        pytest.param(("8",), b"/subscriptions/exact/a", 404, "404 page not found", id="older hub, no subscriber"),
        pytest.param(("8",), b"/subscriptions/exact/a/urn:uuid:1", 404, "404 page not found", id="older hub, three"),
        pytest.param(("1.0", "8"), b"/subscriptions/exact/%zz", 400, "Bad Request", id="bad escape"),
        pytest.param(("1.0", "8"), b"/subscriptions/exact/%4", 400, "Bad Request", id="half an escape"),
    ],
)
def test_what_no_path_is_is_refused(protocols: tuple[Dialect, ...], rest: bytes, status: int, text: str) -> None:
    with pytest.raises(HubRefusal) as caught:
        parse_subscriptions_path(rest, settings=HubSettings(protocols=protocols), prefers_legacy=False)
    assert (caught.value.status, caught.value.text) == (status, text)


@pytest.mark.parametrize(
    ("accept", "has_legacy_token", "preferred"),
    [
        (b"", False, False),
        (b"*/*", False, False),
        (b"application/json", False, False),
        (b"application/ld+json", False, True),
        (b"text/html, Application/LD+JSON;q=0.9", False, True),
        (b"application/json", True, True),
    ],
)
def test_an_older_client_is_known_by_what_it_accepts_or_by_its_token(
    accept: bytes, has_legacy_token: bool, preferred: bool
) -> None:
    assert prefers_legacy(accept, has_legacy_token=has_legacy_token) is preferred


SUBSCRIPTIONS = st.builds(
    ActiveSubscription,
    subscriber=st.uuids().map(lambda each: SubscriberId(f"urn:uuid:{each}")),
    matcher=st.builds(Matcher, st.sampled_from(MatcherKind), st.text(st.characters(exclude_categories=["Cs"]))),
)


@given(SUBSCRIPTIONS, SUBSCRIPTIONS)
def test_the_path_of_a_subscription_selects_it_and_no_other(one: ActiveSubscription, other: ActiveSubscription) -> None:
    for topic, is_older in zip(subscription_topics("", one), (False, True), strict=True):
        query = parse_subscriptions_path(topic.encode(), settings=BOTH, prefers_legacy=is_older)
        assert (query.legacy, query.is_single) == (is_older, True)
        assert query.selects(one)
        is_same = (other.subscriber, other.matcher.value) == (one.subscriber, one.matcher.value)
        assert query.selects(other) is (is_same and (is_older or other.matcher == one.matcher))


@pytest.mark.parametrize(
    ("query", "selected"),
    [
        (current(), ["exact a", "pattern a", "selector a", "exact b"]),
        (current(EXACT, "a"), ["exact a"]),
        (current(EXACT, "c"), []),
        (older("a"), ["exact a", "pattern a", "selector a"]),
        (older("a", "urn:uuid:pattern a"), ["pattern a"]),
        (current(EXACT, "a", "urn:uuid:pattern a"), []),
    ],
)
def test_older_paths_select_by_value_whatever_the_matchers_kind(query: SubscriptionQuery, selected: list[str]) -> None:
    there = {
        "exact a": Matcher(EXACT, "a"),
        "pattern a": Matcher(URLPATTERN, "a"),
        "selector a": Matcher(SELECTOR, "a"),
        "exact b": Matcher(EXACT, "b"),
    }
    subscriptions = {
        name: ActiveSubscription(subscriber=SubscriberId(f"urn:uuid:{name}"), matcher=matcher)
        for name, matcher in there.items()
    }
    assert [name for name, each in subscriptions.items() if query.selects(each)] == selected
