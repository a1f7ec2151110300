"""Compiles the benchmark's C programs, once for each state of their sources."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

NATIVE = Path(__file__).parent / "native"
CACHE = Path(__file__).parents[2] / ".venv" / "bench"
"""Ignored by git, and gone with `make clean`."""

FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


class NoCompilerError(Exception):
    """There is no C compiler."""

    def __str__(self) -> str:
        return "the benchmark compiles its load generator and its floor, and gcc is not there: apt-get install gcc"


def build(name: str) -> Path:
    """Return the program made of native/NAME.c and, if there are any, native/NAME_*.c; compile it if need be.

    Raises NoCompilerError, or CalledProcessError when the compiler refuses (which it has said on stderr).
    """
    sources = [NATIVE / f"{name}.c", *sorted(NATIVE.glob(f"{name}_*.c"))]
    program = CACHE / name
    newest = max(path.stat().st_mtime for path in (*sources, *NATIVE.glob("*.h")))
    if program.exists() and program.stat().st_mtime > newest:
        return program
    compiler = shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError
    CACHE.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(".new")
    subprocess.run([compiler, *FLAGS, "-o", fresh, *sources, "-lm"], check=True)
    fresh.replace(program)
    return program
