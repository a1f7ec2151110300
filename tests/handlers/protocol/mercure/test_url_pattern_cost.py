"""What a URL pattern may cost to compile and to try."""

from __future__ import annotations

import ada_url
import pytest

from handlers.protocol.mercure import url_pattern as module
from handlers.protocol.mercure.selector import LinearRegexp
from handlers.protocol.mercure.url_pattern import MAX_DYNAMIC, MatcherError, compile_pattern, count_dynamic

PINNED = "https://hub.example/.well-known/mercure"
E = "https://example.com"


def test_what_is_too_large_in_all_is_given_up_before_the_rest_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = list[str]()

    class Counting(LinearRegexp):
        def __init__(self, pattern: str, head: str = "") -> None:
            compiled.append(pattern)
            super().__init__(pattern, head)

    monkeypatch.setattr(module, "LinearRegexp", Counting)
    with pytest.raises(MatcherError):
        compile_pattern("/" + r"(\pL{5})" * MAX_DYNAMIC, PINNED)
    assert compiled == [r"\pL{5}"] * 3


def test_a_topic_is_parsed_once_for_all_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = list[str]()

    def parsing(topic: str, base: str) -> ada_url.URL:
        parsed.append(topic)
        return ada_url.URL(topic, base)

    monkeypatch.setattr(module, "parse_url", parsing)
    for compiled in [compile_pattern(f"{E}/:id/{number}", PINNED) for number in range(20)]:
        compiled.matches(f"{E}/parsed/once?")
    assert parsed == [f"{E}/parsed/once?"]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (f"{E}/books", 0),
        (f"{E}:8443/books/:id/:page", 2),
        ("*://*/{:a}?/(b|c)", 5),
        (r"/((?:a+)+b)", 3),
    ],
)
def test_what_makes_a_pattern_costly_is_counted(value: str, number: int) -> None:
    assert count_dynamic(value) == number
