"""Conversations recorded with Pushpin 1.36, played with Holdfast: equal, or different as differences.toml says.

The recordings and their driver stand beside the checkout, in ../shared/golden, and are no part of the project; in a
checkout without them these tests are skipped. `python -m tests.golden.record` writes anew what is kept here.
"""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.conftest import chosen_loop
from tests.golden.differences import Kind, allowed, kept_transcript, listed
from tests.golden.playing import GOLDEN, GROUPS, TOO_SLOW, CaseName, play, recorded
from tests.golden.transcript import difference

RECORDED = recorded()
LISTED = listed()
PLAYED = [case for case in RECORDED if case not in TOO_SLOW]

if not RECORDED:
    pytest.skip(f"the recorded conversations are not there: {GOLDEN}", allow_module_level=True)
if chosen_loop() != "uvloop":
    pytest.skip("Holdfast has a process and a loop of its own here, so that one run is enough", allow_module_level=True)

# The first test waits for all conversations.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def ours() -> dict[CaseName, str]:
    """Play all cases."""
    return play(PLAYED)


@pytest.mark.parametrize("case", PLAYED)
def test_a_case_differs_from_its_recording_only_as_listed(case: CaseName, ours: dict[CaseName, str]) -> None:
    expected, lines = allowed(LISTED, case), Counter(difference(RECORDED[case], ours[case]))

    unlisted, gone = list((lines - expected).elements()), list((expected - lines).elements())

    assert not unlisted, "\n".join(("differs, and is not in differences.toml:", *unlisted))
    assert not gone, "\n".join(("no longer differs: take it out of differences.toml:", *gone))


@pytest.mark.parametrize("case", sorted({case for each in LISTED for case in each.cases}))
def test_a_case_that_differs_is_as_it_was_when_it_was_kept(case: CaseName, ours: dict[CaseName, str]) -> None:
    changes = difference(kept_transcript(case).read_text("utf-8"), ours[case])
    assert not changes, "\n".join(("python -m tests.golden.record", *changes))


@pytest.mark.parametrize("group", GROUPS)
def test_at_most_a_tenth_of_a_group_differs_by_our_choice(group: str) -> None:
    cases = {case for case in RECORDED if case.partition(".")[0] == group}
    chosen = cases & {case for each in LISTED if each.kind is Kind.BETTER for case in each.cases}

    assert len(chosen) <= math.ceil(len(cases) / 10)
