"""Which folders of sockets with a path are missing, or not the checking user's to write to.

Called by `holdfast check`. In a unit, or for another user, it may be different: so these are warnings.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from handlers.protocol.unix_address import UnixAddress
from handlers.protocol.zmq_spec import ZmqSpec, parse_spec
from proxy.config import Settings
from proxy.protocol.route import Route, TargetKind

_ZHTTP = (TargetKind.ZHTTP, TargetKind.ZHTTPREQ)


def find_folder_risks(settings: Settings, routes: Iterable[Route]) -> Iterator[str]:
    """Yield what may keep a socket from being made, beginning with where the socket is named."""
    for origin, path in (*_unix_paths(settings), *_zeromq_paths(settings, routes)):
        folder = Path(path).parent
        if settings.runtime_folder and folder == Path(settings.runtime_folder) and not _is_there(folder):
            folder = folder.parent  # the start makes that one
        if not _is_there(folder):
            yield f"{origin}: there is no folder {folder} (RuntimeDirectory= of a unit makes one)"
        elif not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            yield f"{origin}: whoever runs this check cannot write to {folder}"


def _unix_paths(settings: Settings) -> Iterator[tuple[str, str]]:
    for address in settings.proxy.unix_addresses:
        yield f"proxy.unix_listen: {address}", address.path
    publish = settings.publish.address
    if isinstance(publish, UnixAddress):
        yield f"publish.listen: {publish}", publish.path


def _zeromq_paths(settings: Settings, routes: Iterable[Route]) -> Iterator[tuple[str, str]]:
    specs: list[tuple[str, ZmqSpec]] = [("zeromq", spec) for spec in settings.zeromq.bound]
    if settings.session.state:
        specs.append(("session.state", parse_spec(settings.session.state)))
    for route in routes:
        place = f"{route.source}:{route.line}"
        specs.extend((place, parse_spec(target.spec)) for target in route.targets if target.kind in _ZHTTP)
    for origin, spec in specs:
        if spec.has_file:
            yield f"{origin}: {spec.text}", spec.address


def _is_there(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except PermissionError:  # it may be, behind a folder that cannot be entered
        return True
