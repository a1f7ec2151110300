"""Publishers of other people's POST to the hub, and a subscriber gets the bytes of the specification."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.interop.grip_site import TIMEOUT, Held
from tests.interop.mercure_site import CURRENT, OLD, Dialect, HubSite, hub_site
from tests.interop.program import LINE_LIMIT, installed
from tests.support.hub_site import bearer

SCRIPT = Path(__file__).parent / "php/mercure_publish.php"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    topics: list[str]
    data: str
    private: bool = False
    id: str | None = None
    type: str | None = None
    retry: int | None = None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The fields of the form, in symfony/mercure's order."""
        pairs = [("topic", topic) for topic in self.topics]
        pairs.append(("data", self.data))
        if self.private:
            pairs.append(("private", "on"))
        pairs += [(name, str(value)) for name in ("id", "type", "retry") if (value := getattr(self, name)) is not None]
        return pairs


Publish = Callable[[str, str, Update], tuple[int, str]]
"""Publishes to a URL with a token; returns the status and the body of the answer."""


def by_php(url: str, token: str, update: Update) -> tuple[int, str]:
    command = [installed("php", "Debian's php-cli"), str(SCRIPT), url, token]
    status, _, text = said(command, json.dumps(asdict(update))).partition(" ")
    return int(status), text


def by_curl(url: str, token: str, update: Update) -> tuple[int, str]:
    command = [installed("curl", "Debian's curl"), "--silent", "--show-error", "--noproxy", "*", "--write-out"]
    command += ["\n%{http_code}", "--header", f"Authorization: Bearer {token}", "--header", "Expect: 100-continue", url]
    for name, value in update.pairs:
        command += ["--data-urlencode", "data@-" if name == "data" else f"{name}={value}"]
    text, status = said(command, update.data).rsplit("\n", 1)
    return int(status), text


def by_requests(url: str, token: str, update: Update) -> tuple[int, str]:
    response = requests.post(url, data=update.pairs, headers=dict([bearer(token)]), timeout=TIMEOUT)
    return response.status_code, response.text


def said(command: list[str], standard_input: str) -> str:
    """Return what a command writes to its standard output."""
    done = subprocess.run(command, input=standard_input.encode(), capture_output=True, check=False, timeout=LINE_LIMIT)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


publishers = pytest.mark.parametrize("publish", [by_php, by_curl, by_requests])
dialects = pytest.mark.parametrize("dialect", [CURRENT, OLD], ids=lambda dialect: dialect.name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubSite]:
    with hub_site(tmp_path_factory.mktemp("hub")) as started:
        yield started


@pytest.fixture
def topic() -> str:
    """Return a topic of the test's own."""
    return f"https://example.com/books/{uuid.uuid4().hex}"


def stream(site: HubSite, dialect: Dialect, topic: str, *granted: str) -> Held:
    """Subscribe to a topic with a token for others."""
    url = f"{site.url}?{dialect.matcher}={quote(topic, safe='')}"
    held = Held(url, dict([bearer(dialect.subscriber(*granted))]))
    held.expect(":\n")
    return held


@publishers
@dialects
def test_e01_e03_a_publication_arrives_with_every_field(
    site: HubSite, topic: str, publish: Publish, dialect: Dialect
) -> None:
    event_id = f"grüße & 1 {topic}"
    update = Update(
        topics=[topic, f"{topic}/alternate"],
        data="grüße ✓ +%&=\r\n two\n",
        private=True,
        id=event_id,
        type="price change",
        retry=1500,
    )
    with stream(site, dialect, f"{topic}/alternate", topic) as held:
        assert publish(site.url, dialect.publisher(), update) == (200, event_id)
        held.expect(f"event: price change\nretry: 1500\nid: {event_id}\ndata: grüße ✓ +%&=\ndata:  two\ndata: \n\n")


@publishers
@dialects
def test_p01_a_publication_without_an_id_is_answered_with_the_hubs(
    site: HubSite, topic: str, publish: Publish, dialect: Dialect
) -> None:
    with stream(site, dialect, topic) as held:
        status, event_id = publish(site.url, dialect.publisher(), Update(topics=[topic], data=""))
        assert (status, event_id[:9]) == (200, "urn:uuid:")
        held.expect(f"id: {event_id}\ndata: \n\n")


@publishers
def test_a_long_publication_arrives_whole(site: HubSite, topic: str, publish: Publish) -> None:
    data = "é" * 150_000  # 900 kB as a form
    with stream(site, CURRENT, topic) as held:
        status, event_id = publish(site.url, CURRENT.publisher(), Update(topics=[topic], data=data))
        assert status == 200
        held.expect(f"id: {event_id}\ndata: {data}\n\n")


@publishers
def test_a_publisher_is_told_why_it_is_refused(site: HubSite, topic: str, publish: Publish) -> None:
    assert publish(site.url, CURRENT.publisher(), Update(topics=["*"], data="x")) == (
        400,
        '"*": topic value "*" is reserved for the wildcard matcher and cannot be published\n',
    )
    assert publish(site.url, CURRENT.subscriber(topic), Update(topics=[topic], data="x")) == (401, "Unauthorized\n")
