"""The list of allowed differences, its table and the transcripts beside it say the same; nothing is played here."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.golden.differences import (
    DOCUMENT_FILE,
    TRANSCRIPTS,
    Difference,
    allowed,
    document_text,
    kept_transcript,
    listed,
)
from tests.golden.playing import CaseName
from tests.golden.transcript import difference, tidy, without_farewell

LISTED = listed()
CASES = sorted({case for each in LISTED for case in each.cases})

HEAD = "CASE a\n--- backend\n  < GET / HTTP/1.1\n"


@pytest.mark.parametrize("entry", LISTED, ids=[f"{n}-{entry.cases[0]}" for n, entry in enumerate(LISTED)])
def test_every_entry_says_which_lines_differ_and_why(entry: Difference) -> None:
    assert entry.cases
    assert entry.why
    assert entry.section
    assert entry.changes
    assert all(line[0] in "+-" for line in entry.changes)
    assert set(entry.highlights) <= set(entry.changes)


def test_the_table_in_the_documentation_is_written_from_the_list() -> None:
    document = DOCUMENT_FILE.read_text("utf-8")
    assert document == document_text(document, LISTED), "python -m tests.golden.record --table"


def test_a_transcript_of_ours_is_kept_of_every_case_that_differs_and_of_no_other() -> None:
    kept = {path.relative_to(TRANSCRIPTS).with_suffix("").as_posix() for path in TRANSCRIPTS.rglob("*.txt")}
    assert kept == set(CASES), "python -m tests.golden.record"


@pytest.mark.parametrize("case", CASES)
def test_the_kept_transcript_has_our_lines(case: CaseName) -> None:
    kept = Counter(kept_transcript(case).read_text("utf-8").replace(" link:gone,", "").splitlines())
    ours = Counter(line[1:] for line in allowed(LISTED, case).elements() if line[0] == "+")
    assert ours <= kept


@pytest.mark.parametrize(
    ("recorded", "ours", "lines"),
    [
        pytest.param("", "", (), id="equal"),
        pytest.param("  < a: 1\n", "  < a: 2\n", ("-  < a: 1", "+  < a: 2"), id="changed"),
        pytest.param("  < a: 1\n  < b: 2\n", "  < b: 2\n  < a: 1\n", ("+  < b: 2", "-  < b: 2"), id="another order"),
        pytest.param("  < a: 1\n\n", "  < a: 1\n", (), id="blank line"),
        pytest.param("  < accept: */*\n  < accept-encoding: deflate, gzip, br, zstd\n", "", (), id="added by zurl"),
        pytest.param("", "  < accept: */*\n", (), id="sent on"),
        pytest.param("  # backend closes\n", "", (), id="remark on the driver itself"),
        pytest.param("", "  < accept-encoding: gzip\n", ("+  < accept-encoding: gzip",), id="not to be sent on"),
        pytest.param("  < grip-feature: x, link:next\n", "  < grip-feature: x, link:next\n", (), id="feature"),
        pytest.param(
            "  < grip-feature: link:next, y\n", "  < grip-feature: link:next, link:gone, y\n", (), id="since 1.41"
        ),
        pytest.param("  # delivered after 0.1 s\n", "  # delivered after 0.3 s\n", (), id="at once"),
        pytest.param(
            "  # delivered after 4.5 to 6.5 s\n",
            "  # delivered after 0.3 s\n",
            ("-  # delivered after 4.5 to 6.5 s", "+  # delivered after less than 1 s"),
            id="too early",
        ),
    ],
)
def test_two_transcripts_differ_in(recorded: str, ours: str, lines: tuple[str, ...]) -> None:
    assert sorted(difference(HEAD + recorded, HEAD + ours)) == sorted(lines)


def test_a_kept_transcript_has_no_blanks_at_line_ends() -> None:
    assert tidy("  < [chunk 0] \n\n  < x\n") == "  < [chunk 0]\n\n  < x\n"


def test_a_farewell_is_left_out_with_its_answer() -> None:
    before = "--- backend\n  < POST /a\n\n  > 200\n\n"
    told = before + "  < POST /a\n  < [body, 12 bytes] DISCONNECT\\r\\n\n\n  > 200\n\n--- client\n"
    assert without_farewell(told) == before + "--- client\n"
    assert without_farewell("--- client\n") == "--- client\n"
