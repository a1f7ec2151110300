"""A library put before a child's C library: it counts what is synced to the disk, and refuses writes when told to.

`compiled` makes it, once for a test run; `Disk` is how the child that was started with it sees it.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from tests.interop.program import installed

# Without headers, so that the compiler alone is needed, and not the C library's development files.
SOURCE = """
extern int *__errno_location(void);
extern void *dlsym(void *handle, const char *name);
#define NEXT(name) dlsym((void *) -1L, name)

int disk_syncs, disk_refusals, disk_refuse_writes, disk_refuse_syncs;

static int refused(int error) {
    if (error) { __sync_fetch_and_add(&disk_refusals, 1); *__errno_location() = error; }
    return error;
}

#define SYNC(name) int name(int file) { \\
    if (refused(disk_refuse_syncs)) return -1; \\
    int result = ((int (*)(int)) NEXT(#name))(file); \\
    if (!result) __sync_fetch_and_add(&disk_syncs, 1); \\
    return result; }
#define WRITE(name) long name(int file, const void *data, unsigned long size, long offset) { \\
    if (refused(disk_refuse_writes)) return -1; \\
    return ((long (*)(int, const void *, unsigned long, long)) NEXT(#name))(file, data, size, offset); }

SYNC(fsync) SYNC(fdatasync) WRITE(pwrite) WRITE(pwrite64)
"""


def compiled(folder: Path) -> Path:
    """Return the library for LD_PRELOAD. Without gcc the test is skipped, or fails in CI."""
    library = folder / "disk.so"
    subprocess.run(
        [installed("gcc", "gcc"), "-x", "c", "-", "-O1", "-shared", "-fPIC", "-nostdlib", "-o", library],
        input=SOURCE, text=True, check=True,
    )  # fmt: skip
    return library


class Disk:
    """The library from within a process that has it. Counters and switches are plain integers of its own."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)

    def _number(self, name: str) -> ctypes.c_int:
        return ctypes.c_int.in_dll(self._library, f"disk_{name}")

    @property
    def syncs(self) -> int:
        """How many syncs have succeeded."""
        return self._number("syncs").value

    @property
    def refusals(self) -> int:
        """How many writes and syncs were refused."""
        return self._number("refusals").value

    def refuse_writes(self, error: int) -> None:
        """Have all writes at a place of a file fail with `error`; 0 lets them pass again."""
        self._number("refuse_writes").value = error

    def refuse_syncs(self, error: int) -> None:
        """Have all syncs fail with `error`; 0 lets them pass again."""
        self._number("refuse_syncs").value = error
