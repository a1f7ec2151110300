"""`python -m tests.golden.record`: play the recorded conversations, and write what follows from them anew.

That is: Holdfast's own transcripts of the cases that differ, and the table in docs/differences.md. differences.toml is
never touched: what it lacks, and what it lists without need, is printed, and the exit status is 1. With `--table` only
the table is written, and nothing is played.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from tests.golden import differences as listing
from tests.golden.differences import Difference
from tests.golden.playing import GOLDEN, CaseName, play, recorded
from tests.golden.transcript import difference, tidy


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    listed = listing.listed()
    if arguments not in ([], ["--table"]):
        sys.stderr.write("usage: python -m tests.golden.record [--table]\n")
        return 2
    faults = [] if arguments else _record(listed)
    document = listing.DOCUMENT_FILE.read_text("utf-8")
    listing.DOCUMENT_FILE.write_text(listing.document_text(document, listed), "utf-8")
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


def _record(listed: Sequence[Difference]) -> list[str]:
    """Play everything, keep the transcripts, and return what differences.toml should say and does not."""
    theirs = recorded()
    if not theirs:
        return [f"there are no transcripts in {GOLDEN}"]
    # The logs of all the Holdfasts, which a test would show beside its failure, say nothing here.
    with contextlib.redirect_stderr(io.StringIO()):
        ours = play(list(theirs))
    changes = {case: difference(theirs[case], ours[case]) for case in theirs}
    _keep({case: tidy(ours[case]) for case, lines in changes.items() if lines})
    equal = sum(not lines for lines in changes.values())
    sys.stdout.write(f"{equal} cases equal, {len(changes) - equal} differ\n")
    return [fault for case in theirs for fault in _faults(case, changes[case], listed)]


def _keep(transcripts: Mapping[CaseName, str]) -> None:
    for path in listing.TRANSCRIPTS.rglob("*.txt"):
        path.unlink()
    for case, transcript in transcripts.items():
        path = listing.kept_transcript(case)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(transcript, "utf-8")


def _faults(case: CaseName, lines: Sequence[str], listed: Sequence[Difference]) -> list[str]:
    allowed = listing.allowed(listed, case)
    if Counter(lines) == allowed:
        return []
    unlisted, gone = Counter(lines) - allowed, allowed - Counter(lines)
    return [f"{case}: not listed:", *unlisted.elements(), f"{case}: listed, but does not occur:", *gone.elements()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
