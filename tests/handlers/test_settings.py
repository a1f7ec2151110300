"""The defaults of a hold are within their own bounds, and are those that Pushpin's operators know."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from typing import get_type_hints

import msgspec
import pytest

from handlers.settings import HoldSettings

HINTS = get_type_hints(HoldSettings, include_extras=True)


@pytest.mark.parametrize(("key", "value"), asdict(HoldSettings()).items())
def test_a_default_is_within_its_own_bounds(key: str, value: object) -> None:
    assert msgspec.convert(value, HINTS[key]) == value


@pytest.mark.parametrize(("key", "value"), [("subscription_limit", 20), ("id_cache_ttl", 60), ("idle_timeout", 1800)])
def test_what_pushpin_has_too_has_the_same_default(key: str, value: float) -> None:
    assert getattr(HoldSettings(), key) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("subscription_limit", 0),
        ("outbox_limit", 0),
        ("kept_limit", -1),
        ("id_cache_ttl", float("nan")),
        ("idle_timeout", float("inf")),
        ("user_timeout", -0.5),
        ("kernel_unsent_limit", 2**31),
    ],
)
def test_a_value_out_of_bounds_is_refused(key: str, value: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, HINTS[key])


def test_settings_cannot_be_changed_while_in_force() -> None:
    with pytest.raises(FrozenInstanceError):
        HoldSettings().idle_timeout = 5  # type: ignore[misc]
