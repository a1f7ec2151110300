"""What somebody may read, and that equal grants are one object."""

from __future__ import annotations

import gc

import pytest

from handlers.hub.subscriber import Readable, Readables
from handlers.protocol.mercure.matcher import Matcher
from handlers.protocol.mercure.target import target_topic
from handlers.protocol.names import Topic
from tests.handlers.hub.hub_room import CountingMatching, exact, pattern, selector


@pytest.mark.parametrize(
    ("grants", "topics", "may"),
    [
        ((), ("a",), False),
        ((exact("a"),), ("a",), True),
        ((exact("a"),), ("b", "a"), True),
        ((exact("a"),), ("b",), False),
        ((exact("*"),), ("b",), True),
        ((exact("a"), pattern("https://example.com/:id")), ("b", "https://example.com/1"), True),
        ((selector("/users/{id}"),), ("/books/1", "/users/2"), True),
        ((selector("/users/{id}"),), ("/books/1",), False),
    ],
)
def test_a21_any_grant_on_any_topic_will_do(grants: tuple[Matcher, ...], topics: tuple[str, ...], may: bool) -> None:
    assert Readable(grants).lets(map(Topic, topics), CountingMatching().matches) is may


@pytest.mark.parametrize(
    ("granted", "may"), [("a", False), ("t", False), (target_topic("t"), True), (target_topic("a"), False), ("*", True)]
)
def test_a29_where_there_are_targets_only_a_grant_on_one_of_them_will_do(granted: str, may: bool) -> None:
    """Whoever is granted the topic is not whom the publisher meant."""
    topics = (Topic("a"), target_topic("t"), target_topic("u"))
    assert Readable((exact(granted),)).lets(topics, CountingMatching().matches) is may


def test_equal_grants_are_one_object_for_as_long_as_somebody_has_them() -> None:
    readables = Readables()
    first = readables.of((exact("a"), selector("b")))
    assert readables.of((exact("a"), selector("b"))) is first
    assert readables.of((selector("a"), selector("b"))) is not first
    assert first.matchers == (exact("a"), selector("b"))
    del first
    gc.collect()
    assert not readables._known  # noqa: SLF001  # what is kept for nothing can't be seen outside
