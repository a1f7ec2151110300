from __future__ import annotations

import math
import time
from pathlib import Path

import jwt
import pytest

from handlers.errors import InvalidSetting
from publish_api.authorization import REMEMBERED, Authorization, Grant
from publish_api.errors import AuthError
from publish_api.protocol.scope import Scope
from publish_api.settings import PublishSettings

KEY = "k" * 32
CHALLENGE = b'Bearer error="invalid_token"'


def bearer(key: str = KEY, algorithm: str = "HS256", **claims: object) -> str:
    return f"Bearer {jwt.encode(claims, key, algorithm=algorithm)}"


def in_seconds(seconds: int) -> int:
    return int(time.time()) + seconds


def test_without_token_and_key_everybody_may_publish() -> None:
    authorization = Authorization(PublishSettings())

    for header in (None, "", "Basic x", "Bearer whatever"):
        authorization.check(header)


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        (PublishSettings(token="t"), "Bearer t"),
        (PublishSettings(token="t"), "bearer  t "),
        (PublishSettings(token="t", jwt_key=KEY), "Bearer t"),
        (PublishSettings(jwt_key=KEY), bearer(iss="me", exp=in_seconds(3600))),
        (PublishSettings(jwt_key=KEY), bearer(exp=in_seconds(3600), aud="someone")),
        (PublishSettings(jwt_key=f"base64:{'a2tr' * 10}a2s="), bearer(exp=in_seconds(3600))),
        (PublishSettings(token="t", jwt_key=KEY), bearer(exp=in_seconds(3600))),
    ],
    ids=range(7),
)
def test_who_shows_the_token_or_a_signed_one_may_publish(settings: PublishSettings, header: str) -> None:
    Authorization(settings).check(header)


@pytest.mark.parametrize("header", [None, "", "Basic dDp0", "t"])
def test_who_shows_nothing_is_asked_for_a_token(header: str | None) -> None:
    with pytest.raises(AuthError) as caught:
        Authorization(PublishSettings(token="t")).check(header)

    assert (caught.value.text, caught.value.challenge) == ("Authorization required.", b"Bearer")


@pytest.mark.parametrize(
    ("settings", "header", "text"),
    [
        (PublishSettings(token="t"), "Bearer", "Invalid token."),
        (PublishSettings(token="t"), "Bearer T", "Invalid token."),
        (PublishSettings(token="t"), "Bearer \udcff\x00é", "Invalid token."),
        (PublishSettings(jwt_key=KEY), "Bearer ", "Invalid token."),
        (PublishSettings(jwt_key=KEY), "Bearer a.b.c", "Invalid token."),
        (PublishSettings(jwt_key=KEY), "Bearer \udcff.é.c", "Invalid token."),
        (PublishSettings(jwt_key=KEY), bearer("x" * 32, exp=in_seconds(3600)), "Invalid token."),
        (PublishSettings(jwt_key=KEY), bearer("x" * 64, "HS512", exp=in_seconds(3600)), "Invalid token."),
        (PublishSettings(jwt_key=KEY), bearer("", "none", exp=in_seconds(3600)), "Invalid token."),
        (PublishSettings(jwt_key=KEY), bearer(exp=in_seconds(-1)), "Token has expired."),
        (PublishSettings(jwt_key=KEY), bearer(iss="me"), "Token has no expiry."),
        (PublishSettings(jwt_key=KEY), f"Bearer {KEY}", "Invalid token."),
    ],
    ids=range(12),
)
def test_who_shows_a_wrong_token_is_told_what_is_wrong(settings: PublishSettings, header: str, text: str) -> None:
    with pytest.raises(AuthError) as caught:
        Authorization(settings).check(header)

    assert (caught.value.text, caught.value.challenge) == (text, CHALLENGE)


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t\n")
    (tmp_path / "key").write_text(f"{KEY}\n")
    authorization = Authorization(
        PublishSettings(token=f"file:{tmp_path / 'token'}", jwt_key=f"file:{tmp_path / 'key'}")
    )

    authorization.check("Bearer t")
    authorization.check(bearer(exp=in_seconds(3600)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("", "has 0 bytes, expected at least 1"),
        ("\n", "has 0 bytes, expected at least 1"),
    ],
)
def test_a_file_without_a_secret_does_not_open_the_port(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)

    with pytest.raises(InvalidSetting, match=rf"^token: {path}.* {reason}$"):
        Authorization(PublishSettings(token=f"file:{path}"))


def test_a_key_file_must_hold_enough_to_sign_with(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("short")

    with pytest.raises(InvalidSetting, match=r"has 5 bytes, expected at least 32$"):
        Authorization(PublishSettings(jwt_key=f"file:{path}"))


# -- what is remembered ---------------------------------------------------------------------------------------------


def test_a_good_header_is_remembered_until_its_token_ends() -> None:
    authorization = Authorization(PublishSettings(token="t", jwt_key=KEY))
    ends = in_seconds(60)
    signed = bearer(exp=ends)
    for _ in range(2):
        authorization.check(signed)
        authorization.check("Bearer t")
    assert authorization.known == {signed: Grant(ends), "Bearer t": Grant(math.inf)}


def test_when_that_time_has_come_it_is_looked_at_again() -> None:
    authorization = Authorization(PublishSettings(jwt_key=KEY))
    ended, renewed = bearer(exp=in_seconds(-1)), bearer(exp=in_seconds(60))
    authorization.known |= {ended: Grant(in_seconds(-1)), renewed: Grant(in_seconds(-1))}
    authorization.check(renewed)
    with pytest.raises(AuthError, match=r"Token has expired\."):
        authorization.check(ended)


@pytest.mark.parametrize(
    ("named", "lets"),
    [
        (None, "publish read close"),
        (["publish"], "publish"),
        (["read"], "read"),
        (["read", "close"], "read close"),
        ([], ""),
    ],
)
def test_a_token_may_be_for_less_than_everything(named: list[str] | None, lets: str) -> None:
    authorization = Authorization(PublishSettings(jwt_key=KEY))
    header = bearer(exp=in_seconds(60)) if named is None else bearer(exp=in_seconds(60), holdfast=named)
    for _ in range(2):
        for scope in Scope:
            if scope.value in lets.split():
                authorization.check(header, scope)
                continue
            with pytest.raises(AuthError, match=rf"^The token is not for this: {scope.value}\.$") as caught:
                authorization.check(header, scope)
            assert (caught.value.status, caught.value.challenge) == (403, b'Bearer error="insufficient_scope"')


def test_a_token_that_does_not_say_what_it_is_for_in_a_list_is_for_nothing() -> None:
    authorization = Authorization(PublishSettings(jwt_key=KEY))
    with pytest.raises(AuthError, match=r"^Invalid token\.$") as caught:
        authorization.check(bearer(exp=in_seconds(60), holdfast="read"))
    assert caught.value.status == 401


def test_a_token_may_end_later_than_any_clock() -> None:
    authorization = Authorization(PublishSettings(jwt_key=KEY))
    for _ in range(2):
        authorization.check(bearer(exp=10**400))


def test_bad_headers_are_not_remembered_and_good_ones_not_without_end() -> None:
    authorization = Authorization(PublishSettings(jwt_key=KEY))
    for number in range(200):
        authorization.check(bearer(exp=in_seconds(60), iss=str(number)))
        with pytest.raises(AuthError):
            authorization.check(f"Bearer {number}")
    assert 0 < len(authorization.known) <= REMEMBERED
