"""What may be listed as an origin, and which pages' origins a listed one stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.mercure.origin import check_origin_pattern, origin_matches


@pytest.mark.parametrize(
    "text",
    [
        *("*", "null", "https://app.example", "http://localhost:8080", "capacitor://localhost", "https://[::1]:8443"),
        *("https://*.example", "https://app.example:*", "https://*", "HTTPS://App.Example"),
    ],
)
def test_what_can_be_an_origin_may_be_listed(text: str) -> None:
    check_origin_pattern(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must begin with a scheme"),
        ("app.example", "must begin with a scheme"),
        ("://app.example", "must begin with a scheme"),
        ("*://app.example", "must begin with a scheme"),
        ("https://app.example/", "without a slash behind"),
        ("https://app.example/x", "without a slash behind"),
        ("https://app.example?x", "without a slash behind"),
        ("https://app.example#x", "without a slash behind"),
        ("https://", "a host must stand"),
        ("https://me@app.example", "a host must stand"),
        ("https://app example", "a host must stand"),
        ("https://café.example", "a host must stand"),
        ("https://app.example:x", "a host must stand"),
        ("https://app.example:65536", "a port is 65535 at most"),
        ("https://*.*.example", "only one '*'"),
    ],
)
def test_o11_what_can_be_no_origin_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="is not an origin: ") as caught:
        check_origin_pattern(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "origin", "matches"),
    [
        ("*", "https://anything.example", True),
        ("*", "null", True),
        ("null", "null", True),
        ("null", "https://a.example", False),
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "HTTPS://A.Example", True),
        ("HTTPS://A.Example", "https://a.example", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://a.example.evil", False),
        ("https://a.example:443", "https://a.example", True),
        ("http://a.example:80", "http://a.example", True),
        ("http://a.example:443", "http://a.example", False),
        ("https://*.example", "https://a.example", True),
        ("https://*.example", "https://a.b.example", True),
        ("https://*.example", "https://.example", True),
        ("https://*.example", "https://example", False),
        ("https://*.example", "https://evil.test/.example", False),
        ("https://a*a", "https://a", False),
        ("https://a.example:*", "https://a.example:1", True),
        ("https://a.example:*", "https://a.example", False),
        ("https://a.example", "", False),
    ],
)
def test_a_pattern_stands_for_these_origins(pattern: str, origin: str, matches: bool) -> None:
    assert origin_matches(pattern, origin) is matches


hosts = st.text(alphabet="abc.-", min_size=1)


@given(host=hosts, start=hosts, end=hosts)
def test_an_origin_matches_itself_and_whatever_the_asterisk_stands_for(host: str, start: str, end: str) -> None:
    origin = f"https://{start}{host}{end}"
    check_origin_pattern(origin)
    assert origin_matches(origin, origin.upper())
    assert origin_matches(f"https://{start}*{end}", origin)


@given(pattern=st.text(), origin=st.text())
def test_any_text_is_judged_without_an_error(pattern: str, origin: str) -> None:
    assert origin_matches(pattern, origin) in {True, False}
