"""When there is a hub, and what a playground makes of its settings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_type_hints

import msgspec
import pytest

from handlers.hub.settings import (
    DEVELOPMENT_ISSUER,
    DEVELOPMENT_KEY,
    PLAYGROUND_COOKIE,
    HubSettings,
    IssuerSettings,
    effective,
)

HINTS = get_type_hints(HubSettings, include_extras=True)
ISSUER = IssuerSettings(id="https://issuer.example", publisher_key="secret")


@pytest.mark.parametrize(("key", "value"), asdict(HubSettings()).items())
def test_a_default_is_within_its_own_bounds(key: str, value: object) -> None:
    assert msgspec.convert(value, HINTS[key]) == value


@pytest.mark.parametrize(
    ("settings", "enabled", "publishers", "subscribers"),
    [
        (HubSettings(), False, False, False),
        (HubSettings(debugger=True, bridge="all"), False, False, False),
        (HubSettings(publisher_key="x"), True, True, False),
        (HubSettings(subscriber_key="x"), True, False, True),
        (HubSettings(publisher_jwks="https://a/b"), True, True, False),
        (HubSettings(subscriber_jwks="https://a/b"), True, False, True),
        (HubSettings(issuers=(ISSUER,)), True, True, False),
        (HubSettings(issuers=(IssuerSettings(id="a", subscriber_key="x"),)), True, False, True),
        (HubSettings(anonymous=True), True, False, True),
        (HubSettings(playground=True), True, False, False),
    ],
)
def test_there_is_a_hub_as_soon_as_anybody_can_use_it(
    settings: HubSettings, enabled: bool, publishers: bool, subscribers: bool
) -> None:
    found = (settings.is_enabled, settings.takes_publishers, settings.takes_subscribers)
    assert found == (enabled, publishers, subscribers)


def test_keys_are_not_shown_when_the_settings_are() -> None:
    issuer = IssuerSettings(id="a", publisher_key="hush", subscriber_key="hush")
    assert "hush" not in repr(HubSettings(issuers=(issuer,), publisher_key="hush", subscriber_key="hush"))


@pytest.mark.parametrize("settings", [HubSettings(), HubSettings(publisher_key="x", debugger=True)])
def test_without_a_playground_the_settings_stay_as_they_are(settings: HubSettings) -> None:
    assert effective(settings) is settings


def test_o09_a_playground_is_open_to_everybody() -> None:
    settings = effective(HubSettings(playground=True, publisher_key="x", cors_origins=("https://a.example",)))
    assert (settings.anonymous, settings.subscriptions, settings.debugger) == (True, True, True)
    assert (settings.cors_origins, settings.publish_origins) == (("*",), ("*",))
    assert settings.cookie_name == PLAYGROUND_COOKIE
    assert (settings.publisher_key, settings.subscriber_key, settings.issuers) == ("x", "", ())


def test_o10_a_playground_without_keys_has_the_one_that_everybody_knows() -> None:
    settings = effective(HubSettings(playground=True, publisher_algorithm="ES256"))
    assert (settings.publisher_key, settings.subscriber_key) == (DEVELOPMENT_KEY, DEVELOPMENT_KEY)
    assert (settings.publisher_algorithm, settings.subscriber_algorithm) == ("HS256", "HS256")
    (issuer,) = settings.issuers
    assert issuer == IssuerSettings(
        id=DEVELOPMENT_ISSUER, publisher_key=DEVELOPMENT_KEY, subscriber_key=DEVELOPMENT_KEY
    )
    assert issuer.publisher_key == issuer.subscriber_key == DEVELOPMENT_KEY


@pytest.mark.parametrize(("protocols", "issuers", "key"), [(("1.0",), 1, ""), (("8", "2019"), 0, DEVELOPMENT_KEY)])
def test_a_playgrounds_key_is_for_the_dialects_that_are_spoken(protocols: Any, issuers: int, key: str) -> None:
    settings = effective(HubSettings(playground=True, protocols=protocols))
    assert (len(settings.issuers), settings.publisher_key, settings.subscriber_key) == (issuers, key, key)
