"""Sites for the interop tests: each is one unmodified backend behind one Holdfast, started once for all its tests."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
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
def express_site() -> Iterator[Site]:
    with site("express", lambda _: [node(), str(NODE_FOLDER / "express_backend.mjs")], SIGNED_ONLY) as started:
        yield started


@pytest.fixture(scope="session")
def php_site() -> Iterator[Site]:
    php = installed("php", "Debian's php-cli")
    with site("php", lambda port: [php, "-S", f"{LOOPBACK}:{port}", str(HERE / "php/index.php")]) as started:
        yield started


@pytest.fixture
def channel() -> str:
    """Return a channel of the test's own."""
    return f"channel-{uuid.uuid4().hex}"
