"""Which verified tokens are remembered, how many, and for whom."""

from __future__ import annotations

from handlers.hub.key_ring import Role
from handlers.hub.keys import OneKey, make_key
from handlers.hub.signed import open_token
from handlers.hub.verified import LONGEST_TOKEN, MOST_TOKENS, VerifiedToken, VerifiedTokens
from handlers.protocol.mercure.grants import Grants, Token, TokenDialect
from tests.handlers.hub.signing import current_claims, token

VALUE = token(current_claims()).encode()
KEY = make_key("HS256", b"a secret that is long enough for anybody")


def verified(name: str = "me") -> VerifiedToken:
    return VerifiedToken(
        signed=open_token(VALUE),
        is_current=True,
        source=OneKey(KEY),
        key=KEY,
        token=Token(grants=Grants(dialect=TokenDialect.CURRENT), expires_at=None, name=name),
    )


def test_what_is_remembered_is_found_by_its_bytes_and_role() -> None:
    tokens, found = VerifiedTokens(), verified()
    tokens.remember(Role.PUBLISHER, VALUE, found)
    assert tokens.find(Role.PUBLISHER, VALUE) is found
    assert tokens.find(Role.SUBSCRIBER, VALUE) is None
    assert tokens.find(Role.PUBLISHER, VALUE + b"=") is None
    tokens.forget(Role.PUBLISHER, VALUE)
    tokens.forget(Role.PUBLISHER, VALUE)
    assert tokens.find(Role.PUBLISHER, VALUE) is None


def test_the_one_not_used_for_longest_makes_room() -> None:
    tokens, found = VerifiedTokens(), verified()
    for number in range(MOST_TOKENS):
        tokens.remember(Role.PUBLISHER, b"%d" % number, found)
    assert tokens.find(Role.PUBLISHER, b"0") is found
    tokens.remember(Role.PUBLISHER, b"5", verified("anew"))
    tokens.remember(Role.PUBLISHER, b"new", found)
    assert len(tokens) == MOST_TOKENS
    assert [tokens.find(Role.PUBLISHER, each) is not None for each in (b"0", b"1", b"2", b"5")] == [
        True,
        False,
        True,
        True,
    ]


def test_a_very_long_token_is_not_remembered() -> None:
    tokens = VerifiedTokens()
    tokens.remember(Role.PUBLISHER, b"x" * LONGEST_TOKEN, verified())
    tokens.remember(Role.PUBLISHER, b"x" * (LONGEST_TOKEN + 1), verified())
    assert len(tokens) == 1
