"""Debian's pushpin.conf, routes and internal.conf: the keys and values of package `pushpin` 1.36, without its comments.

`tests/support/pushpin` has them; a test holds them against the package's own files where that is installed.
"""

from __future__ import annotations

import errno
import random
import socket
from contextlib import ExitStack
from pathlib import Path

from tests.support.app_process import ROOT

FILES = ROOT / "tests" / "support" / "pushpin"

CONF = Path("/etc/pushpin/pushpin.conf")
"""The package's own, where it is installed."""

INTERNAL = Path("/usr/lib/pushpin/internal.conf")

_PORTS = (5560, 5561, 5562, 5563)


def debian_conf(folder: Path, *, routes: str = "* test", source: Path = FILES / "pushpin.conf") -> Path:
    """Write a copy into `folder`, with these routes beside it. Only the folders of its sockets are others."""
    text = source.read_text("utf-8")
    replaced = text.replace("rundir=/var/run/pushpin", f"rundir={folder / 'run'}")
    assert replaced != text
    path = folder / "pushpin.conf"
    path.write_text(replaced, "utf-8")
    (folder / "routes").write_text(f"{routes}\n", "utf-8")
    return path


def free_instance() -> int:
    """Return an N for `--id` whose four ports are free, below those that outgoing connections get."""
    for number in random.sample(range(1450, 2640), 100):
        with ExitStack() as opened:
            try:
                for port in _PORTS:
                    sock = opened.enter_context(socket.socket())
                    sock.bind(("127.0.0.1", port + 10 * number))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
        return number
    raise AssertionError("no four free ports")
