from __future__ import annotations

import pytest

from publish_api.protocol.scope import EVERYTHING, Scope, parse_scopes


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, EVERYTHING),
        ({"holdfast": None}, EVERYTHING),
        ({"holdfast": []}, frozenset()),
        ({"holdfast": ["read"]}, {Scope.READ}),
        ({"holdfast": ["read", "close", "read"]}, {Scope.READ, Scope.CLOSE}),
        ({"holdfast": ["publish", "something", 5, []]}, {Scope.PUBLISH}),
        ({"holdfast": ["READ"]}, frozenset()),
        ({"scope": "openid"}, EVERYTHING),
    ],
)
def test_a_token_says_what_it_is_for(claims: dict[str, object], scopes: frozenset[Scope]) -> None:
    assert parse_scopes(claims) == scopes


@pytest.mark.parametrize("named", ["read", 5, {"read": True}, True, ""])
def test_what_is_no_list_is_an_error(named: object) -> None:
    with pytest.raises(ValueError, match=r"^holdfast is no list$"):
        parse_scopes({"holdfast": named})
