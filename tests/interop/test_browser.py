"""A page in a real browser shows what is published through Holdfast."""

from __future__ import annotations

from pathlib import Path

from tests.interop.grip_site import Site
from tests.interop.program import NODE_FOLDER, Program, installed, node


def test_a_page_shows_a_published_event_and_comes_back_after_a_close(
    flask_site: Site, channel: str, tmp_path: Path
) -> None:
    page = f"{flask_site.url}/page/{channel}"
    texts = ["opened", "grüße ✓", "resumed after 7"]
    command = [node(), str(NODE_FOLDER / "browser.mjs"), page, installed("chromium", "Debian's chromium")]
    with Program("browser", [*command, str(tmp_path / "page.png"), *texts]) as browser:
        assert browser.line() == "opened"
        flask_site.publish(f"stream/{channel}", "event: note\nid: 7\ndata: grüße ✓\n\n")
        assert browser.line() == "grüße ✓"
        flask_site.publish(f"close/{channel}")
        assert browser.line() == "resumed after 7"
        assert browser.await_end() == 0
