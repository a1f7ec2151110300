"""Which keys verify whose tokens, and settings that cannot be obeyed (reference 1.9.2, 6.2 point 5, row O11)."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest

from handlers.errors import InvalidSetting
from handlers.hub.jwks import FileKeySet
from handlers.hub.key_ring import KeyRing, Role
from handlers.hub.keys import OneKey
from handlers.hub.settings import HubSettings, IssuerSettings
from tests.handlers.hub.signing import OTHER_SECRET, SECRET, jwk, key_set, private_key, public_pem
from tests.support.clock import ManualClock

PUBLISHER, SUBSCRIBER = Role.PUBLISHER, Role.SUBSCRIBER
LONG = "k" * 64


def ring(**settings: object) -> KeyRing:
    return KeyRing(HubSettings(**settings), clock=ManualClock())  # type: ignore[arg-type]


def issuer(name: str = "https://issuer.example", **settings: object) -> IssuerSettings:
    return IssuerSettings(id=name, **settings)  # type: ignore[arg-type]


async def test_no_key_is_anothers() -> None:
    keys = ring(
        publisher_key=LONG,
        issuers=(issuer("a", publisher_key=SECRET, subscriber_key=OTHER_SECRET), issuer("b", subscriber_key=SECRET)),
    )
    sources = [keys.of_issuer(role, name) for role in Role for name in ("a", "b", "c", "")]
    there = [source for source in (*sources, *map(keys.of_legacy, Role)) if source is not None]

    assert [source is not None for source in sources] == [True, False, False, False, True, True, False, False]
    assert keys.of_legacy(SUBSCRIBER) is None
    assert len({id(key) for source in there for key in (await source.candidates("HS256", None)).keys}) == 4


@pytest.mark.parametrize(
    ("settings", "publisher", "subscriber"),
    [
        ({}, False, False),
        ({"publisher_key": LONG}, True, False),
        ({"subscriber_key": LONG}, False, True),
        ({"issuers": (issuer(publisher_key=LONG),)}, True, False),
        ({"issuers": (issuer(subscriber_key=LONG),)}, False, True),
    ],
    ids=range(5),
)
def test_there_are_keys_for_a_role_where_a_dialect_that_is_spoken_has_one(
    settings: dict[str, object], publisher: bool, subscriber: bool
) -> None:
    keys = ring(**settings)

    assert (keys.has_keys(PUBLISHER), keys.has_keys(SUBSCRIBER)) == (publisher, subscriber)


async def test_a_key_has_the_algorithm_of_its_role() -> None:
    pem = public_pem(private_key("ES256"))
    keys = ring(publisher_key=pem, publisher_algorithm="ES256", subscriber_key=LONG, subscriber_algorithm="HS512")
    publisher, subscriber = keys.of_legacy(PUBLISHER), keys.of_legacy(SUBSCRIBER)

    assert isinstance(publisher, OneKey)
    assert isinstance(subscriber, OneKey)
    assert (publisher.key.algorithm, subscriber.key.algorithm) == ("ES256", "HS512")


async def test_a_key_set_stands_in_the_place_of_a_key(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(jwk(private_key("ES256"), "ES256"), jwk(private_key("EdDSA"), "EdDSA")))
    only = issuer(publisher_jwks=path.as_uri(), jwks_algorithms=("EdDSA",))
    keys = ring(issuers=(only,), subscriber_jwks=path.as_uri())
    narrow, wide = keys.of_issuer(PUBLISHER, only.id), keys.of_legacy(SUBSCRIBER)

    assert isinstance(narrow, FileKeySet)
    assert isinstance(wide, FileKeySet)
    assert not (await narrow.candidates("ES256", None)).keys
    assert (await narrow.candidates("EdDSA", None)).keys
    assert (await wide.candidates("ES256", None)).keys


PEM_64 = base64.b64encode(public_pem(private_key("RS256")).encode()).decode()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        pytest.param({"publisher_key": f"base64:{PEM_64}"}, "publisher_key", id="o11 PEM with HS256"),
        pytest.param({"subscriber_key": LONG, "subscriber_algorithm": "RS256"}, "subscriber_key", id="o11 secret"),
        pytest.param({"publisher_key": "file:/no/such"}, "publisher_key", id="file"),
        pytest.param({"subscriber_jwks": "http://issuer.example/"}, "subscriber_jwks", id="key set in the clear"),
        pytest.param(
            {"issuers": (issuer(publisher_key="file:/no/such"),)}, "issuers[0].publisher_key", id="issuer's key"
        ),
        pytest.param(
            {"issuers": (issuer("a", publisher_key=LONG), issuer("b", subscriber_jwks="x"))},
            "issuers[1].subscriber_jwks",
            id="second's",
        ),
    ],
)
def test_what_cannot_be_obeyed_ends_the_start(settings: dict[str, object], key: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        ring(**settings)

    assert caught.value.key == key
    assert LONG not in str(caught.value)


def test_short_keys_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "holdfast.hub"):
        ring(publisher_key=SECRET, subscriber_key=LONG, issuers=(issuer(subscriber_key=SECRET),))

    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "issuers[0].subscriber_key, publisher_key"
    ]
