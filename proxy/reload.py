"""Loads the routes again when their file changes, or when told to (SIGHUP).

The file is looked at by `os.stat` at an interval rather than by inotify: that sees a file replaced by rename, a
symlink turned elsewhere (how Kubernetes swaps a mounted file) and changes on network and container mounts, which
inotify never reports, and it costs some microseconds. Made by the composition root. It never reads the file itself.
"""

from __future__ import annotations

import logging
from pathlib import Path

from handlers.timers import Clock, TimerHandle
from proxy.errors import RoutesFileError
from proxy.router import FileSource, Router

_log = logging.getLogger("holdfast.routes")

_Fingerprint = tuple[int, ...] | None


class RoutesReloader:
    """Watches the file of a router. Make it before the router's first `load`: later changes are then all seen.

    A change is acted on once the file has looked the same twice, so that a file still being written is not loaded:
    new routes are in force after one to two intervals. Routes from the command line are not watched.
    """

    def __init__(self, router: Router, *, clock: Clock, interval: float) -> None:
        """`interval` is in seconds."""
        self._router = router
        self._clock = clock
        self._interval = interval
        self._path = router.source.path if isinstance(router.source, FileSource) else None
        self._loaded = self._last = _fingerprint(self._path)
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch."""
        if self._path is not None and self._timer is None:
            self._arm()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reload(self) -> None:
        """Load the routes now, changed or not. A file that cannot be read is logged; the routes stay as they were."""
        # Taken before reading: whatever changes meanwhile is then seen at the next look.
        self._loaded = self._last = _fingerprint(self._path)
        try:
            self._router.load()
        except RoutesFileError as error:
            _log.error("%s; the routes stay as they were", error)

    def _arm(self) -> None:
        self._timer = self._clock.call_later(self._interval, self._look)

    def _look(self) -> None:
        # First of all, so that nothing that goes wrong below can end the watch.
        self._arm()
        now = _fingerprint(self._path)
        is_still = now == self._last
        self._last = now
        if is_still and now != self._loaded:
            _log.info("routes file changed, reloading")
            self.reload()


def _fingerprint(path: Path | None) -> _Fingerprint:
    """Return what changes with the file, or None while there is none to see.

    The time of the inode's own change is part of it: it tells apart what a copy with kept times leaves alike, and
    sees a file that has been made readable.
    """
    if path is None:
        return None
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
