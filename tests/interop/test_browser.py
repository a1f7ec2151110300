"""A page in a real browser shows what is published through Holdfast."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.grip_site import Site
from tests.interop.program import NODE_FOLDER, Program, installed, node


def test_a_page_shows_a_published_event_and_comes_back_after_a_close(
    flask_site: Site, channel: str, tmp_path: Path
) -> None:
    texts = ["opened", "grüße ✓", "resumed after 7"]
    with on_page(f"{flask_site.url}/page/{channel}", texts, tmp_path) as browser:
        assert browser.line() == "opened"
        flask_site.publish(f"stream/{channel}", "event: note\nid: 7\ndata: grüße ✓\n\n")
        assert browser.line() == "grüße ✓"
        flask_site.publish(f"close/{channel}")
        assert browser.line() == "resumed after 7"
        assert browser.await_end() == 0


@pytest.mark.parametrize("site", ["flask_site", "compressing_site"])
def test_a_pages_websocket_shows_answers_publications_and_a_close(
    request: pytest.FixtureRequest, site: str, channel: str, tmp_path: Path
) -> None:
    backend: Site = request.getfixturevalue(site)
    texts = ["opened", "echo ✓", "grüße ✓", "closed 4002 published true"]
    with on_page(f"{backend.url}/socket-page/{channel}", texts, tmp_path) as browser:
        assert [browser.line(), browser.line()] == ["opened", "echo ✓"]
        backend.publish(f"message/{channel}", "grüße ✓")
        assert browser.line() == "grüße ✓"
        backend.publish(f"leave/{channel}", "4002")
        assert browser.line() == "closed 4002 published true"
        assert browser.await_end() == 0


@contextmanager
def on_page(url: str, texts: list[str], tmp_path: Path) -> Generator[Program]:
    """Open a page in the browser, which prints each of the texts as it shows up."""
    command = [node(), str(NODE_FOLDER / "browser.mjs"), url, installed("chromium", "Debian's chromium")]
    with Program("browser", [*command, str(tmp_path / "page.png"), *texts]) as browser:
        yield browser
