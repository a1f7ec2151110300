"""All kinds of matchers behind one door, and what is remembered of them."""

from __future__ import annotations

import unicodedata
from itertools import product

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from handlers.protocol.mercure import matching as module
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import LONGEST_KEY, LONGEST_REMEMBERED, MOST_COMPILED, Matching
from handlers.protocol.mercure.url_pattern import CompiledPattern, MatcherError, compile_pattern

BASE = "https://hub.example/.well-known/mercure"
EXACT, URLPATTERN, SELECTOR = MatcherKind.EXACT, MatcherKind.URLPATTERN, MatcherKind.SELECTOR


def fresh(size: int = 100) -> Matching:
    return Matching(BASE, size)


@pytest.mark.parametrize("kind", MatcherKind)
@pytest.mark.parametrize("topic", ["", "*", "a", "urn:a:b", "http://[::1", "\udc80", "a" * 10_000], ids=ascii)
def test_s13_s32_p07_the_wildcard_of_any_kind_matches_everything(kind: MatcherKind, topic: str) -> None:
    matching, wildcard = fresh(), Matcher(kind, "*")
    matching.check(wildcard)
    assert matching.matches(wildcard, topic)
    assert matching.anchor(wildcard) is None


COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")


@pytest.mark.parametrize(
    ("kind", "value", "topic", "found"),
    [
        (EXACT, "a", "a", True),
        (EXACT, "A", "a", False),
        (EXACT, COMPOSED, COMPOSED, True),
        (EXACT, COMPOSED, DECOMPOSED, False),
        (EXACT, "a/", "a", False),
        (EXACT, "/books/1", "https://hub.example/books/1", False),
        (EXACT, "/{a}", "/b", False),
        (EXACT, "", "", True),
        (SELECTOR, "a", "a", True),
        (SELECTOR, "A", "a", False),
        (SELECTOR, "/books/{id}", "/books/1", True),
        (SELECTOR, "/books/{id}", "/books/{id}", True),
        (SELECTOR, "/books/{", "/books/{", True),
        (SELECTOR, "/books/{", "/books/", False),
        (SELECTOR, "/books/:id", "/books/1", False),
        (URLPATTERN, "/books/:id", "/books/1", True),
        (URLPATTERN, "/books/:id", "https://hub.example/books/1", True),
        (URLPATTERN, "/books/{id}", "/books/id", True),
        (URLPATTERN, "urn:book:1", "urn:book:1", False),
        (URLPATTERN, "/:id", "http://[::1", False),
        (URLPATTERN, "(", "(", False),
    ],
    ids=ascii,
)
def test_s19_s22_s23_s31_s33_each_kind_matches_by_its_own_rules(
    kind: MatcherKind, value: str, topic: str, found: bool
) -> None:
    for matching in (fresh(), fresh(0), fresh(1)):
        assert [matching.matches(Matcher(kind, value), topic) for _ in range(2)] == [found, found]


@pytest.mark.parametrize("value", ["(", "/:a/:a", "https://[::1]/", "https://h:99999/"])
def test_s17_only_url_patterns_are_ever_refused(value: str) -> None:
    for matching in (fresh(), fresh(0)):
        with pytest.raises(MatcherError, match=r"^invalid topic matcher pattern$"):
            matching.check(Matcher(URLPATTERN, value))
        matching.check(Matcher(EXACT, value))
        matching.check(Matcher(SELECTOR, value))
        assert matching.anchor(Matcher(URLPATTERN, value)) is None


@pytest.mark.parametrize("value", ["", "/", "/books/:id", "https://example.com/*"])
def test_a_pattern_that_compiles_passes(value: str) -> None:
    fresh().check(Matcher(URLPATTERN, value))


def test_s21_hostile_matchers_are_accepted_and_answer_false() -> None:
    matching = fresh()
    for matcher, topic in [
        (Matcher(URLPATTERN, "/((?:a+)+b)"), "/" + "a" * 10_000),
        (Matcher(SELECTOR, "{+a}b" * 800), "ab" * 50_000),
        (Matcher(SELECTOR, "{+a}" * 1024), "b" * 50_000),
    ]:
        matching.check(matcher)
        assert not matching.matches(matcher, topic)


# -- what is remembered ---------------------------------------------------------------------------------------------


class Counted:
    """Stands in for `compile_pattern`, counting compilations and evaluations of what it passes on."""

    def __init__(self) -> None:
        self.compiled: list[str] = []

    def __call__(self, value: str, base: str) -> CompiledPattern:
        self.compiled.append(value)
        return compile_pattern(value, base)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counter = Counted()
    monkeypatch.setattr(module, "compile_pattern", counter)
    return counter


@pytest.mark.parametrize(
    ("size", "patterns"),
    [(100, 10), (19, 1), (10, 1), (1, 1), (100 * MOST_COMPILED, MOST_COMPILED)],
)
def test_a_tenth_of_the_cache_is_for_compiled_patterns_and_at_least_one(
    counted: Counted, size: int, patterns: int
) -> None:
    matching = fresh(size)
    values = [f"/{number}/:id" for number in range(patterns + 1)]
    for value in values[:patterns] * 2:
        matching.check(Matcher(URLPATTERN, value))
    assert counted.compiled == values[:patterns]
    matching.check(Matcher(URLPATTERN, values[patterns]))
    matching.check(Matcher(URLPATTERN, values[0]))
    assert counted.compiled == [*values, values[0]]


def test_outcomes_are_remembered_after_their_pattern_is_forgotten(counted: Counted) -> None:
    matching, matcher = fresh(10), Matcher(URLPATTERN, "/a/:id")
    assert matching.matches(matcher, "/a/1")
    matching.check(Matcher(URLPATTERN, "/b/:id"))
    assert matching.matches(matcher, "/a/1")
    assert counted.compiled == ["/a/:id", "/b/:id"]
    assert not matching.matches(matcher, "/b/1")
    assert counted.compiled == ["/a/:id", "/b/:id", "/a/:id"]


def test_the_outcomes_used_last_are_kept(counted: Counted) -> None:
    matching = fresh(2)
    a, b = Matcher(URLPATTERN, "/a/:id"), Matcher(URLPATTERN, "/b/:id")
    for matcher in (a, b, a):
        matching.matches(matcher, "/x")
    matching.matches(a, "/y")  # drops (b, /x)
    counted.compiled.clear()
    matching.matches(a, "/x")
    assert not counted.compiled
    matching.matches(b, "/x")
    assert counted.compiled == ["/b/:id"]


def test_a_size_of_zero_remembers_nothing(counted: Counted) -> None:
    matching, matcher = fresh(0), Matcher(URLPATTERN, "/a/:id")
    assert all(matching.matches(matcher, "/a/1") for _ in range(3))
    matching.check(matcher)
    assert len(counted.compiled) == 4


def test_outcomes_for_long_topics_are_not_kept(counted: Counted) -> None:
    matching, matcher = fresh(10), Matcher(URLPATTERN, "/a/:id")
    matching.matches(matcher, "/a/" + "1" * LONGEST_REMEMBERED)
    matching.check(Matcher(URLPATTERN, "/b/:id"))
    matching.matches(matcher, "/a/" + "1" * LONGEST_REMEMBERED)
    assert counted.compiled == ["/a/:id", "/b/:id", "/a/:id"]


def test_outcomes_of_long_matchers_are_not_kept(counted: Counted) -> None:
    for length, compilations in ((LONGEST_KEY, 2), (LONGEST_KEY + 1, 3)):
        counted.compiled.clear()
        matching, matcher = fresh(10), Matcher(URLPATTERN, "/a/:id/".ljust(length, "x"))
        for other in (matcher, Matcher(URLPATTERN, "/b/:id"), matcher):
            matching.matches(other, "/a/1/2")
        assert len(counted.compiled) == compilations


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_held_pattern_is_compiled_once_whatever_others_ask_for(counted: Counted, size: int) -> None:
    matching, matcher = fresh(size), Matcher(URLPATTERN, "/a/:id")
    held = matching.compile(matcher)
    for number in range(200):
        matching.matches(Matcher(URLPATTERN, f"/{number}/:id"), "/x")
    assert matching.compile(matcher) is held
    assert held.anchor == matching.anchor(matcher) == "https://hub.example/a/"
    assert [held.matches("/a/1"), held.matches("/b/1")] == [True, False]
    assert counted.compiled.count("/a/:id") == 1
    assert held.size > 0
    del held
    matching.compile(matcher)
    assert counted.compiled.count("/a/:id") == 2, "nobody held it any more"


@pytest.mark.parametrize("kind", MatcherKind)
@pytest.mark.parametrize("value", ["/a/1", "/a/{b}", "/a/{", "/a/:b", "{"])
def test_what_is_compiled_matches_as_what_is_not(kind: MatcherKind, value: str) -> None:
    matching, matcher = fresh(), Matcher(kind, value)
    try:
        compiled = matching.compile(matcher)
    except MatcherError:
        assert kind is URLPATTERN
        return
    for topic in ("/a/1", "/a/b", "/a/{b}", "/a/{", "*", "{", "http://[::1"):
        assert compiled.matches(topic) is matching.matches(matcher, topic)


def test_neither_kinds_nor_joined_texts_share_an_outcome() -> None:
    matching = fresh()
    values, topics = ("/{a}", "/{a}_", "/:a", "/"), ("/1", "/:a", "_/1", "/_", "/a", "/a_")
    asked = [(Matcher(kind, value), topic) for kind, value, topic in product(MatcherKind, values, topics)]
    for matcher, topic in asked * 2:
        assert matching.matches(matcher, topic) is fresh(0).matches(matcher, topic)


# -- anchors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "anchor"),
    [
        (SELECTOR, "https://e.com/books/{id}", "https://e.com/books/"),
        (SELECTOR, "https://e.com/books{/id}", "https://e.com/"),
        (SELECTOR, "a{id}", None),
        (SELECTOR, "{id}", None),
        (SELECTOR, "a/b", "a/"),
        (SELECTOR, "/" * 500 + "{id}", "/" * 16),
        (URLPATTERN, "/books/:id", "https://hub.example/books/"),
        (URLPATTERN, "*://h/x/", None),
        (EXACT, "a/b/", None),
    ],
)
def test_patterns_have_the_anchor_of_their_kind(kind: MatcherKind, value: str, anchor: str | None) -> None:
    assert fresh().anchor(Matcher(kind, value)) == anchor


@pytest.mark.parametrize("kind", MatcherKind)
def test_a_huge_topic_has_few_anchors(kind: MatcherKind) -> None:
    assert sum(map(len, fresh().anchors(kind, "/" * 1_000_000))) < 10_000


VALUES = st.lists(
    st.sampled_from(
        ["https://e.com", "/", "/a", "a", "{x}", "{/x}", "{+x}", "{/x*}", "{a}", ":x", "/:x?", "/*", "{/a}?", "{", "?"]
    ),
    max_size=5,
).map("".join)
TEXTS = st.lists(st.sampled_from(["https://e.com", "/", "/a", "a", "1", "/..", "?", "{x}"]), max_size=6).map("".join)


@given(st.sampled_from(MatcherKind), VALUES, VALUES | TEXTS)
@example(SELECTOR, "/a/{x}/b", "/a/{x}/b")
def test_whatever_matches_is_found_under_its_anchor(kind: MatcherKind, value: str, topic: str) -> None:
    matching, matcher = fresh(), Matcher(kind, value)
    anchor = matching.anchor(matcher)
    if anchor is not None and matching.matches(matcher, topic):
        event(f"anchored match by {kind.value}")
        assert anchor in matching.anchors(kind, topic)
