from __future__ import annotations

import pytest

from proxy.protocol.ws_backlog import EVENT_COST, Backlog
from proxy.protocol.ws_events import Event, EventKind
from tests.proxy.protocol.carried import text


def backlog_of(*contents: bytes) -> Backlog:
    backlog = Backlog()
    for content in contents:
        backlog.append(text(content))
    return backlog


def contents_of(events: list[Event]) -> list[bytes]:
    return [event.content for event in events]


def offer_all(backlog: Backlog) -> list[bytes]:
    return contents_of(backlog.offer(one_event=False, limit=1000))


@pytest.mark.parametrize(
    ("contents", "limit", "offered"),
    [
        ((), 10, []),
        ((b"",), 10, [b""]),
        ((b"abc", b"def"), 6, [b"abc", b"def"]),
        ((b"abc", b"def"), 5, [b"abc"]),
        ((b"abcdef",), 5, [b"abcdef"]),
        ((b"abcdef", b""), 5, [b"abcdef"]),
        ((b"abcde", b"", b"", b"f"), 5, [b"abcde", b"", b""]),
    ],
)
def test_an_offer_is_what_fits_and_at_least_one(contents: tuple[bytes, ...], limit: int, offered: list[bytes]) -> None:
    backlog = backlog_of(*contents)
    assert contents_of(backlog.offer(one_event=False, limit=limit)) == offered
    assert backlog.offered_bytes == len(b"".join(offered))
    assert backlog.has_more == (len(offered) < len(contents))


@pytest.mark.parametrize("contents", [(), (b"",), (b"", b""), (b"", b"a"), (b"a", b"")])
def test_an_offer_of_one_event_is_one_even_if_it_is_empty(contents: tuple[bytes, ...]) -> None:
    backlog = backlog_of(*contents)
    assert contents_of(backlog.offer(one_event=True, limit=1000)) == list(contents[:1])
    assert backlog.has_more == (len(contents) > 1)


@pytest.mark.parametrize(
    ("contents", "count", "has_moved", "kept"),
    [
        ((), 0, False, []),
        ((b"abc", b"def"), 0, False, [b"abc", b"def"]),
        ((b"abc", b"def"), 1, True, [b"bc", b"def"]),
        ((b"abc", b"def"), 3, True, [b"def"]),
        ((b"abc", b"def"), 5, True, [b"f"]),
        ((b"abc", b"def"), 6, True, []),
        ((b"", b"abc"), 0, True, [b"abc"]),
        ((b"abc", b"", b"", b"def", b""), 3, True, [b"def", b""]),
        ((b"abc", b""), 3, True, []),
    ],
)
def test_what_is_not_accepted_is_kept(
    contents: tuple[bytes, ...], count: int, has_moved: bool, kept: list[bytes]
) -> None:
    backlog = backlog_of(*contents)
    offer_all(backlog)
    assert backlog.accept(count) is has_moved
    assert not backlog.has_news
    assert backlog.kept_bytes == len(b"".join(kept))
    assert backlog.weight == len(b"".join(kept)) + len(kept) * EVENT_COST
    assert offer_all(backlog) == kept


def test_the_rest_of_a_message_is_of_its_kind() -> None:
    backlog = Backlog()
    backlog.append(Event(kind=EventKind.BINARY, content=b"abc"))
    offer_all(backlog)
    backlog.accept(2)
    assert backlog.offer(one_event=True, limit=1000) == [Event(kind=EventKind.BINARY, content=b"c")]


def test_what_was_not_offered_is_neither_accepted_nor_kept() -> None:
    backlog = backlog_of(b"abc")
    offer_all(backlog)
    backlog.append(text(b""))
    assert not backlog.accept(0)
    assert (backlog.kept_bytes, backlog.has_news) == (3, True)
    offer_all(backlog)
    assert backlog.accept(3)
    assert (backlog.kept_bytes, backlog.has_news, backlog.weight) == (0, False, 0)


def test_news_are_what_was_in_no_request() -> None:
    backlog = Backlog()
    seen = [backlog.has_news]
    backlog.append(text(b"abc"))
    seen.append(backlog.has_news)
    offer_all(backlog)
    backlog.accept(0)
    seen.append(backlog.has_news)
    backlog.append(text(b""))
    seen.append(backlog.has_news)
    assert seen == [False, True, False, True]


def test_empty_messages_weigh_something() -> None:
    assert backlog_of(b"", b"", b"abc").weight == 3 * EVENT_COST + 3


def test_a_cleared_backlog_holds_nothing() -> None:
    backlog = backlog_of(b"abc", b"def")
    offer_all(backlog)
    backlog.clear()
    assert (backlog.weight, backlog.has_news, backlog.has_more, backlog.kept_bytes) == (0, False, False, 0)
    assert not backlog.accept(0)
