"""Sites for the interop tests: each is one unmodified backend behind one Holdfast, started once for all its tests."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.interop.grip_site import PUBLISH_KEY, Site, site
from tests.interop.program import LOOPBACK, NODE_FOLDER, installed, node

HERE = Path(__file__).parent
SIGNED_ONLY = [f"publish.jwt_key={PUBLISH_KEY}"]


@pytest.fixture(scope="session")
def flask_site() -> Iterator[Site]:
    with site("flask", lambda _: [sys.executable, str(HERE / "flask_backend.py")]) as started:
        yield started


@pytest.fixture(scope="session")
def django_site() -> Iterator[Site]:
    with site("django", lambda _: [sys.executable, str(HERE / "django_backend.py")], SIGNED_ONLY) as started:
        yield started


@pytest.fixture(scope="session")
def eventstream_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    database = tmp_path_factory.mktemp("eventstream") / "events.sqlite3"
    command = [sys.executable, str(HERE / "eventstream_backend.py"), str(database)]
    with site("django-eventstream", lambda _: command, SIGNED_ONLY) as started:
        yield started


@pytest.fixture(scope="session")
def express_site() -> Iterator[Site]:
    # serve-grip answers pings only when a message comes along, and without what they said.
    settings = [*SIGNED_ONLY, "websocket.answer_pings=true"]
    with site("express", lambda _: [node(), str(NODE_FOLDER / "express_backend.mjs")], settings) as started:
        yield started


@pytest.fixture(scope="session")
def php_site() -> Iterator[Site]:
    php = installed("php", "Debian's php-cli")
    with site("php", lambda port: [php, "-S", f"{LOOPBACK}:{port}", str(HERE / "php/index.php")]) as started:
        yield started


@pytest.fixture(scope="session")
def compressing_site() -> Iterator[Site]:
    """The Flask backend again."""
    command = [sys.executable, str(HERE / "flask_backend.py")]
    with site("compressing flask", lambda _: command, ["websocket.compression=true"]) as started:
        yield started


@pytest.fixture(scope="session", params=["flask", "django", "express", "php"])
def over_http_site(request: pytest.FixtureRequest) -> Site:
    """Each of those backends that get WebSockets over HTTP."""
    started: Site = request.getfixturevalue(f"{request.param}_site")
    return started


@pytest.fixture(scope="session")
def websockets_site() -> Iterator[Site]:
    """A backend that speaks WebSocket itself."""
    with websockets_backend() as started:
        yield started


SOCKJS = "*,path_beg=/sockjs,sockjs=/sockjs,sockjs_as_path="


@pytest.fixture(scope="session")
def sockjs_site() -> Iterator[Site]:
    """The Flask backend again, with SockJS clients at /sockjs, on the channel `lobby`."""
    command = [sys.executable, str(HERE / "flask_backend.py")]
    settings = ["proxy.sockjs_url=/sockjs.js"]
    with site("sockjs flask", lambda _: command, settings, conditions=("*", f"{SOCKJS}/socket/lobby")) as started:
        yield started


@pytest.fixture(scope="session")
def sockjs_through_site() -> Iterator[Site]:
    """The backend that speaks WebSocket itself, with SockJS clients at /sockjs, on the channel `lobby`."""
    command = [sys.executable, str(HERE / "websockets_backend.py")]
    conditions = ("*", f"{SOCKJS}/grip/lobby")
    with site("sockjs websockets", lambda _: command, over_http=False, conditions=conditions) as started:
        yield started


@pytest.fixture
def mortal_site() -> Iterator[Site]:
    """The same, for a test that kills it."""
    with websockets_backend() as started:
        yield started


def websockets_backend() -> AbstractContextManager[Site]:
    return site("websockets", lambda _: [sys.executable, str(HERE / "websockets_backend.py")], over_http=False)


@pytest.fixture
def channel() -> str:
    """Return a channel of the test's own."""
    return f"channel-{uuid.uuid4().hex}"
