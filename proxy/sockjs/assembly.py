"""Puts the parts of SockJS together, for `proxy.client_side`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from handlers.session import Site
from handlers.sockjs.session import SockJsSite
from proxy.config import Settings
from proxy.errands import Errands
from proxy.sockjs.door import SockJsDoor
from proxy.sockjs.passing import Passing
from proxy.websocket import WebSockets


def make_sockjs_door(
    settings: Settings,
    *,
    site: Site,
    websockets: WebSockets,
    passing: Passing | None,
    has_room: Callable[[int], bool],
) -> SockJsDoor:
    """Make the door of SockJS; until a route has `sockjs` nothing comes to it."""
    shared = SockJsSite(site=site, settings=settings.sockjs, message_limit=settings.websocket.frame_limit)
    return SockJsDoor(
        shared=shared,
        limits=settings.websocket,
        websockets=websockets,
        script_url=settings.proxy.sockjs_url,
        passing=passing,
        has_room=has_room,
    )


def make_passing(settings: Settings, *, folder: Path | None, worker: int, errands: Errands) -> Passing | None:
    """Make what passes connections between workers; None where there is no `folder` for it, or one worker."""
    if folder is None or settings.proxy.workers == 1:
        return None
    return Passing(folder=folder, number=worker, workers=settings.proxy.workers, errands=errands)
