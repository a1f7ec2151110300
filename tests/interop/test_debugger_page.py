"""The hub's debugger in a real browser: its user subscribes and publishes, with a token and in the playground."""

from __future__ import annotations

import json
from pathlib import Path

from handlers.hub.settings import DEVELOPMENT_ISSUER, DEVELOPMENT_KEY
from tests.interop.mercure_site import hub_site, in_an_hour
from tests.interop.program import NODE_FOLDER, Program, installed, node
from tests.support.hub_site import ISSUER, PUBLISHER_KEY, detail, publisher

ONE_KEY = {"id": ISSUER, "publisher_key": PUBLISHER_KEY, "subscriber_key": PUBLISHER_KEY}


def test_o09_what_is_published_shows_up_by_fetch_and_by_event_source(tmp_path: Path) -> None:
    details = [detail("publish", "*"), detail("subscribe", "*")]
    token = publisher(exp=in_an_hour(), authorization_details=details)
    settings = ["mercure.debugger=true", "mercure.subscriptions=true", f"mercure.issuers={json.dumps([ONE_KEY])}"]
    visit(tmp_path, settings, token)


def test_o10_the_playground_brings_its_own_token(tmp_path: Path) -> None:
    key = {"id": DEVELOPMENT_ISSUER, "publisher_key": DEVELOPMENT_KEY, "subscriber_key": DEVELOPMENT_KEY}
    visit(tmp_path, ["mercure.playground=true", f"mercure.issuers={json.dumps([key])}"])


def visit(tmp_path: Path, settings: list[str], *token: str) -> None:
    chromium = installed("chromium", "Debian's chromium")
    with hub_site(tmp_path, settings) as site:
        command = [node(), str(NODE_FOLDER / "debugger_page.mjs"), f"{site.url}/debug/", chromium]
        with Program("browser", [*command, str(tmp_path / "page.png"), *token]) as browser:
            assert browser.await_end() == 0, browser.output
    assert browser.output.splitlines() == [
        "live by fetch",
        "grüße ✓",
        '<img src="" onerror="alert(1)">',
        "a secret",
        "present",
        "gone",
        "missed, by EventSource",
        *('{\n  "title": "Book 1",\n  "price": {\n    "amount": 12.5,\n    "currency": "EUR"\n  }\n}'.splitlines()),
        "console: Failed to load resource: the server responded with a status of 400 (Bad Request)",
        "refused",
    ]
