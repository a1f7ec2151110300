"""Who is measured beside Holdfast: whatever is installed here."""

from __future__ import annotations

import shutil
from functools import partial

from tests.bench.options import Options
from tests.bench.servers import floor, holdfast, mercure, nchan, pushpin
from tests.bench.servers.process import Starter
from tests.bench.servers.way import Kind


def contenders(kind: Kind, options: Options) -> dict[str, Starter]:
    """Return how each server that holds clients of `kind` is started, the floor and Holdfast first."""
    found: dict[str, Starter] = {"floor": floor.start, "holdfast": holdfast.start}
    found.update(peers(kind, options))
    return found


def peers(kind: Kind, options: Options) -> dict[str, Starter]:
    """Return how each other server that holds clients of `kind` is started."""
    found: dict[str, Starter] = {}
    if kind is not Kind.MERCURE and shutil.which("pushpin"):
        found["pushpin"] = pushpin.start
    if kind is not Kind.MERCURE and nchan.MODULE.exists():
        found["nchan"] = nchan.start
    if kind is not Kind.WEBSOCKET and options.mercure_hub is not None:
        found["mercure"] = partial(mercure.start, options.mercure_hub)
    return found
