"""Tokens made at the command line: what they say, what they are signed with, and what is refused unsigned."""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from handlers.hub.settings import DEVELOPMENT_ISSUER, DEVELOPMENT_KEY, HubSettings, IssuerSettings
from handlers.protocol.mercure.identity import DETAIL_TYPE
from proxy.errors import SettingsError
from proxy.mercure_commands import add_mercure_commands
from proxy.mercure_token import run_token
from tests.handlers.hub.signing import private_key, private_pem, public_pem

RESOURCE = "https://hub.example/.well-known/mercure"
ISSUER = IssuerSettings(id="https://issuer.example", publisher_key="k" * 32, subscriber_key="k" * 32)
CURRENT = HubSettings(issuers=(ISSUER,), resource_identifier=RESOURCE)
LEGACY = HubSettings(publisher_key="p" * 32, subscriber_key="s" * 64, subscriber_algorithm="HS512")


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_mercure_commands(parser.add_subparsers())
    return parser.parse_args(["mercure-token", *words])


def make(settings: HubSettings, *words: str) -> str:
    out = io.StringIO()
    assert run_token(parse(*words), settings, out) == 0
    return out.getvalue()


def claims_of(token: str, key: Any, algorithm: str = "HS256", **options: Any) -> dict[str, Any]:
    """Verify the one line that was printed."""
    assert token.count("\n") == 1
    return jwt.decode(token.strip(), key, algorithms=[algorithm], options={"verify_aud": False}, **options)


def refused(settings: HubSettings, *words: str) -> str:
    out = io.StringIO()
    with pytest.raises(SettingsError) as caught:
        run_token(parse(*words), settings, out)
    assert out.getvalue() == ""
    return str(caught.value)


def test_a_token_of_1_0_has_what_the_protocol_asks_for() -> None:
    token = make(CURRENT, "--publish", "*", "--subscribe", "a", "--subscribe-urlpattern", "https://e.com/:id")
    assert jwt.get_unverified_header(token.strip()) == {"alg": "HS256", "typ": "at+jwt"}
    claims = claims_of(token, "k" * 32)
    assert time.time() - 60 < claims["iat"] <= time.time()
    assert claims.pop("exp") - claims.pop("iat") == 3600
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "iss": "https://issuer.example",
        "aud": RESOURCE,
        "sub": "holdfast",
        "client_id": "holdfast",
        "authorization_details": [
            {"type": DETAIL_TYPE, "actions": ["publish"], "topics": [{"match": "*"}]},
            {
                "type": DETAIL_TYPE,
                "actions": ["subscribe"],
                "topics": [{"match": "a"}, {"match": "https://e.com/:id", "match_type": "urlpattern"}],
            },
        ],
    }


def test_options_go_before_the_settings() -> None:
    words = ("--iss", "i", "--aud", "a", "--sub", "s", "--client-id", "c", "--kid", "k", "--ttl", "90s")
    token = make(CURRENT, *words, "--key", "x" * 64, "--alg", "HS512")
    assert jwt.get_unverified_header(token.strip()) == {"alg": "HS512", "typ": "at+jwt", "kid": "k"}
    claims = claims_of(token, "x" * 64, "HS512")
    assert [claims[name] for name in ("iss", "aud", "sub", "client_id")] == ["i", "a", "s", "c"]
    assert claims["exp"] - claims["iat"] == 90


def test_a_payload_is_what_subscriptions_are_shown_with() -> None:
    words = ("--publish", "a", "--subscribe", "b", "--payload", '{"name":"me"}')
    publish, subscribe = claims_of(make(CURRENT, *words), "k" * 32)["authorization_details"]
    assert "payload" not in publish
    assert subscribe["payload"] == {"name": "me"}
    legacy = claims_of(make(LEGACY, *words[2:], "--legacy"), "s" * 64, "HS512")["mercure"]
    assert legacy == {"subscribe": ["b"], "payload": {"name": "me"}}


@pytest.mark.parametrize("words", [(), ("--legacy",), ("--protocol", "8"), ("--protocol", "2019")])
def test_a_token_from_before_1_0_has_a_mercure_claim(words: tuple[str, ...]) -> None:
    token = make(LEGACY, *words, "--subscribe", "https://e.com/{id}", "--ttl", "0")
    assert jwt.get_unverified_header(token.strip()) == {"alg": "HS512", "typ": "JWT"}
    claims = claims_of(token, "s" * 64, "HS512")
    del claims["iat"]
    assert claims == {"mercure": {"subscribe": ["https://e.com/{id}"]}}
    assert claims_of(make(LEGACY, *words, "--publish", "a"), "p" * 32)["mercure"] == {"publish": ["a"]}


@pytest.mark.parametrize(
    ("settings", "claim"),
    [
        (HubSettings(), "authorization_details"),
        (CURRENT, "authorization_details"),
        (HubSettings(protocols=("8",)), "mercure"),
        (HubSettings(protocols=("2019",)), "mercure"),
        (HubSettings(protocols=("1.0",)), "authorization_details"),
    ],
)
def test_the_dialect_is_the_one_that_there_are_keys_for(settings: HubSettings, claim: str) -> None:
    words = ("--key", "k" * 32, "--iss", "i", "--aud", "a", "--subscribe", "x")
    assert claim in claims_of(make(settings, *words), "k" * 32)


def test_with_keys_from_before_1_0_it_is_older_unless_an_issuer_or_an_audience_is_named() -> None:
    words = ("--key", "k" * 32, "--subscribe", "x")
    assert "mercure" in claims_of(make(LEGACY, *words), "k" * 32)
    parties = ("--iss", "i", "--aud", "a")
    assert "authorization_details" in claims_of(make(LEGACY, *words, *parties), "k" * 32)


def test_for_development_nothing_need_be_given() -> None:
    for settings in (HubSettings(), CURRENT):
        claims = claims_of(make(settings, "--dev"), DEVELOPMENT_KEY)
        assert claims["iss"] == DEVELOPMENT_ISSUER
        assert claims["aud"] == (settings.resource_identifier or "https://localhost/.well-known/mercure")
        assert [each["topics"] for each in claims["authorization_details"]] == [[{"match": "*"}]] * 2
    legacy = claims_of(make(HubSettings(), "--dev", "--legacy"), DEVELOPMENT_KEY)
    assert legacy["mercure"] == {"publish": ["*"], "subscribe": ["*"]}
    assert claims_of(make(HubSettings(), "--dev", "--subscribe", "a"), DEVELOPMENT_KEY)["authorization_details"] == [
        {"type": DETAIL_TYPE, "actions": ["subscribe"], "topics": [{"match": "a"}]}
    ]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_a_private_key_signs_what_the_hub_has_the_public_one_for(algorithm: str, tmp_path: Path) -> None:
    key = private_key(algorithm)
    (tmp_path / "key.pem").write_text(private_pem(key))
    settings = HubSettings(publisher_key=public_pem(key), publisher_algorithm=algorithm)
    words = ("--publish", "a", "--key", f"file:{tmp_path / 'key.pem'}", "--alg", algorithm)
    assert claims_of(make(settings, *words), public_pem(key), algorithm)["mercure"] == {"publish": ["a"]}
    assert "only verifies; give the private key" in refused(settings, "--publish", "a")


def test_a_key_of_the_settings_may_be_base64_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32 + "\n")
    for text in (f"file:{tmp_path / 'key'}", "base64:" + "a2tr" * 10 + "a2s="):
        assert claims_of(make(HubSettings(subscriber_key=text)), "k" * 32)["mercure"] == {}


def test_what_the_token_says_is_shown_where_that_is_asked_for() -> None:
    token, _, shown = make(CURRENT, "--subscribe", "a", "--pretty").partition("\n")
    said = json.loads(shown)
    assert said["header"] == {"alg": "HS256", "typ": "at+jwt"}
    assert said["claims"] == claims_of(f"{token}\n", "k" * 32)
    assert "k" * 32 not in shown


@pytest.mark.parametrize(
    ("settings", "words", "reason"),
    [
        (HubSettings(), (), "--iss is needed"),
        (HubSettings(), ("--iss", "i"), "--key is needed"),
        (HubSettings(), ("--iss", "i", "--key", "hush"), "--aud is needed"),
        (CURRENT, ("--iss", "other"), "--key is needed"),
        (LEGACY, ("--publish", "a", "--subscribe", "b"), "publishers and subscribers have different keys"),
        (HubSettings(publisher_key="x"), ("--subscribe", "b"), "--key is needed"),
        (HubSettings(publisher_jwks="https://a/b"), ("--publish", "b", "--legacy"), "--key is needed"),
        (CURRENT, ("--ttl", "0"), "--ttl: a token of 1.0 has to expire"),
        (CURRENT, ("--ttl", "soon"), "--ttl: expected a time"),
        (CURRENT, ("--ttl", "1ms"), "--ttl: is less than a second"),
        (CURRENT, ("--payload", "{}"), "--payload: goes with --subscribe"),
        (CURRENT, ("--payload", "{", "--subscribe", "a"), "--payload: is not JSON"),
        (CURRENT, ("--key", "file:/nowhere/key"), "--key: /nowhere/key cannot be read: No such file"),
        (CURRENT, ("--key", "base64:!"), "--key: what follows base64: is not base64"),
        (CURRENT, ("--key", "base64:="), "--key: nothing follows base64:"),
        (CURRENT, ("--key", "hush", "--alg", "ES256"), "the key does not go with the algorithm ES256"),
        (CURRENT, ("--key", "hush", "--alg", "HS1"), "the key does not go with the algorithm HS1"),
        (CURRENT, ("--subscribe", ""), "no hub would accept that: 'authorization_details[0].topics[0].match'"),
        (CURRENT, ("--subscribe-urlpattern", "https://[/"), "no hub would accept that"),
        (CURRENT, ("--publish", *("a", "--publish") * 100, "b"), "no hub would accept that"),
        (LEGACY, ("--protocol", "2019", "--subscribe-urlpattern", "a"), "--publish-urlpattern and"),
    ],
)
def test_what_no_hub_would_accept_is_refused(settings: HubSettings, words: tuple[str, ...], reason: str) -> None:
    text = refused(settings, *words)
    assert text.startswith(reason)
    assert "hush" not in text
