"""What is chosen from the history for one subscriber: the very same that the audience would have given it live."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from handlers.engines.engine import Wanted
from handlers.hub.frames import Frames
from handlers.hub.sieve import MOST_WANTED, Sieve
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import Matching
from handlers.protocol.mercure.target import target_topic
from handlers.protocol.mercure.update import Update
from handlers.protocol.mercure.url_pattern import MatcherError
from handlers.protocol.names import Topic
from tests.handlers.hub.hub_room import BASE, HUB_PATH, HubRoom, exact, pattern, presence_of, selector, update

TOPICS = (
    "a",
    "",
    "/books/1",
    "/books/{id}",
    "https://example.com/books/1",
    "https://example.com/books/2?x#y",
    "urn:book:1",
    "http://[::1",
    target_topic("me"),
)
NAMES = tuple(
    topic for matcher in (exact("a"), selector("/books/{id}"), pattern("*")) for topic in presence_of(matcher).topics
)
VALUES = (
    *TOPICS[:-1],
    *NAMES,
    "*",
    "{x}",
    "{+x}",
    "/books/:id",
    "*://*/books/*",
    "https://example.com/{+path}",
    "https://example.com/*",
    f"{HUB_PATH}/subscriptions/*",
    f"{HUB_PATH}/subscriptions/{{match}}/{{subscriber}}",
    f"{HUB_PATH}/subscriptions/:type/:match/:subscriber",
    "{",
)


def could_be_subscribed_to(matcher: Matcher) -> bool:
    try:
        Matching(BASE, 0).check(matcher)
    except MatcherError:
        return False
    return True


ANY_MATCHERS = st.builds(Matcher, st.sampled_from(MatcherKind), st.sampled_from(VALUES))
MATCHERS = ANY_MATCHERS.filter(could_be_subscribed_to)
GRANTS = st.lists(st.just(exact("*")) | ANY_MATCHERS | st.just(exact(target_topic("me"))), max_size=3)
PUBLISHED = st.builds(
    lambda topics, is_private: update(*topics, is_private=is_private),
    st.lists(st.sampled_from(TOPICS), min_size=1, max_size=3),
    st.booleans(),
)
TOLD = st.builds(
    lambda matcher, active: presence_of(matcher, active=active),
    st.sampled_from((exact("a"), selector("/books/{id}"), pattern("*"))),
    st.booleans(),
)


@given(
    people=st.lists(st.tuples(st.lists(MATCHERS, max_size=4), GRANTS), min_size=1, max_size=5),
    updates=st.lists(PUBLISHED | TOLD, min_size=1, max_size=5),
)
async def test_the_history_gives_each_subscriber_what_the_audience_would(
    people: list[tuple[list[Matcher], list[Matcher]]], updates: list[Update]
) -> None:
    room = HubRoom()
    choose = Sieve(matching=room.matching, hub_path=HUB_PATH).select
    held = [room.crowd(1, *matchers, grants=grants, chunked=False)[0] for matchers, grants in people]
    for number, each in enumerate(updates):
        chosen = [choose(session.subscriber, each) for _, session in held]
        event(f"{sum(found is not None for found in chosen)} of {len(held)}")
        assert room.audience.deliver(each) == sum(found is not None for found in chosen), number
        for found, (transport, _) in zip(chosen, held, strict=True):
            assert transport.written == ([Frames(found).event] if found is not None else [])
            transport.written.clear()


@pytest.mark.parametrize(
    ("topics", "is_private", "is_chosen"),
    [
        (("a",), False, True),
        (("a",), True, False),
        (("a", "b"), True, True),
        (("c", "a", "b"), True, True),
        (("b",), True, False),
        (("b",), False, False),
    ],
)
async def test_h07_h13_what_may_not_be_read_now_is_withheld(
    hub_room: HubRoom, topics: tuple[str, ...], is_private: bool, is_chosen: bool
) -> None:
    choose = Sieve(matching=hub_room.matching, hub_path=HUB_PATH).select
    someone = hub_room.subscriber((exact("a"),), (exact("b"),))
    published = update(*topics, is_private=is_private)
    assert choose(someone, published) is (published if is_chosen else None)


async def test_l19_a_subscription_is_told_of_in_the_watchers_dialect(hub_room: HubRoom) -> None:
    choose = Sieve(matching=hub_room.matching, hub_path=HUB_PATH).select
    told = presence_of(exact("a"))
    current = choose(hub_room.subscriber((exact("*"), selector("*")), (exact("*"),)), told)
    legacy = choose(hub_room.subscriber((selector("*"),), (exact("*"),)), told)
    assert current is not None
    assert legacy is not None
    assert (current.type, legacy.type) == ("mercure", "")
    assert '"@context"' in legacy.data
    assert '"@context"' not in current.data
    assert choose(hub_room.subscriber((exact("*"),)), told) is None


async def test_the_two_names_of_a_subscription_are_not_mixed_up(hub_room: HubRoom) -> None:
    """A current matcher does not see the older name, nor the other way round."""
    choose = Sieve(matching=hub_room.matching, hub_path=HUB_PATH).select
    told, grants = presence_of(exact("a")), (exact("*"),)
    current, legacy = told.topics
    assert choose(hub_room.subscriber((exact(legacy),), grants), told) is None
    assert choose(hub_room.subscriber((selector(current),), grants), told) is None
    assert choose(hub_room.subscriber((exact(current),), grants), told) is not None
    assert choose(hub_room.subscriber((selector(legacy),), grants), told) is not None


async def test_targets_of_2019_are_no_topics_that_anybody_could_ask_for(hub_room: HubRoom) -> None:
    choose = Sieve(matching=hub_room.matching, hub_path=HUB_PATH).select
    mine, yours = (exact(target_topic("me")),), (exact(target_topic("you")),)
    published = replace(update("urn:a", is_private=True), topics=(Topic("urn:a"), target_topic("me")))
    assert choose(hub_room.subscriber((exact("urn:a"),), mine), published) is published
    assert choose(hub_room.subscriber((exact("urn:a"),), yours), published) is None
    curious = exact("urn:b"), selector("{+x}://{+y}"), pattern("https://*"), pattern("*://*/*")
    assert choose(hub_room.subscriber(curious, mine), published) is None


@given(matchers=st.lists(MATCHERS, max_size=4), published=PUBLISHED | TOLD)
async def test_whatever_is_chosen_is_among_what_the_history_is_asked_to_look_for(
    matchers: list[Matcher], published: Update
) -> None:
    room = HubRoom()
    sieve, someone = Sieve(matching=room.matching, hub_path=HUB_PATH), room.subscriber(matchers, (exact("*"),))
    wanted = sieve.wanted(someone)
    if wanted is not None and sieve.select(someone, published) is not None:
        assert any(
            topic in wanted.topics or any(map(topic.startswith, wanted.beginnings)) for topic in published.topics
        )


@pytest.mark.parametrize(
    ("matchers", "wanted"),
    [
        ((exact("a"), selector("b")), Wanted(topics=("a", "b"))),
        ((selector("/books/{id}"), exact("a")), Wanted(topics=("a",), beginnings=("/books/",))),
        pytest.param((exact("a"), exact("*")), None, id="all"),
        pytest.param((exact("a"), pattern("https://example.com/:x")), None, id="URL patterns"),
        pytest.param((selector("{x}"),), None, id="no beginning"),
        pytest.param(tuple(exact(str(number)) for number in range(MOST_WANTED + 1)), None, id="too many"),
        pytest.param((), None, id="none"),
    ],
)
async def test_the_history_is_asked_for_topics_where_they_are_few_and_known(
    hub_room: HubRoom, matchers: tuple[Matcher, ...], wanted: Wanted | None
) -> None:
    sieve = Sieve(matching=hub_room.matching, hub_path=HUB_PATH)
    assert sieve.wanted(hub_room.subscriber(matchers)) == wanted
