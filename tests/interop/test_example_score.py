"""The live score example: pages count the goals that a PHP script publishes, also those they were closed for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.interop import example
from tests.interop.grip_site import TIMEOUT, Held
from tests.interop.program import LINE_LIMIT, LOOPBACK, NODE_FOLDER, Program, free_ports, installed, node
from tests.support.hub_site import HUB

EXAMPLE: Final = "live-score-php"
GOAL: Final = Path(__file__).parents[2] / "examples" / EXAMPLE / "goal.php"
TOPIC: Final = "https://score.example/matches/1"


@dataclass(frozen=True, slots=True)
class Score:
    """The example, running."""

    url: str
    publish_url: str

    def goal(self, *arguments: str) -> str:
        """Run the publisher and return what it says."""
        command = [installed("php", "Debian's php-cli"), str(GOAL), *arguments]
        env = {**os.environ, "GRIP_URL": self.publish_url}
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=LINE_LIMIT).stdout


@pytest.fixture
def score() -> Iterator[Score]:
    installed("php", "Debian's php-cli")
    listen, publish = free_ports(2)
    with example.started(EXAMPLE, listen, publish):
        yield Score(f"http://{LOOPBACK}:{listen}", f"http://{LOOPBACK}:{publish}")


def test_pages_see_goals_and_one_that_was_closed_catches_up(score: Score, tmp_path: Path) -> None:
    command = [node(), str(NODE_FOLDER / "score_pages.mjs"), score.url, installed("chromium", "Debian's chromium")]
    with Program("browser", [*command, str(tmp_path / "page.png")], listens=True) as browser:
        assert browser.line() == "kick-off"
        assert score.goal("2", "away", "Zoë ✓", "23").startswith("urn:uuid:")
        browser.say("0 to 1")
        assert browser.line() == "23'Zoë ✓"
        assert browser.line() == "equal"
        score.goal("3", "home", "Ada Okafor", "90")
        browser.say("1 to 0")
        assert browser.line() == '7\'<img src="" onerror="alert(1)">, 23\'Zoë ✓'
        assert browser.line() == "90'Ada Okafor"
        assert browser.await_end() == 0


def test_what_is_no_goal_is_refused_and_not_published(score: Score) -> None:
    for team, scorer in [("4 home", "Ada"), ("1 referee", "Ada"), ("", "Ada"), ("1 home", " "), ("1 home", "a" * 41)]:
        form = {"team": team, "scorer": scorer, "minute": "1"}
        refused = requests.post(f"{score.url}/goal", data=form, timeout=TIMEOUT)
        assert (refused.status_code, refused.text) == (400, "That is no goal.\n")
    expect_one_goal(score)


def test_a_publisher_with_another_key_fails_and_publishes_nothing(score: Score, tmp_path: Path) -> None:
    forged = tmp_path / "goal.php"
    forged.write_text(GOAL.read_text().replace("a secret for this example", "another secret"))
    command = [installed("php", "Debian's php-cli"), "-d", "display_errors=1", str(forged), "1", "home", "Eve", "1"]
    env = {**os.environ, "GRIP_URL": score.publish_url}
    failed = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=LINE_LIMIT)
    assert failed.returncode == 255
    assert "The hub has not taken it: HTTP/1.1 401 Unauthorized" in failed.stdout
    expect_one_goal(score)


def expect_one_goal(score: Score) -> None:
    """Publish one, and see that it is the first there is."""
    event_id = score.goal("1", "home", "Ada", "1").strip()
    with Held(f"{score.url}{HUB}?topic={TOPIC}&lastEventID=earliest", {}) as held:
        held.expect(f':\nid: {event_id}\ndata: {{"match":"1"')
