"""Which wildcard channels a name belongs to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.names import Channel
from handlers.protocol.wildcards import WildcardIndex, covers, is_wildcard

NAMES = st.text(alphabet="ab*", max_size=6).map(Channel)
WILDCARDS = NAMES.map(lambda name: Channel(f"{name}*"))


def test_a_name_that_ends_in_the_star_is_a_wildcard() -> None:
    assert [name for name in ("a*", "*", "a*b", "a", "") if is_wildcard(Channel(name))] == ["a*", "*"]


def test_it_covers_what_begins_with_what_is_before_the_star() -> None:
    found = [name for name in ("new", "news", "news-1", "news*", "old") if covers(Channel("news*"), name)]
    assert found == ["news", "news-1", "news*"]
    assert covers(Channel("*"), "")


def test_the_longest_comes_last() -> None:
    index = WildcardIndex()
    for name in ("abc*", "*", "ab*", "x*", "abcd*", "ab*"):
        index.add(Channel(name))
    assert index.matching(Channel("abc")) == ["*", "ab*", "abc*"]
    assert len(index) == 5


@given(st.lists(st.tuples(st.booleans(), WILDCARDS)), st.lists(NAMES))
def test_it_finds_what_a_look_at_each_would_find(steps: list[tuple[bool, Channel]], names: list[Channel]) -> None:
    index, model = WildcardIndex(), set[Channel]()
    for is_added, wildcard in steps:
        if is_added:
            index.add(wildcard)
            model.add(wildcard)
        else:
            index.discard(wildcard)
            model.discard(wildcard)
    assert len(index) == len(model)
    for name in names:
        assert index.matching(name) == sorted((each for each in model if covers(each, name)), key=len)


@given(st.sets(WILDCARDS))
def test_nothing_is_kept_of_what_is_taken_out(wildcards: set[Channel]) -> None:
    index = WildcardIndex()
    for wildcard in wildcards:
        index.add(wildcard)
    for wildcard in wildcards:
        index.discard(wildcard)
        index.discard(wildcard)
    assert vars(index) == vars(WildcardIndex())
