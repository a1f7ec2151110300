"""Tokens taken apart: any bytes are one or are refused."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.hub.signed import TOKEN_LIMIT, SignedToken, open_token
from handlers.protocol.mercure.claims import TokenError
from tests.handlers.hub.signing import token


def segment(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def made(claims: bytes = b"{}", header: bytes = b'{"alg":"HS256"}') -> bytes:
    return b".".join((segment(header), segment(claims), segment(b"signature")))


def test_a_token_is_taken_apart() -> None:
    value = token({"a": 1}, kid="k", typ="at+jwt").encode()
    signed = open_token(value)

    assert signed.claims == {"a": 1}
    assert (signed.algorithm, signed.kid, signed.header["typ"]) == ("HS256", "k", "at+jwt")
    assert signed.signed + b"." + segment(signed.signature) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(b"", "it is not a signed token: Not enough segments", id="empty"),
        pytest.param(b"a.b", "it is not a signed token", id="two parts"),
        pytest.param(b"\xff" * 50, "it is not a signed token", id="no text"),
        pytest.param(b"!.!.!", "it is not a signed token: Invalid header padding", id="no base64"),
        pytest.param(made(header=b"[]"), "it is not a signed token", id="header an array"),
        pytest.param(made(header=b'{"kid":5}'), "it is not a signed token", id="kid a number"),
        pytest.param(made(header=b'{"crit":["x"],"x":1}'), "it is not a signed token: Unsupported", id="critical"),
        pytest.param(made(header=b"[" * 9000), "it is not a signed token", id="header's depth"),
        pytest.param(made(b"x"), "its claims are not JSON", id="claims no JSON"),
        pytest.param(made(b'{"a":"\xff"}'), "its claims are not JSON", id="claims no UTF-8"),
        pytest.param(made(b'{"a":"\\ud800"}'), "its claims are not JSON", id="claims with half a character"),
        pytest.param(made(b'{"exp":1e999}'), "its claims are not JSON", id="claims with infinity"),
        pytest.param(made(b"[" * 9000), "its claims are not JSON", id="claims' depth"),
        pytest.param(made(b"[]"), "its claims are not an object", id="claims an array"),
        pytest.param(b"a" * (TOKEN_LIMIT + 1), "it has 16385 bytes, more than 16384", id="too long"),
    ],
)
def test_anything_else_is_refused(value: bytes, reason: str) -> None:
    with pytest.raises(TokenError) as caught:
        open_token(value)

    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("header", [b"{}", b'{"alg":null}', b'{"alg":5}', b'{"alg":"none"}', b'{"alg":"NoNe"}'])
def test_a06_a_token_without_a_signature_names_no_algorithm(header: bytes) -> None:
    with pytest.raises(TokenError, match="it is not signed"):
        _ = open_token(made(header=header)).algorithm


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"sub": "me", "client_id": "c", "iss": "i"}, "me"),
        ({"sub": "", "client_id": "c"}, "c"),
        ({"sub": 5, "jti": "j"}, "j"),
        ({"iss": "i"}, "i"),
        ({"sub": "a\nb" + "c" * 200}, "a\N{REPLACEMENT CHARACTER}b" + "c" * 97),
        ({}, "unnamed"),
    ],
)
def test_a_token_has_a_name_for_log_lines(claims: dict[str, object], name: str) -> None:
    assert open_token(token(claims).encode()).name == name


@given(st.binary() | st.builds(made, st.binary(), st.binary()) | st.builds(made, st.binary()))
def test_any_bytes_are_a_token_or_refused(value: bytes) -> None:
    with contextlib.suppress(TokenError):
        assert isinstance(open_token(value), SignedToken)
