"""Listening Unix sockets: their files are made, replaced when nobody listens there any more, and removed at the end."""

from __future__ import annotations

import errno
import grp
import logging
import os
import pwd
import socket
import stat
from contextlib import suppress
from pathlib import Path

from handlers.protocol.unix_address import UnixAddress

log = logging.getLogger("holdfast")


class UnixListener:
    """A listening socket and its file. Whoever serves takes the socket; the file is removed at the end."""

    def __init__(self, address: UnixAddress, sock: socket.socket) -> None:
        self.address = address
        self.sock = sock
        self._path = Path(address.path)
        self._inode = _inode(self._path)

    def close(self) -> None:
        """Remove the file and close the socket, which nobody serves."""
        self.remove_file()
        self.sock.close()

    def remove_file(self) -> None:
        """Remove the file, unless it is another's by now. Nobody connects any more; the socket stays as it is."""
        with suppress(OSError):
            if self._inode == _inode(self._path):
                self._path.unlink()


def listen_unix(address: UnixAddress, *, backlog: int) -> UnixListener:
    """Bind, set whose the file is, and listen. A file that a dead process has left is replaced.

    Raises OSError with the path as its `filename`: somebody listens there, it is not a socket, there is no such user,
    or it may not be given away. Nothing is left then.
    """
    try:
        _remove_stale(address.path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(address.path)
            listener = UnixListener(address, sock)
        except OSError:
            sock.close()
            raise
        try:
            _hand_over(address)  # before it listens: nobody else gets in meanwhile
            sock.listen(backlog)
            sock.setblocking(False)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(address)) from error
    return listener


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise OSError(errno.EEXIST, "is there, and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)  # a full backlog is an answer, too
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            log.debug("unix:%s: replaced, nobody listens there", path)
            Path(path).unlink()
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _hand_over(address: UnixAddress) -> None:
    if address.user is not None or address.group is not None:
        user = -1 if address.user is None else _find_user(address.user)
        group = -1 if address.group is None else _find_group(address.group)
        os.chown(address.path, user, group)
    if address.mode is not None:
        Path(address.path).chmod(address.mode)


def _find_user(name: str) -> int:
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise OSError(errno.EINVAL, f"there is no user {name}") from error


def _find_group(name: str) -> int:
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise OSError(errno.EINVAL, f"there is no group {name}") from error


def _inode(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
