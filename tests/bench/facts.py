"""What a reader has to know of the machine and the programs that figures are from."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("uvloop", "aiohttp", "websockets", "msgspec", "httptools")
PROGRAMS = {"pushpin": ("pushpin", "--version"), "nginx": ("nginx", "-v"), "gcc": ("gcc", "--version")}


def facts(mercure_hub: Path | None) -> dict[str, str]:
    """Return names and values, to be shown in this order."""
    found = {
        "machine": f"{os.cpu_count()} cores of {processor()}, {memory_gigabytes()} GB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }
    commands = dict(PROGRAMS)
    if mercure_hub is not None:
        commands["Mercure hub"] = (str(mercure_hub.resolve()), "version")
    for name, command in commands.items():
        if shutil.which(command[0]):
            found[name] = first_line(*command)
    return found


def revision() -> str:
    """Return the commit that the checkout is at, with a plus sign where files differ from it; empty outside of git."""
    here = Path(__file__).parent
    if shutil.which("git") is None:
        return ""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=here, capture_output=True, text=True, check=False
    )
    return described.stdout.strip()


def first_line(*command: str) -> str:
    """Return the first line that a program says, wherever it says it."""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).partition("\n")[0].strip()


def processor() -> str:
    """Return what the processor calls itself."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory_gigabytes() -> int:
    """Return the machine's memory."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
