from __future__ import annotations

import base64
import time

import jwt
import pytest

from publish_api.credentials import make_authorization
from publish_api.errors import CommandError
from publish_api.protocol.grip_url import GripUrl, parse_grip_url

PLAIN = parse_grip_url("http://example.com")
LOCAL = parse_grip_url("http://localhost:5561")
SECURE = parse_grip_url("https://example.com")


@pytest.mark.parametrize("target", [LOCAL, SECURE, PLAIN])
def test_without_credentials_none_are_sent(target: GripUrl) -> None:
    assert make_authorization(target, user=None, bearer=None) is None


@pytest.mark.parametrize("target", [LOCAL, SECURE])
def test_options_are_sent_where_nobody_can_listen(target: GripUrl) -> None:
    basic = base64.b64encode("u:pé".encode()).decode()

    assert make_authorization(target, user="u:pé", bearer=None) == f"Basic {basic}"
    assert make_authorization(target, user=None, bearer="t") == "Bearer t"


@pytest.mark.parametrize(("user", "bearer"), [("u:p", None), (None, "t")])
def test_options_are_not_sent_in_the_clear_to_another_machine(user: str | None, bearer: str | None) -> None:
    with pytest.raises(CommandError, match=r"^Authentication requires https$"):
        make_authorization(PLAIN, user=user, bearer=bearer)


@pytest.mark.parametrize("key", ["k" * 32, "short", "base64:a2tr"])
def test_a_key_with_an_issuer_signs_a_token_that_expires(key: str) -> None:
    target = parse_grip_url(f"http://example.com?iss=me&key={key}")

    header = make_authorization(target, user=None, bearer=None)

    assert header is not None
    claims = jwt.decode(header.removeprefix("Bearer "), options={"verify_signature": False})
    assert claims["iss"] == "me"
    assert 3500 < claims["exp"] - time.time() <= 3600


def test_a_key_alone_is_the_token_and_options_win_over_it() -> None:
    target = parse_grip_url("https://example.com?key=k")

    assert make_authorization(target, user=None, bearer=None) == "Bearer k"
    assert make_authorization(target, user=None, bearer="t") == "Bearer t"


@pytest.mark.parametrize("token", ["", "a\r\nb", "é", "\udcff"])
def test_a_token_that_cannot_stand_in_a_header_is_refused(token: str) -> None:
    with pytest.raises(CommandError, match=r"^the bearer token must be visible ASCII$"):
        make_authorization(SECURE, user=None, bearer=token)
