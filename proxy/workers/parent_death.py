"""Has the kernel kill this process when its parent has ended, also while it is stopped or hangs and can notice nothing.

It stands beside the life-line (`start`), which needs a loop that turns but no leave of anybody.
"""

from __future__ import annotations

import logging
import os
import signal

log = logging.getLogger("holdfast.worker")

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that the death of the parent's thread brings, which is its main one."""


def die_with_parent() -> bool:
    """Ask for it, where that is possible; say whether the parent is still there."""
    parent = os.getppid()
    try:
        import ctypes  # noqa: PLC0415  # where memory may not be made executable this can fail

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (OSError, ImportError, MemoryError, AttributeError) as error:
        log.debug("a worker that hangs may outlive its parent: %r", error)
    # It may have ended before it was asked for.
    return os.getppid() == parent
