"""The ways of a peer to leave, for tests that run over all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.client import RawClient

LEAVINGS: dict[str, Callable[[RawClient], None]] = {
    "close": RawClient.close,
    "half-close": RawClient.half_close,
    "reset": RawClient.reset,
}
leavings = pytest.mark.parametrize("leaving", LEAVINGS)
"""Runs a test once for each, which it looks up by its name: `LEAVINGS[leaving](client)`."""
