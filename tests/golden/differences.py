"""What is allowed to differ from the recorded conversations: differences.toml, and the table in docs/differences.md.

Used by the tests and the recorder. The file is written by hand, because each entry is a decision; the table is written
from it. An entry names lines and not only a case, so that nothing else in that case may differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from tests.golden.playing import CaseName

HERE: Final = Path(__file__).parent
LIST_FILE: Final = HERE / "differences.toml"
TRANSCRIPTS: Final = HERE / "transcripts"
DOCUMENT_FILE: Final = HERE.parents[1] / "docs" / "differences.md"

BEGIN: Final = "<!-- begin: written by `python -m tests.golden.record` from tests/golden/differences.toml -->\n"
END: Final = "<!-- end -->\n"

_LINES_SHOWN: Final = 4
_START_SHOWN: Final = 40
_END_SHOWN: Final = 70


class Kind(StrEnum):
    """Why a difference is allowed."""

    KNOWN = "known"
    """A fault of 1.36 that ../shared/golden/README.md or ../shared/reference/clients.md names."""
    REQUIRED = "required"
    """The issue, a row of the reference that it names, or a defect of the reference's section 10 asks for it."""
    BETTER = "better"
    """Our choice. At most a tenth of a group."""
    LATER = "later"
    """The feature is not built yet."""


class Difference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines that differ in the same way, for the same reason, in each of `cases`."""

    cases: tuple[CaseName, ...]
    kind: Kind
    section: str
    """Where it is decided: in the RFC, the reference, or the golden README."""
    why: str
    lines: str
    """As `transcript.difference` returns them, one below the other."""
    shown: str = ""
    """Those of `lines` that say most, for the table. Empty shows the first few."""

    @property
    def changes(self) -> tuple[str, ...]:
        """`lines`, one by one."""
        return tuple(self.lines.splitlines())

    @property
    def highlights(self) -> tuple[str, ...]:
        """`shown`, one by one, or what stands for it."""
        return tuple(self.shown.splitlines()) or self.changes[:_LINES_SHOWN]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    difference: tuple[Difference, ...]


def listed() -> tuple[Difference, ...]:
    """Return the entries of differences.toml. Raises msgspec.ValidationError for one that is incomplete."""
    return msgspec.toml.decode(LIST_FILE.read_bytes(), type=_File).difference


def allowed(differences: Sequence[Difference], case: CaseName) -> Counter[str]:
    """Return the lines that may, and therefore must, differ in a case."""
    return Counter(line for each in differences if case in each.cases for line in each.changes)


def kept_transcript(case: CaseName) -> Path:
    """Return where Holdfast's own transcript of a case that differs is kept."""
    return TRANSCRIPTS / f"{case}.txt"


def document_text(document: str, differences: Sequence[Difference]) -> str:
    """Return docs/differences.md with the part between the marks written anew."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{''.join(_tables(differences))}{END}{after}"


def _tables(differences: Sequence[Difference]) -> Iterator[str]:
    yield "\n| Case | Line | Why | Decided by | Kind |\n|---|---|---|---|---|\n"
    for each in differences:
        if each.kind is not Kind.LATER:
            yield _row(_cases(each), _lines(each), each.why, each.section, each.kind)
    later = [each for each in differences if each.kind is Kind.LATER]
    if later:
        yield "\nThese differ until the feature is there:\n\n| Case | Lacks | Described in |\n|---|---|---|\n"
    for each in later:
        yield _row(_cases(each), each.why, each.section)
    yield "\n"


def _row(*cells: str) -> str:
    """A `|` within a cell would end it, even between backticks."""
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |\n"


def _cases(difference: Difference) -> str:
    return ", ".join(f"`{case}`" for case in difference.cases)


def _lines(difference: Difference) -> str:
    shown = [_code(line) for line in difference.highlights]
    if hidden := len(difference.changes) - len(shown):
        shown.append(f"and {hidden} more")
    return "<br>".join(shown)


def _code(line: str) -> str:
    """Write one changed line for a cell, its middle left out if it is long."""
    text = line[1:].lstrip(" <>")
    if len(text) > _START_SHOWN + _END_SHOWN:
        text = f"{text[:_START_SHOWN]}…{text[-_END_SHOWN:]}"
    return f"`{line[0]} {text}`"
