"""Measures Holdfast beside the floor and its peers: `python -m tests.bench --help`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.bench import report, table
from tests.bench.build import NoCompilerError
from tests.bench.contents import ROWS
from tests.bench.facts import facts, revision
from tests.bench.interleave import show
from tests.bench.options import Options
from tests.bench.servers.process import ServerError

REPORT = Path(__file__).parents[2] / "docs" / "benchmarks"


def main() -> int:
    """Measure, print and write; return the exit status: 1 when a row could not be measured."""
    words = parse()
    keys = [key for key in ROWS if not words.rows or any(is_meant(row, key) for row in words.rows)]
    if not keys:
        print(f"no such row; there are: {', '.join(ROWS)}", file=sys.stderr)
        return 2
    rounds = words.rounds or (1 if words.quick else 5)
    options = Options(rounds=rounds, is_quick=words.quick, mercure_hub=words.mercure_hub)
    folder = words.out or (None if words.quick else REPORT)
    try:
        return measure(keys, options, folder)
    except NoCompilerError as error:
        print(error, file=sys.stderr)
        return 1


def is_meant(word: str, key: str) -> bool:
    """Say whether a word of the command line means a row: it is its name, or no row's name and the beginning of its."""
    return word == key or (word not in ROWS and key.startswith(word))


def measure(keys: list[str], options: Options, folder: Path | None) -> int:
    """Measure these rows, and write each to `folder` as soon as it is there."""
    here = facts(options.mercure_hub)
    print("\n".join(f"{name}: {value}" for name, value in here.items()), flush=True)
    failed = 0
    for key in keys:
        show(key)
        try:
            row = ROWS[key](options)
        except (ServerError, TimeoutError, subprocess.CalledProcessError) as error:
            show("")
            print(f"\n{key}: could not be measured: {error}", file=sys.stderr, flush=True)
            failed = 1
            continue
        show("")
        print(f"\n{table.text(row)}", flush=True)
        if folder is not None:
            kept = report.add(report.read(folder, here), row, revision=revision(), rounds=options.rounds)
            report.write(folder, kept, tuple(ROWS))
    return failed


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"rows to measure, or how they begin: {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, metavar="N", help="runs behind each figure (5, with --quick 1)")
    parser.add_argument(
        "--quick", action="store_true", help="only look whether it works: smaller, shorter, kept nowhere"
    )
    parser.add_argument("--mercure-hub", type=Path, metavar="PATH", help="the program of a Mercure hub to measure, too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the report is written (docs/benchmarks)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
