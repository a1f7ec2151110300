"""What is said of a token at the command line, by the hub's own judgement."""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path

import jwt
import pytest

from handlers.hub.settings import Dialect, HubSettings, IssuerSettings
from proxy.errors import SettingsError
from proxy.mercure_check import find_key_problems, run_check
from proxy.mercure_commands import add_mercure_commands
from tests.handlers.hub.signing import details, token

RESOURCE = "https://hub.example/.well-known/mercure"
KEY = "k" * 32
ISSUER = IssuerSettings(id="https://issuer.example", publisher_key=KEY, subscriber_key=KEY)
HUB = HubSettings(issuers=(ISSUER,), resource_identifier=RESOURCE)
LEGACY = HubSettings(publisher_key="p" * 32, subscriber_key=KEY)
FUTURE = int(time.time()) + 1000


def current(*actions: str, key: str = KEY, **claims: object) -> str:
    base: dict[str, object] = {"iss": ISSUER.id, "aud": RESOURCE, "exp": FUTURE, "sub": "me"}
    base["authorization_details"] = details(*actions) if actions else []
    return token({name: value for name, value in (base | claims).items() if value is not None}, key, typ="at+jwt")


def check(settings: HubSettings, *words: str, stdin: str = "") -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    add_mercure_commands(parser.add_subparsers())
    out = io.StringIO()
    status = run_check(parser.parse_args(["mercure-check", *words]), settings, io.StringIO(stdin), out)
    assert not any(shown and shown in out.getvalue() for shown in (words[0].strip("-"), stdin.strip(), KEY))
    return status, out.getvalue()


def test_a_token_that_is_accepted_is_explained() -> None:
    status, said = check(HUB, current("publish", "subscribe"))
    assert status == 0
    lines = said.splitlines()
    assert lines[0] == "dialect: 1.0"
    assert lines[1] == 'header: {"alg": "HS256", "typ": "at+jwt"}'
    assert lines[2] == "claims: {"
    assert any(line.startswith("expires: 20") and line.endswith("+00:00") for line in lines)
    assert lines[-4:] == [
        "publisher: accepted",
        "  may publish: every topic",
        "subscriber: accepted",
        "  may read private updates of: every topic",
    ]


def test_a_token_comes_from_stdin_too() -> None:
    assert check(HUB, "-", stdin=f"{current('publish')}\n")[0] == 0


def test_matchers_are_named_by_their_kind() -> None:
    topics = [{"match": "a"}, {"match": "https://e.com/:id", "match_type": "urlpattern"}]
    claim = [{"type": "https://mercure.rocks/authorization-detail", "actions": ["subscribe"], "topics": topics}]
    _, said = check(HUB, current(authorization_details=claim))
    assert "  may publish: nothing\n" in said
    assert '  may read private updates of: "a", URL pattern "https://e.com/:id"\n' in said
    both = HubSettings(protocols=("8", "2019"), subscriber_key=KEY)
    _, said = check(both, token({"mercure": {"subscribe": ["https://e.com/{id}", "x"]}}, KEY))
    assert '  may read private updates of: selector "https://e.com/{id}", selector "x"\n' in said
    assert '  may read updates for the targets: "https://e.com/{id}", "x"\n' in said


@pytest.mark.parametrize(
    ("protocols", "publish", "lines"),
    [
        (("8",), ["a"], ['may publish: selector "a"']),
        (("1.0", "8"), [], ["may publish: nothing"]),
        (
            ("1.0", "8", "7"),
            ["a"],
            ["may publish: public updates to every topic", 'may publish private updates to: selector "a"'],
        ),
        (("7",), [], ["may publish: public updates to every topic", "may publish private updates to: nothing"]),
        (
            ("2019",),
            ["a", "b"],
            ["may publish: public and private updates to every topic", 'may publish for the targets: "a", "b"'],
        ),
        (
            ("1.0", "2019"),
            [],
            ["may publish: public and private updates to every topic", "may publish for the targets: none"],
        ),
        (("8", "2019"), ["a"], ['may publish: selector "a"', 'may publish for the targets: "a"']),
        (("8", "2019"), ["*"], ["may publish: every topic", "may publish for the targets: every target"]),
        (
            ("7", "2019"),
            ["a"],
            [
                "may publish: public updates to every topic",
                'may publish private updates to: selector "a"',
                'may publish for the targets: "a"',
            ],
        ),
    ],
)
def test_what_older_dialects_leave_to_every_token_is_said(
    protocols: tuple[Dialect, ...], publish: list[str], lines: list[str]
) -> None:
    settings = HubSettings(protocols=protocols, publisher_key=KEY)
    status, said = check(settings, token({"mercure": {"publish": publish}}, KEY))
    assert status == 0
    assert [line.strip() for line in said.splitlines() if line.startswith("  may")] == lines


def test_a_token_of_1_0_publishes_what_it_grants_whatever_else_is_spoken() -> None:
    settings = HubSettings(protocols=("1.0", "7", "2019"), issuers=(ISSUER,), resource_identifier=RESOURCE)
    said = check(settings, current("publish"), "--role", "publisher")[1]
    assert said.endswith("  may publish: every topic\n  may publish for the targets: every target\n")


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (current("subscribe", key="wrong"), "its signature is wrong"),
        (current("subscribe", exp=1), "it expired"),
        (current("subscribe", exp=None), "it has no 'exp'"),
        (current("subscribe", nbf=FUTURE), "it is valid only in"),
        (current("subscribe", aud="https://other.example"), "its 'aud' is 'https://other.example', expected"),
        (current("subscribe", iss="https://other.example"), "its 'iss', 'https://other.example', has no key"),
        (current(authorization_details="x"), "'authorization_details' is not an array"),
        (token({"authorization_details": []}, KEY), "its 'typ' is 'JWT', expected 'at+jwt'"),
        (token({"mercure": {}}, KEY), "it is of a dialect before 1.0, and there is no key for those"),
    ],
)
def test_a_token_that_is_refused_is_told_why(shown: str, reason: str) -> None:
    status, said = check(HUB, shown)
    assert status == 1
    assert f"publisher: refused: {reason}" in said
    assert f"subscriber: refused: {reason}" in said


@pytest.mark.parametrize(("role", "status"), [("publisher", 1), ("subscriber", 0), (None, 0)])
def test_a_token_for_one_role_is_not_one_for_the_other(role: str | None, status: int) -> None:
    words = ("--role", role) if role else ()
    found, said = check(LEGACY, token({"mercure": {"publish": ["*"]}}, KEY), *words)
    assert found == status
    assert ("publisher: refused: its signature is wrong\n" in said) is (role != "subscriber")
    assert ("subscriber: accepted\n  may read private updates of: nothing, public updates only\n" in said) is (
        role != "publisher"
    )
    assert "dialect: 8 or before\n" in said
    assert "expires: never\n" in said


def test_a_role_without_keys_is_said_to_have_none() -> None:
    publishers = HubSettings(publisher_key=KEY)
    status, said = check(publishers, token({"mercure": {}}, KEY))
    assert status == 1
    assert "publisher: refused: its 'mercure' claim has no 'publish'\n" in said
    assert "subscriber: not looked at, since there is no key for this role: nobody is let in\n" in said
    anonymous = HubSettings(publisher_key=KEY, anonymous=True)
    assert "this role: anybody may read public updates\n" in check(anonymous, token({"mercure": {}}, KEY))[1]


def test_without_an_identifier_the_audience_is_not_checked_unless_it_is_given() -> None:
    derived = HubSettings(issuers=(ISSUER,))
    for audience in ("https://any.example", ["https://any.example"]):
        status, said = check(derived, current("publish", aud=audience))
        assert status == 0
        assert "audience: not checked" in said
    assert check(derived, current("publish", aud=None))[0] == 1
    status, said = check(derived, current("publish"), "--aud", "https://other.example")
    assert status == 1
    assert "audience: not checked" not in said
    assert check(derived, current("publish"), "--aud", RESOURCE)[0] == 0


@pytest.mark.parametrize("shown", ["x", "a.b.c", "é.é.é", "\udcff", "x" * 20_000])
def test_what_is_no_token_is_said_to_be_none(shown: str) -> None:
    status, said = check(HUB, "-", stdin=shown)
    assert status == 1
    assert said.startswith("refused: it ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("moment", [True, "x", 1e300, -1e300, []])
def test_an_expiry_that_is_none_is_said_to_be_none(moment: object) -> None:
    # pyjwt would not sign it as a token.
    shown = jwt.PyJWS().encode(json.dumps({"exp": moment}).encode(), KEY, "HS256", {"typ": "at+jwt"})
    status, said = check(HUB, shown)
    assert status == 1
    assert "expires: not a time" in said


def test_without_any_key_there_is_nothing_to_check_with() -> None:
    with pytest.raises(SettingsError, match="there is no key to check a token with"):
        check(HubSettings(), "x")


def test_o11_keys_that_cannot_be_used_are_found_before_the_start(tmp_path: Path) -> None:
    assert find_key_problems(HUB) == ()
    (missing,) = find_key_problems(HubSettings(publisher_key=f"file:{tmp_path / 'none'}"))
    assert missing == f"mercure.publisher_key: {tmp_path / 'none'} cannot be read: No such file or directory"
    (tmp_path / "key.pem").write_text("-----BEGIN PUBLIC KEY-----\n")
    (pem,) = find_key_problems(HubSettings(subscriber_key=f"file:{tmp_path / 'key.pem'}"))
    assert pem == "mercure.subscriber_key: is PEM, and its algorithm HS256 takes a secret"
    with pytest.raises(SettingsError, match=r"mercure\.publisher_key: .* cannot be read"):
        check(HubSettings(publisher_key=f"file:{tmp_path / 'none'}"), current("publish"))
