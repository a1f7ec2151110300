"""Who is found by which topic, what that costs, and that rows last as long as somebody is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.hub.stream import HubStream
from handlers.hub.topic_index import HubSession, SubscriberRow, TopicIndex, gather
from handlers.protocol.mercure import matching as module
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import Matching
from handlers.protocol.mercure.selector import CompiledSelector, parse_selector
from handlers.protocol.names import Topic
from tests.handlers.hub.hub_room import BASE, CountingMatching, HubRoom, exact, pattern, selector

TOPICS = (
    "a",
    "/books/1",
    "/books/{id}",
    "https://example.com/books/1",
    "https://example.com/books/1/reviews",
    "https://example.com/books",
    "https://other.example/books/1",
    "urn:book:1",
    "http://[::1",
    "",
)
MATCHERS = {
    MatcherKind.URLPATTERN: (
        exact("a"),
        exact("*"),
        exact("https://example.com/books/1"),
        pattern("*"),
        pattern("https://example.com/books/:id"),
        pattern("https://example.com/*"),
        pattern("https://*/books/:id"),
        pattern("*://*/books/1"),
        pattern("/books/:id"),
        pattern("urn:*"),
    ),
    MatcherKind.SELECTOR: (
        selector("a"),
        selector("*"),
        selector("{x}"),
        selector("{+x}"),
        selector("/books/{id}"),
        selector("/books/{"),
        selector("https://example.com/books/{id}"),
        selector("https://example.com/{+path}"),
    ),
}
KINDS = pytest.mark.parametrize("kind", MATCHERS)


def streams(room: HubRoom, number: int, *, chunked: bool = True) -> list[HubStream]:
    """Some sessions, on nothing."""
    return [session for _, session in room.crowd(number, chunked=chunked)]


def found(index: TopicIndex, topic: str) -> set[HubSession]:
    return {session for row in index.rows(Topic(topic)) for session in row.members}


@KINDS
async def test_each_topic_finds_exactly_those_whose_matchers_match(hub_room: HubRoom, kind: MatcherKind) -> None:
    matching, plain = CountingMatching(), CountingMatching()
    index = TopicIndex(matching, kind)
    sessions = dict(zip(MATCHERS[kind], streams(hub_room, len(MATCHERS[kind])), strict=True))
    for matcher, session in sessions.items():
        index.add(matcher, session)
    for topic in TOPICS:
        expected = {session for matcher, session in sessions.items() if plain.matches(matcher, topic)}
        assert found(index, topic) == expected, topic


@given(
    kind=st.sampled_from(sorted(MATCHERS, key=lambda kind: kind.value)),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 2)), max_size=40),
)
async def test_whatever_comes_and_goes_the_index_says_what_a_plain_list_would(
    kind: MatcherKind, steps: list[tuple[bool, int, int]]
) -> None:
    room = HubRoom()
    matching = CountingMatching()
    index, sessions, plain = TopicIndex(matching, kind), streams(room, 3), set[tuple[Matcher, HubStream]]()
    for adds, number, whose in steps:
        matcher, session = MATCHERS[kind][number % len(MATCHERS[kind])], sessions[whose]
        if adds:
            index.add(matcher, session)
            plain.add((matcher, session))
            continue
        for each in MATCHERS[kind]:  # who leaves does so with all its matchers, and some may never have been there
            index.discard(each, session)
            plain.discard((each, session))
    for topic in TOPICS:
        assert found(index, topic) == {session for matcher, session in plain if matching.matches(matcher, topic)}
    for matcher, session in plain:
        index.discard(matcher, session)
    places = index._exact, index._anchored, index._unanchored, index._everything.members  # noqa: SLF001
    assert not any(places), "nothing is kept of nobody"


@KINDS
async def test_what_has_a_literal_beginning_is_not_asked_about_topics_that_begin_otherwise(
    hub_room: HubRoom, kind: MatcherKind
) -> None:
    matching = CountingMatching()
    index = TopicIndex(matching, kind)
    make, hole = (pattern, ":id") if kind is MatcherKind.URLPATTERN else (selector, "{id}")
    [session] = streams(hub_room, 1)
    for number in range(200):
        index.add(make(f"https://example.com/{number}/{hole}"), session)
        index.add(make(f"https://site-{number}.example/{hole}"), session)
    matching.asked.clear()
    assert not list(index.rows(Topic("https://example.com/books/1")))
    assert not matching.asked
    assert len(list(index.rows(Topic("https://example.com/7/1")))) == 1
    assert len(matching.asked) == 1


async def test_a_pattern_is_asked_once_however_many_sit_on_it(hub_room: HubRoom) -> None:
    matching = CountingMatching()
    index = TopicIndex(matching, MatcherKind.URLPATTERN)
    for session in streams(hub_room, 100):
        index.add(pattern("*://*/x"), session)
    assert len(found(index, "https://a.example/x")) == 100
    assert matching.asked == [(pattern("*://*/x"), "https://a.example/x")]


async def test_unanchored_are_the_patterns_that_every_topic_is_tried_on(hub_room: HubRoom) -> None:
    [session] = streams(hub_room, 1)
    index = TopicIndex(CountingMatching(), MatcherKind.URLPATTERN)
    for matcher in MATCHERS[MatcherKind.URLPATTERN]:
        index.add(matcher, session)
    others = (pattern("https://*/books/:id"), pattern("*://*/books/1"))
    assert index.unanchored == len(others)


async def test_growth_counts_what_is_new_in_each_place(hub_room: HubRoom) -> None:
    [session] = streams(hub_room, 1)
    index = TopicIndex(CountingMatching(), MatcherKind.SELECTOR)
    for value in ("{a}", "/b/{c}", "/b/{d}", "/e/{f}", "/b/g", "*"):
        index.add(selector(value), session)
    comers = map(selector, ("{a}", "{z}", "{z}", "/b/{c}", "/b/{y}", "/b/{x}", "/e/{f}", "/w/{v}", "/b/u", "*"))
    assert index.growth(comers) == {None: (1, 1), "/b/": (2, 2), "/w/": (0, 1)}


async def test_a_pattern_is_compiled_once_and_kept_while_somebody_sits_on_it(
    hub_room: HubRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = list[str]()

    def compiling(value: str) -> CompiledSelector | None:
        compiled.append(value)
        return parse_selector(value)

    monkeypatch.setattr(module, "parse_selector", compiling)
    index, sessions = TopicIndex(Matching(BASE, 1), MatcherKind.SELECTOR), streams(hub_room, 3)
    values = [f"https://e.com/{{a}}/{number}" for number in range(50)]
    for session in sessions:
        for value in values:
            index.add(selector(value), session)
    for number in range(20):
        assert found(index, f"https://e.com/{number}/7") == set(sessions)
    assert compiled == values
    for session in sessions:
        for value in values:
            index.discard(selector(value), session)
    assert compiled == values
    index.add(selector(values[0]), sessions[0])
    assert compiled == [*values, values[0]], "nobody kept it"


async def test_a_walk_stays_as_it_was_while_the_row_changes(hub_room: HubRoom) -> None:
    row, (first, second), [raw] = SubscriberRow(), streams(hub_room, 2), streams(hub_room, 1, chunked=False)
    for session in (first, raw):
        row.add(session)
    walk = row.walk()
    assert row.walk() is walk, "made once for as long as nothing changes"
    row.discard(first)
    row.add(second)
    assert walk == ((first,), (raw,))
    assert row.walk() == ((second,), (raw,))
    row.discard(first)
    assert row.walk() == ((second,), (raw,))


async def test_gathered_rows_have_everybody_once_in_the_order_of_their_coming(hub_room: HubRoom) -> None:
    sessions, [raw] = streams(hub_room, 4), streams(hub_room, 1, chunked=False)
    one, other = SubscriberRow(), SubscriberRow()
    for session in (*sessions[:3], raw):
        one.add(session)
    for session in (raw, *sessions[1:]):
        other.add(session)
    assert gather([one, other, one]) == (tuple(sessions), (raw,))
    assert gather(iter([one])) == one.walk()
    assert gather([]) == ((), ())


async def test_rights_to_read_are_asked_for_once_while_nobody_comes_or_goes(hub_room: HubRoom) -> None:
    row, grants = SubscriberRow(), (exact("a"),)
    for _, session in hub_room.crowd(3, grants=grants) + hub_room.crowd(2):
        row.add(session)
    walk = row.walk()
    assert walk.readables is walk.readables
    assert {readable.matchers for readable in walk.readables} == {grants, ()}


@KINDS
async def test_a_topic_is_tried_on_the_patterns_of_its_places(hub_room: HubRoom, kind: MatcherKind) -> None:
    make, hole = (pattern, ":id") if kind is MatcherKind.URLPATTERN else (selector, "{id}")
    index, [session] = TopicIndex(CountingMatching(), kind), streams(hub_room, 1)
    for number in range(3):
        index.add(make(f"https://example.com/books/{hole}/{number}"), session)
        index.add(make(f"https://example.com/{number}/{hole}"), session)
    assert index.tries(Topic("https://example.com/books/1/2")) == 3
    assert index.tries(Topic("https://example.com/2/2")) == 1
    assert index.tries(Topic("https://other.example/2/2")) == 0
    index.add(pattern("*://*/x") if kind is MatcherKind.URLPATTERN else selector("{x}"), session)
    assert index.tries(Topic("https://other.example/2/2")) == 1
