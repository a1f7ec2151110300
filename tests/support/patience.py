"""How long a test waits for something that must come. Used by everything here; tests never sleep.

A wait that runs out is a failure, so the bound is generous: it is only ever spent when something is broken.
"""

from __future__ import annotations

import asyncio
import os

PATIENCE = float(os.environ.get("HOLDFAST_TEST_PATIENCE", "20"))
"""Seconds. CI machines under load may set HOLDFAST_TEST_PATIENCE higher."""


def bounded(seconds: float = PATIENCE) -> asyncio.Timeout:
    """Bound a block: `async with bounded(): ...` raises TimeoutError when it runs out."""
    return asyncio.timeout(seconds)
