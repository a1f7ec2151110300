"""The ground every test stands on: its event loop, its time bound, and that no task fails unheard.

The loop is uvloop, as in production. HOLDFAST_TEST_LOOP=asyncio runs the same tests on the standard
library's loop (`make check` does), so that nothing comes to lean on what only one of the two promises.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import ParamSpec

import hypothesis
import pytest
import uvloop

P = ParamSpec("P")

LOOP_FACTORIES: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.SelectorEventLoop,
}

COROUTINE_BOUND = 45.0
"""Seconds a coroutine test may take. Less than pytest-timeout's, which can't say what was being awaited."""


def chosen_loop() -> str:
    """Return the name of the event loop this run is to use; anything unknown ends the run."""
    name = os.environ.get("HOLDFAST_TEST_LOOP", "uvloop")
    if name not in LOOP_FACTORIES:
        raise pytest.UsageError(f"HOLDFAST_TEST_LOOP is {name!r}; it may be {' or '.join(LOOP_FACTORIES)}")
    return name


def pytest_configure() -> None:
    # An example's time says nothing on a machine that others use too.
    hypothesis.settings.register_profile("holdfast", deadline=None)
    hypothesis.settings.load_profile("holdfast")


def pytest_report_header() -> str:
    return f"event loop: {chosen_loop()}"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    name = chosen_loop()
    return {name: LOOP_FACTORIES[name]}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = bounded(item.obj)


def bounded(test: Callable[P, Awaitable[None]]) -> Callable[P, Coroutine[None, None, None]]:
    """Return `test` made to fail, with the stack of what it awaits, after COROUTINE_BOUND seconds."""

    @functools.wraps(test)
    async def within_bound(*args: P.args, **kwargs: P.kwargs) -> None:
        async with asyncio.timeout(COROUTINE_BOUND):
            await test(*args, **kwargs)

    return within_bound


@pytest.fixture(autouse=True)
def _no_unheard_failure() -> Iterator[None]:
    """Fail a test during which asyncio logged an error: a lost task, a callback that raised."""
    unheard = Records(level=logging.ERROR)
    logger = logging.getLogger("asyncio")
    logger.addHandler(unheard)
    yield
    logger.removeHandler(unheard)
    if unheard.texts:
        pytest.fail("\n".join(unheard.texts))


class Records(logging.Handler):
    """Keeps the text of each record, traceback included."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))
