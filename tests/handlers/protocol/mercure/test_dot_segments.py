"""Topics whose path URL parsers change."""

from __future__ import annotations

import ada_url
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.mercure.dot_segments import has_dot_segments


@pytest.mark.parametrize(
    "topic",
    [
        "https://example.com/public/../admin/x",
        "https://example.com/public/..",
        "https://example.com/public/.. ",
        "https://example.com/..?x",
        "https://example.com/.#x",
        "https://example.com/a/./b",
        "https://example.com/a/%2e%2E/b",
        "https://example.com/a/.%2e/b",
        "https://example.com/a/%2E/b",
        "https://example.com\\a\\..\\b",
        "https://example.com/a\\../b",
        "https:/example.com/a/../b",
        "https:../b",
        "http:../b",
        "HTTPS:..",
        "wss://example.com/a/../b",
        "file:///a/../b",
        "foo://example.com/a/../b",
        "foo:/a/../b",
        "foo://h/x\\..\\y/z/../c",
        "/a/../b",
        "//example.com/a/../b",
        "\\a\\..\\b",
        "../b",
        "a/../b",
        " ../b",
        ".",
        "..",
        "%2e%2E",
    ],
)
def test_p17_segments_that_a_parser_drops_are_seen(topic: str) -> None:
    assert has_dot_segments(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "a",
        "*",
        "https://example.com/a/b",
        "https://example.com/a/...",
        "https://example.com/a/..b/.c",
        "https://example.com/a/b..",
        "https://example.com/a?x=/../b",
        "https://example.com/a#/../b",
        "https://example.com/a/%252e%252e/b",
        "https://example.com/a%2F..%2Fb",
        "urn:a/../b",
        "urn:..",
        "mailto:..@example.com",
        "foo://example.com/a\\..\\b",
        "https://[/../a",
        "\0https://[/../a",
        "\N{GRINNING FACE}",
        "\udc80/..",
    ],
    ids=ascii,
)
def test_p17_other_topics_have_none(topic: str) -> None:
    assert not has_dot_segments(topic)


SEGMENTS = st.sampled_from(["a", "..", ".", "%2e", "%2E.", "...", ".a", "", "%2f", "a b", "é"])


@given(st.sampled_from(["https://h", "http://h:8", "ws://h", "", "foo://h"]), st.lists(SEGMENTS, min_size=1))
def test_p17_a_topic_without_them_has_as_many_segments_for_a_parser(origin: str, segments: list[str]) -> None:
    topic = origin + "/" + "/".join(segments)
    drops = any(segment.lower().replace("%2e", ".") in {".", ".."} for segment in segments)
    is_authority = topic.startswith("//")
    assert is_authority or has_dot_segments(topic) is drops
    if not is_authority and not drops:
        assert ada_url.URL(topic, "https://h/").pathname.count("/") == len(segments)


@given(st.text() | st.text("./%2Ee\\:?#[]@"))
def test_p17_of_any_text_it_can_be_said(topic: str) -> None:
    assert has_dot_segments(topic) in {True, False}
