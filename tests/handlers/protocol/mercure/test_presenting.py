"""How a token is shown (reference 1.9.1, 2.1), and from where a cookie publishes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import Challenge, HubRefusal
from handlers.protocol.mercure.presenting import (
    CURRENT_COOKIE,
    LEGACY_COOKIE,
    PresentingRules,
    ShownToken,
    TokenSource,
    check_origin,
    find_token,
    refusal,
    without_tokens,
)

TOKEN = "t" * 41
SHORT = "t" * 40
OTHER = "o" * 41

CURRENT = PresentingRules()
DUAL = PresentingRules(cookie_names=(CURRENT_COOKIE, LEGACY_COOKIE), query=True)
STRICT_8 = PresentingRules(cookie_names=(CURRENT_COOKIE, LEGACY_COOKIE), strict_legacy=True, query=True)
STRICT_7 = PresentingRules(cookie_names=(LEGACY_COOKIE,), strict_legacy=True)

HEADER, QUERY, COOKIE = TokenSource.HEADER, TokenSource.QUERY, TokenSource.COOKIE


def found(
    rules: PresentingRules, *authorization: str, cookies: tuple[str, ...] = (), query: tuple[str, ...] = ()
) -> ShownToken | None:
    return find_token(
        authorization=tuple(value.encode() for value in authorization),
        cookies=tuple(value.encode() for value in cookies),
        query_tokens=query,
        rules=rules,
    )


def refused(rules: PresentingRules, *authorization: str, query: tuple[str, ...] = ()) -> tuple[int, str, object]:
    with pytest.raises(HubRefusal) as caught:
        found(rules, *authorization, cookies=(f"{CURRENT_COOKIE}={TOKEN}",), query=query)
    assert TOKEN not in caught.value.reason
    return caught.value.status, caught.value.text, caught.value.challenge


BAD_REQUEST = (400, "Bad Request", Challenge.INVALID_REQUEST)
UNAUTHORIZED = (401, "Unauthorized", Challenge.INVALID_TOKEN)


# -- the header -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [CURRENT, DUAL], ids=["1.0", "1.0 and 8"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "])
def test_a01_the_scheme_is_bearer_in_any_letter_case(rules: PresentingRules, scheme: str) -> None:
    assert found(rules, f"{scheme} {TOKEN}") == ShownToken(TOKEN.encode(), HEADER)


@pytest.mark.parametrize("rules", [STRICT_8, STRICT_7], ids=["8", "7"])
def test_a02_where_1_0_is_not_spoken_the_scheme_is_written_in_one_way(rules: PresentingRules) -> None:
    assert found(rules, f"Bearer {TOKEN}") == ShownToken(TOKEN.encode(), HEADER)
    assert refused(rules, f"bearer {TOKEN}") == UNAUTHORIZED


WRONG_HEADERS = [
    pytest.param((f"Bearer {TOKEN}", f"Bearer {TOKEN}"), id="two headers"),
    pytest.param((f"Basic {TOKEN}",), id="another scheme"),
    pytest.param((f"Bearer {SHORT}",), id="a short token"),
    pytest.param(("Bearer",), id="no token"),
    pytest.param(("",), id="nothing at all"),
    pytest.param((TOKEN,), id="no scheme"),
    pytest.param((f"Bearer\t{TOKEN}",), id="a tab between"),
]


@pytest.mark.parametrize("rules", [CURRENT, DUAL], ids=["1.0", "1.0 and 8"])
@pytest.mark.parametrize("values", WRONG_HEADERS)
def test_a03_a14_a_wrong_header_is_a_bad_request_even_with_a_good_cookie(
    rules: PresentingRules, values: tuple[str, ...]
) -> None:
    assert refused(rules, *values) == BAD_REQUEST


@pytest.mark.parametrize("values", WRONG_HEADERS)
def test_a03_where_1_0_is_not_spoken_a_wrong_header_is_unauthorized(values: tuple[str, ...]) -> None:
    assert refused(STRICT_8, *values) == UNAUTHORIZED


@pytest.mark.parametrize(("length", "fits"), [(47, False), (48, True)])
def test_a_header_of_8_has_48_bytes_as_a_whole(length: int, fits: bool) -> None:
    value = "Bearer ".ljust(length, "t")

    if fits:
        assert found(STRICT_8, value) is not None
    else:
        assert refused(STRICT_8, value) == UNAUTHORIZED


# -- the cookie -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "cookies", "value"),
    [
        pytest.param(CURRENT, (f"{CURRENT_COOKIE}=x",), "x", id="the one"),
        pytest.param(CURRENT, (f"a=b; {CURRENT_COOKIE}=x; c=d",), "x", id="among others"),
        pytest.param(CURRENT, ("a=b", f"{CURRENT_COOKIE}=x"), "x", id="in a second header"),
        pytest.param(CURRENT, (f"{CURRENT_COOKIE}=x; {CURRENT_COOKIE}=y",), "x", id="the first of two"),
        pytest.param(CURRENT, (f'{CURRENT_COOKIE}="x"',), "x", id="quoted"),
        pytest.param(CURRENT, (f"{CURRENT_COOKIE}=x=y",), "x=y", id="with an equals sign"),
        pytest.param(CURRENT, (f"{CURRENT_COOKIE}=",), "", id="empty: it is there"),
        pytest.param(CURRENT, (f"{LEGACY_COOKIE}=x",), None, id="the older one where only 1.0 is spoken"),
        pytest.param(CURRENT, (f"{CURRENT_COOKIE.upper()}=x",), None, id="letter case counts"),
        pytest.param(CURRENT, (CURRENT_COOKIE,), None, id="without an equals sign"),
        pytest.param(DUAL, (f"{LEGACY_COOKIE}=x",), "x", id="the older one"),
        pytest.param(DUAL, (f"{LEGACY_COOKIE}=x; {CURRENT_COOKIE}=y",), "y", id="the newer before the older"),
        pytest.param(STRICT_8, (f"{LEGACY_COOKIE}=x",), "x", id="the older one where 1.0 is not spoken"),
        pytest.param(
            PresentingRules(cookie_names=("mine", CURRENT_COOKIE)), (f"{CURRENT_COOKIE}=x; mine=y",), "y", id="own name"
        ),
        pytest.param(CURRENT, (), None, id="none"),
    ],
)
def test_a_cookie_is_found_by_the_names_in_their_order(
    rules: PresentingRules, cookies: tuple[str, ...], value: str | None
) -> None:
    expected = None if value is None else ShownToken(value.encode(), COOKIE)
    assert found(rules, cookies=cookies) == expected


# -- the URL --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [CURRENT, STRICT_7], ids=["1.0", "7"])
def test_a17_a_token_in_the_url_is_ignored(rules: PresentingRules) -> None:
    assert found(rules, query=(TOKEN,)) is None


@pytest.mark.parametrize("rules", [DUAL, STRICT_8], ids=["1.0 and 8", "8"])
def test_a18_a_token_in_the_url_is_accepted(rules: PresentingRules) -> None:
    assert found(rules, query=(TOKEN,)) == ShownToken(TOKEN.encode(), QUERY)


@pytest.mark.parametrize("query", [(SHORT,), ("",), (TOKEN, TOKEN)], ids=["short", "empty", "twice"])
def test_a18_an_unusable_one_is_unauthorized_in_8_and_ignored_beside_1_0(query: tuple[str, ...]) -> None:
    assert refused(STRICT_8, query=query) == UNAUTHORIZED
    assert found(DUAL, query=query) is None


@pytest.mark.parametrize("rules", [DUAL, STRICT_8], ids=["1.0 and 8", "8"])
def test_a19_header_before_query_before_cookie(rules: PresentingRules) -> None:
    cookies = (f"{LEGACY_COOKIE}=c",)

    by_header = found(rules, f"Bearer {TOKEN}", cookies=cookies, query=(OTHER,))
    by_query = found(rules, cookies=cookies, query=(OTHER,))

    assert by_header == ShownToken(TOKEN.encode(), HEADER)
    assert by_query == ShownToken(OTHER.encode(), QUERY)
    assert found(rules, cookies=cookies) == ShownToken(b"c", COOKIE)


@given(
    authorization=st.lists(st.binary() | st.binary().map(b"Bearer ".__add__), max_size=2).map(tuple),
    cookies=st.lists(st.binary() | st.binary().map(f"{CURRENT_COOKIE}=".encode().__add__), max_size=2).map(tuple),
    query=st.lists(st.text(st.characters()), max_size=2).map(tuple),
    rules=st.sampled_from([CURRENT, DUAL, STRICT_8, STRICT_7]),
)
def test_any_bytes_are_a_token_none_or_a_refusal(
    authorization: tuple[bytes, ...], cookies: tuple[bytes, ...], query: tuple[str, ...], rules: PresentingRules
) -> None:
    with contextlib.suppress(HubRefusal):
        token = find_token(authorization=authorization, cookies=cookies, query_tokens=query, rules=rules)
        assert token is None or isinstance(token.value, bytes)


def encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


# -- origins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "referer", "listed"),
    [
        pytest.param("https://app.example", None, ("https://app.example",), id="listed"),
        pytest.param("https://APP.example", None, ("https://app.example",), id="b09 letter case of the request"),
        pytest.param("https://app.example", None, ("https://App.Example",), id="b09 letter case of the list"),
        pytest.param(None, "https://app.example/page?q#f", ("https://app.example",), id="by its Referer"),
        pytest.param(None, "https://me:pw@app.example:8443/", ("https://app.example:8443",), id="Referer with a port"),
        pytest.param("https://a.b.app.example", None, ("https://*.app.example",), id="wildcard for several labels"),
        pytest.param("https://app.example:8443", None, ("https://app.example:*",), id="wildcard for the port"),
        pytest.param("https://evil.example", None, ("*",), id="any"),
        pytest.param("null", None, ("null",), id="null, listed"),
        pytest.param("https://app.example", "https://evil.example/", ("https://app.example",), id="Origin wins"),
    ],
)
def test_a16_a_page_of_a_listed_origin_publishes_with_a_cookie(
    origin: str | None, referer: str | None, listed: tuple[str, ...]
) -> None:
    check_origin(encoded(origin), encoded(referer), listed)


@pytest.mark.parametrize(
    ("origin", "referer", "listed"),
    [
        pytest.param(None, None, ("*",), id="neither header, even if any may"),
        pytest.param("https://app.example", None, (), id="nothing listed"),
        pytest.param("https://evil.example", None, ("https://app.example",), id="another"),
        pytest.param("http://app.example", None, ("https://app.example",), id="another scheme"),
        pytest.param("https://app.example:8443", None, ("https://app.example",), id="another port"),
        pytest.param("https://evil.example", "https://app.example/", ("https://app.example",), id="Origin wins"),
        pytest.param("null", None, ("https://app.example", "https://*"), id="null"),
        pytest.param("", None, ("https://app.example",), id="empty"),
        pytest.param("https://app.example", None, ("https://*.app.example",), id="wildcard without a label"),
        pytest.param("https://evil.com/.app.example", None, ("https://*.app.example",), id="a slash in a wildcard"),
        pytest.param("https://app", None, ("https://app*app",), id="wildcard's ends overlap"),
        pytest.param("https://a.b.c", None, ("https://*.*.c",), id="two wildcards are none"),
        pytest.param(None, "not a url", ("*",), id="Referer that is no URL"),
        pytest.param(None, "http://[::1", ("*",), id="Referer that cannot be parsed"),
        pytest.param(None, "urn:x", ("*", "null"), id="Referer without an origin"),
        pytest.param(None, "https://evil.com\\.app.example/", ("https://*.app.example",), id="backslash"),
        pytest.param(None, "https://.app.example@evil.com/", ("https://*.app.example",), id="user info"),
    ],
)
def test_a16_any_other_page_does_not(origin: str | None, referer: str | None, listed: tuple[str, ...]) -> None:
    with pytest.raises(HubRefusal) as caught:
        check_origin(encoded(origin), encoded(referer), listed)

    assert (caught.value.status, caught.value.text, caught.value.challenge) == BAD_REQUEST


@given(origin=st.none() | st.binary(), referer=st.none() | st.binary() | st.binary().map(b"https://".__add__))
def test_any_origin_is_let_through_or_refused(origin: bytes | None, referer: bytes | None) -> None:
    with pytest.raises(HubRefusal):
        check_origin(origin, referer, ())


# -- what is answered -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("challenge", "status", "text"),
    [
        (Challenge.NO_TOKEN, 401, "Unauthorized"),
        (Challenge.INVALID_TOKEN, 401, "Unauthorized"),
        (Challenge.INVALID_REQUEST, 400, "Bad Request"),
        (Challenge.INSUFFICIENT_SCOPE, 403, "Forbidden"),
    ],
)
def test_each_fault_has_its_status(challenge: Challenge, status: int, text: str) -> None:
    refused = refusal(challenge, "the reason")

    assert (refused.status, refused.text, refused.challenge) == (status, text, challenge)
    assert str(refused) == "the reason"


# -- what is logged -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://h/p", "http://h/p"),
        ("/p?topic=a&x=y", "/p?topic=a&x=y"),
        ("/p?authorization=secret", "/p?authorization=..."),
        ("/p?a=b&authorization=secret&c=d#e", "/p?a=b&authorization=...&c=d#e"),
        ("/p?access_token=secret&jwt=secret", "/p?access_token=...&jwt=..."),
        ("/p?Authorization=secret&%61uthorization=secret", "/p?Authorization=...&%61uthorization=..."),
        ("/p?a=b;authorization=secret;c=d", "/p?a=b;authorization=...;c=d"),
        ("/p?authorization=secret=&authorization=secret?", "/p?authorization=...&authorization=..."),
        ("/p?authorization", "/p?authorization"),
        ("/p;x?authorization=secret", "/p;x?authorization=..."),
        ("/p?my_authorization=x&topic=authorization", "/p?my_authorization=x&topic=authorization"),
        ("/p?authorization=secr...(3000 bytes)", "/p?authorization=..."),
        ("/p;x=?authorization=secret", "/p;x=?authorization=..."),
        ("/p?a=?authorization=secret&b=?c", "/p?a=?authorization=...&b=?c"),
    ],
)
def test_no_log_line_has_the_token_of_an_url(uri: str, shown: str) -> None:
    assert without_tokens(uri) == shown


@given(st.text())
def test_any_text_can_be_shown(uri: str) -> None:
    assert TOKEN not in without_tokens(f"{uri}?authorization={TOKEN}")
