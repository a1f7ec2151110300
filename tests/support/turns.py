"""Turns of the running event loop: let it go idle, or turn it until something holds. Never by sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.support.patience import bounded

SETTLING_ROUNDS = 10
"""Turns of the loop after which everything that is not waiting for a socket has run."""


async def settle() -> None:
    """Run everything that does not wait for a socket."""
    for _ in range(SETTLING_ROUNDS):
        await asyncio.sleep(0)


async def until(holds: Callable[[], object]) -> None:
    """Turn the loop until `holds` says yes."""
    async with bounded():
        while not holds():  # noqa: ASYNC110  # what is waited for is not always the doing of one place
            await asyncio.sleep(0)
