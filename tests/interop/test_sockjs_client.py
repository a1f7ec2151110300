"""SockJS's own client, unmodified, in Node.js and in a real browser, by each of its transports (row W38)."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.grip_site import Site
from tests.interop.program import NODE_FOLDER, Program, node
from tests.interop.test_browser import on_page

TRANSPORTS = ["websocket", "xhr-streaming", "eventsource", "xhr-polling"]
IN_PAGES = ["htmlfile", "jsonp-polling", "iframe-eventsource", "iframe-htmlfile", "iframe-xhr-polling"]

TEXTS = ["grüße ✓", "\u0000 \u2028 \U0001f600 </script> \u0301", 'a"\\b']


class Client:
    """What `node/sockjs_client.mjs` says of the library."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def said(self) -> object:
        return json.loads(self._program.line())

    def heard(self) -> object:
        match said := self.said():
            case {"text": text}:
                return text
            case _:
                pass
        pytest.fail(f"no message but {said}")

    def vanish(self) -> None:
        self._program.kill()

    def tell(self, what: object) -> None:
        self._program.say(json.dumps(what))


@contextmanager
def sockjs(site: Site, *transports: str) -> Generator[Client]:
    command = [node(), str(NODE_FOLDER / "sockjs_client.mjs"), f"{site.url}/sockjs", *transports]
    with Program("sockjs-client", command, listens=True) as program:
        yield Client(program)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_gets_answers_and_what_is_published(sockjs_site: Site, transport: str) -> None:
    with sockjs(sockjs_site, transport) as client:
        assert client.said() == {"open": transport}
        assert client.heard() == "opened"
        for text in TEXTS:
            client.tell(text)
            assert client.heard() == text
        sockjs_site.publish("message/lobby", "published ✓")
        assert client.heard() == "published ✓"
        client.tell("close 4002")
        assert client.said() == {"closed": [4002, ""]}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_messages_keep_their_order_both_ways(sockjs_site: Site, transport: str) -> None:
    with sockjs(sockjs_site, transport) as client:
        assert client.said() == {"open": transport}
        assert client.heard() == "opened"
        texts = [f"{number} {'x' * 500}" for number in range(500)]
        client.tell(texts)
        assert [client.heard() for _ in texts] == texts


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_sees_a_published_close(sockjs_site: Site, transport: str) -> None:
    with sockjs(sockjs_site, transport) as client:
        assert client.said() == {"open": transport}
        assert client.heard() == "opened"
        sockjs_site.publish("leave/lobby", "4003")
        assert client.said() == {"closed": [4003, "published"]}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_backend_hears_of_a_client_that_vanishes(sockjs_site: Site, transport: str) -> None:
    with sockjs(sockjs_site, "websocket") as witness:
        assert witness.said() == {"open": "websocket"}
        assert witness.heard() == "opened"
        with sockjs(sockjs_site, transport) as client:
            assert client.said() == {"open": transport}
            assert client.heard() == "opened"
            client.vanish()
        assert witness.heard() == "somebody has vanished"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_backend_that_speaks_websocket(sockjs_through_site: Site, transport: str) -> None:
    with sockjs(sockjs_through_site, transport) as client:
        assert client.said() == {"open": transport}
        assert client.heard() == "opened"
        client.tell([*TEXTS, "x" * 150_000])
        assert [client.heard() for _ in range(4)] == [*TEXTS, "x" * 150_000]
        client.tell("ping abc")
        sockjs_through_site.backend.await_line("PONG 'abc'")
        client.tell("close 4002 bye")
        assert client.said() == {"closed": [4002, "bye"]}


def test_left_to_itself_a_client_takes_a_websocket(sockjs_site: Site) -> None:
    with sockjs(sockjs_site) as client:
        assert client.said() == {"open": "websocket"}


@pytest.mark.parametrize("transport", [*TRANSPORTS, *IN_PAGES])
def test_a_page_gets_answers_and_what_is_published(sockjs_site: Site, transport: str, tmp_path: Path) -> None:
    texts = [f"open by {transport}", "opened", "echo ✓", "grüße ✓ </script>", "closed 4002 published"]
    with on_page(f"{sockjs_site.url}/sockjs-page/{transport}", texts, tmp_path) as browser:
        assert [browser.line() for _ in range(3)] == texts[:3]
        sockjs_site.publish("message/lobby", texts[3])
        assert browser.line() == texts[3]
        sockjs_site.publish("leave/lobby", "4002")
        assert browser.line() == texts[4]
        assert browser.await_end() == 0
