"""Which topics are the hub's own (reference 1.8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.mercure.reserved import is_reserved

HUB = "/.well-known/mercure"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "?x",
        "#x",
        "/.well-known/mercure",
        "/.well-known/mercure/",
        "/.well-known/mercure/subscriptions/exact/a/b",
        "mercure",
        "mercure/x",
        "./mercure/x",
        "//other/.well-known/mercure/x",
        "https://other/.well-known/mercure",
        "https://other/.well-known/mercure?x=1",
        "https://other/a/../.well-known/mercure/x",
        "https://other/%2Ewell-known/mercure",
        "https://other/%2ewell%2dknown/%6d%65rcure",
        "https://other/.well-known/%6Dercure/x",
        "\\.well-known\\mercure\\x",
        " /.well-known/mercure/x",
        "ftp://h/.well-known/mercure/x",
        "foo:/.well-known/mercure/x",
        "data:/.well-known/mercure/x",
        "https:/.well-known/mercure/x",
    ],
)
def test_p08_topics_that_name_the_hub_are_reserved(topic: str) -> None:
    assert is_reserved(topic, HUB)


@pytest.mark.parametrize(
    "topic",
    [
        ".",
        "./",
        "..",
        "/",
        "a",
        "subscriptions",
        "../mercure",
        "/.well-known/mercurex",
        "/.well-known//mercure/x",
        "/.well-known/mercure/../x",
        "HTTPS://OTHER/.WELL-KNOWN/MERCURE/x",
        "https://other/.well-known%2Fmercure/x",
        "https://other/.well-known/mercure%2Fx",
        "https://other/%252Ewell-known/mercure",
        "urn:.well-known/mercure/x",
        "mailto:a@b",
        "http://[::1/.well-known/mercure/x",
        "https:.well-known/mercure/x",
        "\udc80/.well-known/mercure",
    ],
    ids=ascii,
)
def test_p08_other_topics_are_not(topic: str) -> None:
    assert not is_reserved(topic, HUB)


@pytest.mark.parametrize(
    ("topic", "path", "reserved"),
    [
        ("/hub", "/hub", True),
        ("hub", "/hub", True),
        ("/hub/x", "/hub", True),
        ("/hubs", "/hub", False),
        ("/.well-known/mercure", "/hub", False),
        ("", "/hub", True),
        ("/a b/%63", "/a b/c", True),
        ("/a%20b/c/d", "/a b/%63", True),
        ("https://other/é/x", "/é", True),
    ],
)
def test_p08_the_hub_s_path_is_the_one_that_is_set(topic: str, path: str, reserved: bool) -> None:
    assert is_reserved(topic, path) is reserved


@given(
    st.sampled_from(["", "https://other", "//h:8", "foo://x"]), st.integers(0, 19), st.text("ab/?#%é \\", max_size=8)
)
def test_p08_no_escape_of_unreserved_characters_gets_by(origin: str, place: int, rest: str) -> None:
    if place and HUB[place] != "/":
        escaped = f"{HUB[:place]}%{ord(HUB[place]):02x}{HUB[place + 1 :]}"
        assert is_reserved(f"{origin}{escaped}", HUB)
        assert is_reserved(f"{origin}{escaped}/{rest.replace('.', '')}", HUB)


@given(st.text() | st.text("./%2Ee\\:?#[]@"))
def test_p08_any_text_is_reserved_or_not(topic: str) -> None:
    assert is_reserved(topic, HUB) in {True, False}


@given(
    st.sampled_from(["", "/", "https://other", "http://h:8", "https://mercure"]),
    st.lists(st.sampled_from([".", "..", ".well-known", "mercure", "mercurex", "hub", "a"]), max_size=5).map("/".join),
    st.sampled_from(["", "?", "#mercure"]),
    st.sampled_from([HUB, "/hub", "/a/a", "/a/"]),
)
def test_p08_a_plain_topic_is_judged_as_one_that_has_to_be_parsed(origin: str, path: str, rest: str, hub: str) -> None:
    """A blank in front is dropped by every parser, and keeps a topic from being plain."""
    for topic in (f"{origin}/{path}{rest}", f"{path}{rest}"):
        assert is_reserved(topic, hub) == is_reserved(f" {topic}", hub), topic
