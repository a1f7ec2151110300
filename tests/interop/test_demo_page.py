"""The demo's page in a real browser: what its user sends comes by all ways, and lost connections come back.

The hub is where nobody looks for it without having been told, so that what comes from there shows that it was found.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

import requests

from tests.interop.grip_site import TIMEOUT
from tests.interop.program import LOOPBACK, NODE_FOLDER, Program, free_ports, installed, node

_ROOT = Path(__file__).parents[2]


def test_a_message_shows_up_in_all_panels_and_the_page_comes_back_after_a_restart(tmp_path: Path) -> None:
    listen, publish = free_ports(2)
    url = f"http://{LOOPBACK}:{listen}"
    sent = ["grüße ✓", '<img src="" onerror="alert(1)">', "<b>by a request</b>", "by WebSocket ✓"]
    command = [node(), str(NODE_FOLDER / "demo_page.mjs"), url, installed("chromium", "Debian's chromium")]
    with ExitStack() as stack:
        with start_demo(listen, publish) as demo:
            demo.await_port(listen)
            command += [str(tmp_path / "page.png"), *sent, "--", "back again"]
            browser = stack.enter_context(Program("browser", command))
            assert browser.line() == "live"
            assert [browser.line() for _ in sent] == sent
        assert browser.line() == "reconnecting"
        with start_demo(listen, publish) as demo:
            demo.await_port(listen)
            assert browser.line() == "live"
            said = requests.post(f"{url}/messages", json.dumps({"text": "back again"}), timeout=TIMEOUT)
            assert said.status_code == 201
            assert browser.line() == "back again"
            assert browser.await_end() == 0


def test_the_page_subscribes_at_the_hub_that_is_linked() -> None:
    listen, publish = free_ports(2)
    url = f"http://{LOOPBACK}:{listen}"
    linked = {
        '</hub>; rel="mercure"': f"{url}/hub?match=demo",
        "<hub?a=b>;rel=mercure": f"{url}/hub?a=b&match=demo",
        '<https://hub.invalid/x,y>; last-event-id="urn:uuid:1"; rel="mercure"': (
            "https://hub.invalid/x,y?last_event_id=urn%3Auuid%3A1&match=demo"
        ),
        '</a>; rel="self", </b>; title="</d>; rel=mercure", </e> ; nopush; REL = "hub Mercure", </f>; rel=mercure': (
            f"{url}/e?match=demo"
        ),
        '</a>; rel="self mercury"': "no hub",
        "": "no hub",
    }
    chromium = installed("chromium", "Debian's chromium")
    command = [node(), str(NODE_FOLDER / "demo_discovery.mjs"), url, chromium, *linked]
    with start_demo(listen, publish) as demo:
        demo.await_port(listen)
        with Program("browser", command) as browser:
            assert [browser.line() for _ in linked] == list(linked.values())
            assert browser.await_end() == 0


def start_demo(listen: int, publish: int) -> Program:
    command = [sys.executable, str(_ROOT / "examples/demo/run.py")]
    command += ["--listen", f"{LOOPBACK}:{listen}", "--publish", f"{LOOPBACK}:{publish}"]
    return Program("demo", command, env={"PYTHONPATH": str(_ROOT), "HOLDFAST_MERCURE_PATH": "/somewhere"})
