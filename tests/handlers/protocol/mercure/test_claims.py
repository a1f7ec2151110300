"""What claims grant, in the dialects' own words (reference 1.9.3, 2.1, 2.4, 3, 6.2 point 5)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.mercure.claims import (
    TokenError,
    check_audience,
    check_times,
    find_dialect,
    parse_grants,
)
from handlers.protocol.mercure.grants import Grants, SubscribeGrant, TokenDialect
from handlers.protocol.mercure.identity import DETAIL_TYPE
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.url_pattern import MatcherError

CURRENT, LEGACY = TokenDialect.CURRENT, TokenDialect.LEGACY
NOW = 1_000_000.0


def exact(value: str) -> Matcher:
    return Matcher(MatcherKind.EXACT, value)


def selector(value: str) -> Matcher:
    return Matcher(MatcherKind.SELECTOR, value)


def check(matcher: Matcher) -> None:
    if "bad" in matcher.value:
        raise MatcherError


def current(claim: object) -> Grants:
    return parse_grants({"authorization_details": claim}, CURRENT, speaks_2019=False, check=check)


def legacy(claim: object, *, speaks_2019: bool = False) -> Grants:
    return parse_grants({"mercure": claim}, LEGACY, speaks_2019=speaks_2019, check=check)


def detail(
    actions: object = ("subscribe",), topics: object = ({"match": "a"},), **members: object
) -> dict[str, object]:
    actions = list(actions) if isinstance(actions, tuple) else actions
    topics = list(topics) if isinstance(topics, tuple) else topics
    return {"type": DETAIL_TYPE, "actions": actions, "topics": topics, **members}


def topic(**members: object) -> dict[str, object]:
    return detail(topics=(members,))


NO_GRANTS = Grants(dialect=CURRENT, publish=())


# -- which dialect --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
@pytest.mark.parametrize("claims", [{}, {"mercure": {"publish": ["*"]}}, {"authorization_details": []}])
def test_a05_a30_an_access_token_is_of_1_0_whatever_it_claims(typ: str, claims: dict[str, object]) -> None:
    assert find_dialect(claims, typ=typ, speaks_current=True, speaks_legacy=True) is CURRENT


@pytest.mark.parametrize("typ", ["JWT", "jwt", None, 5, "at+jwt "])
def test_a04_another_type_is_refused_where_only_1_0_is_spoken(typ: object) -> None:
    with pytest.raises(TokenError, match="expected 'at\\+jwt'"):
        find_dialect({"mercure": {}}, typ=typ, speaks_current=True, speaks_legacy=False)


@pytest.mark.parametrize("typ", ["JWT", None])
@pytest.mark.parametrize("claim", [[], None, "x"])
def test_a30_details_without_the_type_are_no_older_token(typ: object, claim: object) -> None:
    claims = {"authorization_details": claim, "mercure": {"publish": ["*"]}}

    with pytest.raises(TokenError, match="expected 'at\\+jwt'"):
        find_dialect(claims, typ=typ, speaks_current=True, speaks_legacy=True)


@pytest.mark.parametrize("typ", ["JWT", None, 5])
@pytest.mark.parametrize("claims", [{}, {"mercure": {}}])
def test_any_other_token_is_an_older_one(typ: object, claims: dict[str, object]) -> None:
    assert find_dialect(claims, typ=typ, speaks_current=True, speaks_legacy=True) is LEGACY


def test_where_1_0_is_not_spoken_types_mean_nothing() -> None:
    claims: dict[str, object] = {"authorization_details": []}

    assert find_dialect(claims, typ="at+jwt", speaks_current=False, speaks_legacy=True) is LEGACY


# -- for whom, and how long -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "expires_at"),
    [
        ({"exp": NOW + 1}, NOW + 1),
        ({"exp": int(NOW) + 1}, NOW + 1),
        ({"exp": NOW + 0.5}, NOW + 0.5),
        ({"exp": NOW + 1, "nbf": NOW}, NOW + 1),
        ({"exp": NOW + 1, "nbf": None}, NOW + 1),
        ({"exp": NOW + 1, "iat": NOW + 1000}, NOW + 1),
    ],
)
def test_a10_a_token_is_valid_in_its_time_whenever_it_was_made(claims: dict[str, object], expires_at: float) -> None:
    assert check_times(claims, NOW, required=True) == expires_at


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, "it has no 'exp'"),
        ({"exp": None}, "it has no 'exp'"),
        ({"exp": NOW}, "it expired 0 seconds ago"),
        ({"exp": NOW - 60}, "it expired 60 seconds ago"),
        ({"exp": 0}, "it expired 1000000 seconds ago"),
        ({"exp": NOW + 1, "nbf": NOW + 2}, "it is valid only in 2 seconds"),
        ({"exp": str(NOW + 1)}, "its 'exp' is not a number"),
        ({"exp": True}, "its 'exp' is not a number"),
        ({"exp": [NOW + 1]}, "its 'exp' is not a number"),
        ({"exp": 10**400}, "its 'exp' is too large"),
        ({"exp": NOW + 1, "nbf": "soon"}, "its 'nbf' is not a number"),
    ],
)
def test_a09_a_token_is_not_valid_at_any_other(claims: dict[str, object], reason: str) -> None:
    with pytest.raises(TokenError) as caught:
        check_times(claims, NOW, required=True)

    assert str(caught.value) == reason


def test_an_older_token_may_do_without_an_end_but_keeps_to_the_one_it_has() -> None:
    assert check_times({}, NOW, required=False) is None
    with pytest.raises(TokenError, match="expired"):
        check_times({"exp": NOW}, NOW, required=False)


RESOURCE = "https://hub.example/.well-known/mercure"


@pytest.mark.parametrize("audience", [RESOURCE, [RESOURCE], ["x", RESOURCE], [5, RESOURCE]])
def test_a08_a_token_for_this_hub(audience: object) -> None:
    check_audience({"aud": audience}, RESOURCE)


@pytest.mark.parametrize(
    "audience", [None, "", [], "https://hub.example", RESOURCE + "/", ["x"], [[RESOURCE]], {RESOURCE: 1}, 5]
)
def test_a08_a_token_for_another(audience: object) -> None:
    with pytest.raises(TokenError, match="its 'aud' is"):
        check_audience({"aud": audience}, RESOURCE)


# -- 1.0: what is granted -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="empty"),
        pytest.param([{"type": "other", "actions": 5}, {"type": 5}, {"type": DETAIL_TYPE + "/"}], id="foreign types"),
        pytest.param([{"actions": ["publish"], "topics": [{"match": "*"}]}], id="no type"),
        pytest.param([None], id="a null entry"),
        pytest.param([detail(("fly", "presence"))], id="unknown actions"),
        pytest.param([{"type": "x"}] * 200, id="many foreign ones"),
    ],
)
def test_a11_a24_a_token_may_grant_nothing(claim: object) -> None:
    assert current(claim) == NO_GRANTS


def test_a11_the_claim_may_be_absent() -> None:
    assert parse_grants({"mercure": {"publish": ["*"]}}, CURRENT, speaks_2019=True, check=check) == NO_GRANTS


def test_a11_actions_say_what_topics_are_granted_for() -> None:
    grants = current(
        [
            detail(("publish", "fly"), ({"match": "p"},)),
            detail(("subscribe",), ({"match": "s"}, {"match": "/:id", "match_type": "urlpattern"}), payload={"n": 1}),
            detail(("subscribe", "publish"), ({"match": "b"},), payload=[None]),
        ]
    )

    pattern = Matcher(MatcherKind.URLPATTERN, "/:id")
    assert grants.publish == (exact("p"), exact("b"))
    assert grants.subscribe == (
        SubscribeGrant((exact("s"), pattern), {"n": 1}),
        SubscribeGrant((exact("b"),), [None]),
    )
    assert grants.readable == (exact("s"), pattern, exact("b"))


@pytest.mark.parametrize(
    ("members", "matcher"),
    [
        ({"match": "a"}, exact("a")),
        ({"match": "a", "match_type": None}, exact("a")),
        ({"match": "a", "match_type": ""}, exact("a")),
        ({"match": "a", "match_type": "exact"}, exact("a")),
        ({"match": "a", "match_type": "urlpattern"}, Matcher(MatcherKind.URLPATTERN, "a")),
        ({"match": "a{b}"}, exact("a{b}")),
        ({"match": "a", "other": 5}, exact("a")),
        ({"match": "*"}, exact("*")),
        ({"match": "*", "match_type": "foo"}, exact("*")),
    ],
)
def test_a11_matchers_are_read(members: dict[str, object], matcher: Matcher) -> None:
    assert current([detail(topics=(members,))]).readable == (matcher,)


@pytest.mark.parametrize("payload", [None, 5, "x", [], {"a": {"b": 1}}, False])
def test_a_payload_may_be_any_json(payload: object) -> None:
    assert current([detail(payload=payload)]).subscribe[0].payload == payload


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        pytest.param({}, "'authorization_details' is not an array", id="object"),
        pytest.param("x", "'authorization_details' is not an array", id="string"),
        pytest.param(["x"], "'authorization_details[0]' is not an object", id="string entry"),
        pytest.param([5], "'authorization_details[0]' is not an object", id="number entry"),
        pytest.param([{"type": DETAIL_TYPE, "topics": [{"match": "a"}]}], "actions' is not an array", id="no actions"),
        pytest.param([detail(())], "actions' is empty", id="empty actions"),
        pytest.param([detail("publish")], "actions' is not an array", id="actions a string"),
        pytest.param([detail(("publish", 5))], "actions' holds something else", id="numeric action"),
        pytest.param([{"type": DETAIL_TYPE, "actions": ["fly"]}], "topics' is not an array", id="no topics"),
        pytest.param([detail(topics=())], "topics' is empty", id="empty topics"),
        pytest.param([detail(topics="a")], "topics' is not an array", id="topics a string"),
        pytest.param([detail(topics=("a",))], "topics[0]' is not an object", id="topic a string"),
        pytest.param([topic()], "topics[0].match' is not a string", id="no match"),
        pytest.param([topic(match="")], "topics[0].match' is not a string, or empty", id="empty match"),
        pytest.param([topic(match=5)], "topics[0].match' is not a string", id="numeric match"),
        pytest.param([topic(match="a", match_type="URLPattern")], "unknown: 'URLPattern'", id="type's letter case"),
        pytest.param([topic(match="a", match_type="selector")], "unknown: 'selector'", id="the older type"),
        pytest.param([topic(match="a", match_type="regexp")], "unknown: 'regexp'", id="unknown type"),
        pytest.param([topic(match="a", match_type=5)], "match_type' is not a string", id="numeric type"),
        pytest.param(
            [topic(match="bad")], "topics[0]' is not a matcher: invalid topic matcher pattern", id="bad matcher"
        ),
        pytest.param([topic(match="a\x00")], "topics[0]' holds a control character", id="control character"),
        pytest.param([topic(match="a\u200d")], "topics[0]' holds a control character", id="format character"),
        pytest.param(
            [topic(match="é" * 2049, match_type="urlpattern")], "is longer than 4096 bytes", id="long pattern"
        ),
        pytest.param([{"type": DETAIL_TYPE, "Actions": ["publish"], "Topics": []}], "actions'", id="other letter case"),
        pytest.param([detail(), detail(()), detail()], "[1].actions' is empty", id="one bad among good ones"),
        pytest.param([detail()] * 101, "more than 100", id="too many details"),
        pytest.param([detail(topics=({"match": "a"},) * 101)], "more than 100", id="too many topics"),
        pytest.param([detail(topics=({"match": "a"},) * 51)] * 2, "more than 100", id="too many topics together"),
    ],
)
def test_a11_one_bad_detail_rejects_the_whole_token(claim: object, reason: str) -> None:
    with pytest.raises(TokenError) as caught:
        current(claim)

    assert reason in str(caught.value)


def test_a11_a_hundred_details_and_a_hundred_topics_are_accepted() -> None:
    assert len(current([detail()] * 100).subscribe) == 100
    assert len(current([detail(topics=({"match": "a"},) * 100)]).readable) == 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("*"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
MEMBERS = st.sampled_from(["type", "actions", "topics", "match", "match_type", "payload", "publish", "subscribe"])
NEARLY = st.recursive(
    JSON | st.sampled_from([DETAIL_TYPE, "publish", "subscribe", "exact"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
)


@given(claim=NEARLY, dialect=st.sampled_from(TokenDialect), speaks_2019=st.booleans())
def test_any_json_gives_grants_or_the_error(claim: object, dialect: TokenDialect, speaks_2019: bool) -> None:
    claims = {"authorization_details": claim, "mercure": claim}

    with contextlib.suppress(TokenError):
        assert parse_grants(claims, dialect, speaks_2019=speaks_2019, check=check).dialect is dialect
