"""What subscribers ask for, in every dialect, and the texts they are refused with (reference 1.3, 1.11, 2.1, 6.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import HubRefusal
from handlers.hub.settings import Dialect, HubSettings
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.subscribing import (
    MAX_QUERY_BODY,
    SubscribeRequest,
    check_matchers,
    query_limit,
    read_parameters,
    size_limit,
)
from handlers.protocol.mercure.text import is_plain_text

STRICT = HubSettings(protocols=("1.0",))
BOTH = HubSettings()
M8 = HubSettings(protocols=("8",))
M7 = HubSettings(protocols=("8", "7"))
M19 = HubSettings(protocols=("2019",))

MISSING = 'missing "match" subscription parameter'
TOO_COMPLEX = "topic matcher patterns too complex in all"
CHARACTERS = "topic matcher values must be valid UTF-8 without control characters"
TOPIC_REFUSED = 'unknown topic matcher query parameter: "topic" (use "match" or "match_urlpattern")'


def exact(value: str) -> Matcher:
    return Matcher(MatcherKind.EXACT, value)


def pattern(value: str) -> Matcher:
    return Matcher(MatcherKind.URLPATTERN, value)


def selector(value: str) -> Matcher:
    return Matcher(MatcherKind.SELECTOR, value)


def asked(
    query: bytes, settings: HubSettings = STRICT, *, body: bytes | None = None, header: bytes | None = None
) -> SubscribeRequest:
    request = read_parameters(query, body, header, settings=settings)
    check_matchers(request, settings)
    return request


def refused(query: bytes, settings: HubSettings = STRICT) -> tuple[int, str]:
    # That the first step lets it pass is row S18: a bad token is told of first.
    request = read_parameters(query, None, None, settings=settings)
    with pytest.raises(HubRefusal) as caught:
        check_matchers(request, settings)
    return caught.value.status, caught.value.text


# -- matchers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "settings", "matchers"),
    [
        pytest.param(b"match=a", STRICT, [exact("a")], id="exact"),
        pytest.param(b"match_exact=a", STRICT, [exact("a")], id="exact by its name"),
        pytest.param(b"match_urlpattern=/:a", STRICT, [pattern("/:a")], id="pattern"),
        pytest.param(b"match=*&match_urlpattern=*", STRICT, [exact("*"), pattern("*")], id="S13 wildcards"),
        pytest.param(
            b"match_urlpattern=d&match=b&match_exact=c&match=a",
            STRICT,
            [exact("b"), exact("a"), exact("c"), pattern("d")],
            id="names in lexical order, values as they come",
        ),
        pytest.param(b"match=a&match=a&match_exact=a", STRICT, [exact("a")] * 3, id="duplicates"),
        pytest.param(b"foo=b&match=a&authorization=x&access_token=y", STRICT, [exact("a")], id="S11 others"),
        pytest.param(b"match", STRICT, [exact("")], id="S12 bare"),
        pytest.param(b"match=", STRICT, [exact("")], id="S12 empty"),
        pytest.param(b"match=a&%zz=1", STRICT, [exact("a")], id="S25 bad escape"),
        pytest.param(b"match=a;b&match=c", STRICT, [exact("c")], id="S25 semicolon"),
        pytest.param(b"match=a&TOPIC=b&Topic=c", BOTH, [exact("a")], id="topic by another letter case"),
        pytest.param(b"topic=a&topic={b}", BOTH, [selector("a"), selector("{b}")], id="S29 S31 selectors"),
        pytest.param(
            b"topic=a&match=b&match_urlpattern=c",
            BOTH,
            [exact("b"), pattern("c"), selector("a")],
            id="S35 both",
        ),
        pytest.param(b"topic=a&match=b&matchers=c&MATCH=d", M8, [selector("a")], id="S29 only selectors"),
        pytest.param(b"topic=a", M19, [selector("a")], id="S34"),
        pytest.param(b"topic=*&topic=", M8, [selector("*"), selector("")], id="S32"),
    ],
)
def test_matchers_are_read_by_the_dialect_of_each(query: bytes, settings: HubSettings, matchers: list[Matcher]) -> None:
    request = asked(query, settings)
    assert request.matchers == tuple(matchers)
    assert request.speaks_current is any(matcher.kind is not MatcherKind.SELECTOR for matcher in matchers)
    assert request.speaks_legacy is any(matcher.kind is MatcherKind.SELECTOR for matcher in matchers)


@pytest.mark.parametrize(
    ("query", "settings", "text"),
    [
        pytest.param(b"", STRICT, MISSING, id="S08 none"),
        pytest.param(b"foo=a&last_event_id=1", STRICT, MISSING, id="S08 others"),
        pytest.param(b"match=a;b", STRICT, MISSING, id="S25"),
        pytest.param(b"", BOTH, MISSING, id="S08 both dialects"),
        pytest.param(b"", M8, 'Missing "topic" parameter.', id="S30"),
        pytest.param(b"match=a", M8, 'Missing "topic" parameter.', id="S30 not the dialect"),
        pytest.param(b"", M19, 'Missing "topic" parameter.', id="S30 2019"),
        pytest.param(b"topic=a", STRICT, TOPIC_REFUSED, id="S10"),
        pytest.param(b"topic=a&match=b", STRICT, TOPIC_REFUSED, id="S10 beside a good one"),
        *[
            pytest.param(
                query,
                settings,
                f'unknown topic matcher query parameter: "{name}"',
                id=f"S09 {name} {settings.protocols}",
            )
            for settings in (STRICT, BOTH)
            for query, name in [
                (b"MATCH=a", "MATCH"),
                (b"match_regexp=a", "match_regexp"),
                (b"matchers=1", "matchers"),
                (b"match_=a", "match_"),
                (b"match=a&Match_exact=a", "Match_exact"),
                (b"match%0a=a", "match\\n"),
                (b"topic=a&match_z=1&match_b=2", "match_b"),
            ]
        ],
        *[
            pytest.param(name + b"=a" + value, BOTH, CHARACTERS, id=f"S14 {name.decode()} {value!r}")
            for name in (b"match", b"match_urlpattern", b"topic")
            for value in (b"%00", b"%0a", b"%1f", b"%7f", b"%c2%85", b"%e2%80%8b", b"%ff", b"%ed%a0%80", b"\xff")
        ],
        pytest.param(b"topic=%00https://[/x", M8, CHARACTERS, id="nobody names a target"),
        pytest.param(b"match=" + b"a" * 4097, STRICT, "pattern too long (max 4096 bytes)", id="S16 exact"),
        pytest.param(b"topic=" + b"a" * 4097, M8, "pattern too long (max 4096 bytes)", id="S16 selector"),
        pytest.param(b"match=" + b"%c3%a9" * 2049, STRICT, "pattern too long (max 4096 bytes)", id="S16 bytes"),
        pytest.param(b"match=a&" * 101, STRICT, "too many matchers (max 100)", id="S15"),
        pytest.param(b"match=a&" * 100 + b"match_urlpattern=b", BOTH, "too many matchers (max 100)", id="S15 mixed"),
        pytest.param(b"match=a&" * 3, HubSettings(matcher_limit=2), "too many matchers (max 2)", id="S15 as set"),
        pytest.param(b"topic=a&" * 1001, M8, 'Too many "topic" parameters.', id="S15 selectors"),
        pytest.param(b"topic={a}&" * 101, M8, "too many matchers (max 100)", id="templates"),
        pytest.param(
            b"topic={a}&match_urlpattern=b&" * 51, BOTH, "too many matchers (max 100)", id="patterns of both dialects"
        ),
        pytest.param(b"topic=" + b"{a}" * 257, M8, TOO_COMPLEX, id="variables"),
        pytest.param(b"topic={a,b,c,d}&" * 65, M8, TOO_COMPLEX, id="variables of all"),
        pytest.param(b"match_urlpattern=https://e.com/:a/:b/*/(c)&" * 65, STRICT, TOO_COMPLEX, id="dynamic parts"),
        pytest.param((b"topic={a}" + b"b" * 4093 + b"&") * 9, M8, TOO_COMPLEX, id="bytes"),
    ],
)
def test_bad_matchers_are_refused(query: bytes, settings: HubSettings, text: str) -> None:
    assert refused(query, settings) == (400, text)


@pytest.mark.parametrize("query", [b"match=a&" * 3, b"topic=a&" * 3, b"topic=a&match=b&match_urlpattern=c"])
def test_s15_where_each_matcher_is_told_of_all_count_together(query: bytes) -> None:
    settings = HubSettings(matcher_limit=2, subscriptions=True)
    assert refused(query, settings) == (400, "too many matchers (max 2)")
    assert len(asked(query, HubSettings(matcher_limit=3, subscriptions=True)).matchers) == 3


LONG_NAME = "match" + "\0" * 1_000_000


def test_s09_a_name_is_quoted_only_once_it_is_refused_and_then_not_whole() -> None:
    request = read_parameters(LONG_NAME.encode(), None, None, settings=BOTH)
    assert request.unknown == LONG_NAME, "nothing was made of it, before the token is known"
    with pytest.raises(HubRefusal) as caught:
        check_matchers(request, BOTH)
    shown = 'unknown topic matcher query parameter: "match' + "\\x00" * 95 + '"'
    assert caught.value.text == shown
    assert caught.value.reason == shown.replace("\\x00" * 95, "\\x00" * 15), "it may be a token that went astray"


def test_s15_s16_limits_may_be_reached() -> None:
    assert len(asked(b"match=a&" * 100 + b"topic=b&" * 1000, BOTH).matchers) == 1100
    for name in (b"match", b"match_urlpattern", b"topic"):
        asked(name + b"=" + b"%c3%a9" * 2048, BOTH)
    asked(b"match_urlpattern=https://e.com:8443/:a/*&topic={c,d,e}&" * 50, BOTH)
    asked((b"topic={a}" + b"b" * 4093 + b"&") * 8, M8)


def test_a_higher_limit_is_one_of_what_patterns_may_be_in_all_too() -> None:
    asked(b"topic={a,b,c}&" * 170, HubSettings(matcher_limit=200))
    assert size_limit(HubSettings(matcher_limit=200)) == 2 * size_limit(HubSettings(matcher_limit=1))


# -- QUERY ----------------------------------------------------------------------------------------------------------


def test_s04_the_query_and_the_body_are_united() -> None:
    request = asked(b"match=a", body=b"match=b&last_event_id=x")
    assert request.matchers == (exact("a"), exact("b"))
    assert request.cursor == "x"


def test_a_body_alone_will_do() -> None:
    assert asked(b"", body=b"match=b").matchers == (exact("b"),)


@pytest.mark.parametrize(("query", "cursor"), [(b"last_event_id=q", "q"), (b"last_event_id=", ""), (b"", "b")])
def test_s05_the_cursor_of_the_query_wins_even_if_empty(query: bytes, cursor: str) -> None:
    assert asked(query + b"&match=a", body=b"last_event_id=b").cursor == cursor


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        pytest.param(b"match=%zz", 400, "Bad Request", id="S06 escape"),
        pytest.param(b"match=a;b", 400, "Bad Request", id="S06 semicolon"),
        pytest.param(b"match=" + b"a" * 1019, 413, "Request Entity Too Large", id="S07"),
    ],
)
def test_a_bad_body_is_refused_at_once(body: bytes, status: int, text: str) -> None:
    with pytest.raises(HubRefusal) as caught:
        read_parameters(b"match=a", body, None, settings=HubSettings(body_limit=1024))
    assert (caught.value.status, caught.value.text) == (status, text)


def test_s07_a_body_has_a_limit_of_its_own_below_that_of_publications() -> None:
    assert (query_limit(BOTH), query_limit(HubSettings(body_limit=1024))) == (MAX_QUERY_BODY, 1024)
    assert asked(b"match=a", body=b"foo=" + b"a" * (MAX_QUERY_BODY - 4)).matchers == (exact("a"),)
    with pytest.raises(HubRefusal) as caught:
        read_parameters(b"match=a", b"foo=" + b"a" * (MAX_QUERY_BODY - 3), None, settings=BOTH)
    assert caught.value.status == 413


def test_s07_a_body_may_reach_its_limit() -> None:
    assert asked(b"match=a", HubSettings(body_limit=1024), body=b"foo=" + b"a" * 1020).matchers == (exact("a"),)


# -- the cursor -----------------------------------------------------------------------------------------------------

LEGACY_CURSORS = b"&lastEventID=M8&Last-Event-ID=M7"


@pytest.mark.parametrize(
    ("query", "header", "settings", "cursor"),
    [
        pytest.param(b"", None, STRICT, None, id="none"),
        pytest.param(b"&last_event_id=q", None, STRICT, "q", id="query"),
        pytest.param(b"", b"h", STRICT, "h", id="header"),
        pytest.param(b"&last_event_id=q", b"h", STRICT, "h", id="H04"),
        pytest.param(b"&last_event_id=q", b"", STRICT, "q", id="H05"),
        pytest.param(b"&last_event_id=q&last_event_id=r", None, STRICT, "q", id="first value"),
        pytest.param(b"&last_event_id=&last_event_id=r", None, STRICT, "", id="first value, empty"),
        pytest.param(b"&last_event_id=", None, STRICT, "", id="H06 query"),
        pytest.param(b"", b"", STRICT, "", id="H06 header"),
        pytest.param(b"", "id \N{SNOWMAN}".encode(), STRICT, "id \N{SNOWMAN}", id="UTF-8"),
        pytest.param(b"", "id é".encode("latin-1"), STRICT, "id é", id="Latin-1, as fetch sends it"),
        pytest.param(b"&last_event_id=%ff", None, STRICT, "\N{REPLACEMENT CHARACTER}", id="query not UTF-8"),
        pytest.param(LEGACY_CURSORS, None, STRICT, None, id="strict hubs know no other"),
        pytest.param(LEGACY_CURSORS, None, BOTH, "M8", id="H14"),
        pytest.param(LEGACY_CURSORS, None, M8, "M8", id="H14 alone"),
        pytest.param(LEGACY_CURSORS, b"", M8, "M8", id="H14 empty header"),
        pytest.param(LEGACY_CURSORS + b"&last_event_id=q", None, BOTH, "q", id="of 1.0 first"),
        pytest.param(LEGACY_CURSORS + b"&last_event_id=", None, BOTH, "M8", id="the first that is not empty"),
        pytest.param(LEGACY_CURSORS, b"h", BOTH, "h", id="header first"),
        pytest.param(b"&Last-Event-ID=M7", None, M8, None, id="H15 not of 8"),
        pytest.param(b"&Last-Event-ID=M7", None, M7, "M7", id="H15"),
        pytest.param(b"&Last-Event-ID=M7", None, M19, "M7", id="H15 2019"),
        pytest.param(LEGACY_CURSORS, None, M7, "M8", id="8 before 7"),
        pytest.param(b"&lastEventId=polyfill", None, M8, "polyfill", id="the polyfill's"),
        pytest.param(
            LEGACY_CURSORS + b"&last_event_id=q&lastEventId=polyfill", None, BOTH, "polyfill", id="newest first"
        ),
        pytest.param(b"&lastEventId=polyfill", None, STRICT, None, id="strict hubs don't know the polyfill's"),
        pytest.param(b"&lastEventID=", None, M8, "", id="empty in 8"),
    ],
)
def test_the_cursor_is_the_first_that_is_not_empty(
    query: bytes, header: bytes | None, settings: HubSettings, cursor: str | None
) -> None:
    names = b"match=a" if settings.speaks_current else b"topic=a"
    assert asked(names + query, settings, header=header).cursor == cursor


# -- our own, and the token ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (b"", None),
        (b"&poll", 25),
        (b"&poll=", 25),
        (b"&poll=0", 0),
        (b"&poll=1.5", 1.5),
        (b"&poll=300", 300),
        (b"&poll=300.000", 300),
        (b"&poll=7&poll=8", 7),
    ],
)
def test_a_long_poll_says_how_long_it_waits(query: bytes, seconds: float | None) -> None:
    assert asked(b"match=a" + query, BOTH).poll == seconds


@pytest.mark.parametrize("name", [b"match", b"match_exact", b"match_urlpattern", b"topic"])
@pytest.mark.parametrize("value", [".", ".."])
def test_l01_what_watchers_could_not_be_told_of_is_not_subscribed_to(name: bytes, value: str) -> None:
    told = HubSettings(subscriptions=True)
    query = b"match=a&%b=%b" % (name, value.encode())
    text = f'"{value}": a topic matcher of this value is refused where subscriptions are told of'
    assert refused(query, told) == (400, text)
    assert len(asked(query, BOTH).matchers) == 2
    assert len(asked(query + b"/x", told).matchers) == 2


@pytest.mark.parametrize("value", [b"5", b"", b"soon"])
def test_s11_a_strict_hub_knows_no_polls(value: bytes) -> None:
    assert asked(b"match=a&poll=" + value, STRICT).poll is None


@pytest.mark.parametrize(
    "value", [b"-1", b"+1", b"300.1", b"301", b"1e2", b"nan", b"inf", b".5", b"5.", b"%205", b"5%0a", b"%d9%a5", b"no"]
)
def test_another_time_to_wait_is_refused(value: bytes) -> None:
    assert refused(b"match=a&poll=" + value, BOTH) == (400, 'Invalid "poll" parameter')


@pytest.mark.parametrize(
    ("query", "protocols", "tokens"),
    [
        (b"&authorization=x.y", ("1.0",), ()),
        (b"&authorization=x.y", ("1.0", "8"), ("x.y",)),
        (b"&authorization=x&authorization=y", ("8",), ("x", "y")),
        (b"&authorization=", ("8",), ("",)),
        (b"&access_token=x", ("8",), ()),
    ],
)
def test_a_token_is_a_parameter_where_older_dialects_are_spoken(
    query: bytes, protocols: tuple[Dialect, ...], tokens: tuple[str, ...]
) -> None:
    name = b"match=a" if "1.0" in protocols else b"topic=a"
    assert asked(name + query, HubSettings(protocols=protocols)).tokens == tokens


PIECES = [b"match", b"topic", b"_exact", b"=", b"&", b"%", b"41", b"a", b"\xff", b"poll", b"last_event_id"]


@given(
    query=st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join),
    header=st.none() | st.binary(max_size=4),
    settings=st.sampled_from([STRICT, BOTH, M8, M7, M19]),
)
def test_any_query_is_a_subscription_or_refused(query: bytes, header: bytes | None, settings: HubSettings) -> None:
    request = read_parameters(query, None, header, settings=settings)
    assert request.cursor is None or request.cursor.encode().decode() == request.cursor
    try:
        check_matchers(request, settings)
    except HubRefusal as refusal:
        refusal.text.encode()
    else:
        assert request.matchers
        assert all(is_plain_text(matcher.value) for matcher in request.matchers)
