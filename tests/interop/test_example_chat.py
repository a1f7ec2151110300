"""The chat example: what is said reaches everybody in the room and nobody else, and its members are known."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

import records
from tests.interop import example
from tests.interop.program import LOOPBACK, NODE_FOLDER, Program, free_ports, installed, node

EXAMPLE = "chat-flask"


@pytest.fixture(scope="module")
def chat_url() -> Iterator[str]:
    listen, publish = free_ports(2)
    with example.started(EXAMPLE, listen, publish):
        yield f"ws://{LOOPBACK}:{listen}/chat"


@pytest.fixture
def room_url(chat_url: str) -> str:
    """Return a room of the test's own."""
    return f"{chat_url}?room=room%20{uuid.uuid4().hex}"


class Member(example.Client):
    """A client that enters the room under a name."""

    def __init__(self, url: str, name: str, after: int = 0) -> None:
        super().__init__(url)
        self._name = name
        self._after = after
        self.history: list[tuple[str, str]] = []
        """Name and text of each message that was there before."""
        self.online: list[str] = []
        """Who was there when it had entered."""

    async def __aenter__(self) -> Member:
        await super().__aenter__()
        await self.send({"type": "join", "name": self._name, "after": self._after})
        joined = False
        while not joined or self._name not in self.online:  # the answer and the publication, in either order
            match await self.hear():
                case {"type": "joined", "messages": messages}:
                    self.history = [(message["name"], message["text"]) for message in messages]
                    joined = True
                case {"type": "online", "names": names}:
                    self.online = names
        return self

    async def say(self, text: str) -> int:
        """Say something; it comes back. Returns its id."""
        await self.send({"type": "say", "text": text})
        said = await self.hear(type="message", name=self._name, text=text)
        assert isinstance(said["id"], int)
        return said["id"]


async def test_what_one_says_everybody_in_the_room_hears(room_url: str) -> None:
    async with Member(room_url, "Ada") as ada, Member(room_url, "Grace") as grace:
        first = await ada.say("grüße ✓")
        await grace.hear(type="message", name="Ada", text="grüße ✓", id=first)
        second = await grace.say("and to you")
        await ada.hear(type="message", name="Grace", text="and to you", id=second)
        assert second > first


async def test_who_comes_later_gets_what_was_said_before(room_url: str) -> None:
    async with Member(room_url, "Ada") as ada:
        first, _ = [await ada.say(text) for text in ("one", "two")]
        async with Member(room_url, "Grace") as grace:
            assert grace.history == [("Ada", "one"), ("Ada", "two")]
        async with Member(room_url, "Grace", after=first) as grace:
            assert grace.history == [("Ada", "two")]


async def test_arrivals_closes_and_lost_connections_change_who_is_online(room_url: str) -> None:
    async with Member(room_url, "Ada") as ada:
        async with Member(room_url, "Grace") as grace:
            assert grace.online == ["Ada", "Grace"]
            await ada.hear(type="online", names=["Ada", "Grace"])
            async with Member(room_url, "Linus") as linus:
                await ada.hear(type="online", names=["Ada", "Grace", "Linus"])
                linus.drop()
                await ada.hear(type="online", names=["Ada", "Grace"])
            await grace.connection.close(4001, "enough")
            assert (grace.connection.close_code, grace.connection.close_reason) == (4001, "enough")
        await ada.hear(type="online", names=["Ada"])


async def test_another_room_hears_nothing(chat_url: str, room_url: str) -> None:
    elsewhere = f"{chat_url}?room={uuid.uuid4().hex}"
    async with Member(room_url, "Ada") as ada, Member(elsewhere, "Grace") as grace:
        await ada.say("only here")
        assert grace.history == []
        await grace.say("only there")
        await ada.say("still here")
        assert [message["text"] for message in ada.heard if message["type"] == "message"] == ["only here", "still here"]
        assert [message["text"] for message in grace.heard if message["type"] == "message"] == ["only there"]
        assert {name for message in grace.heard for name in message.get("names", ())} == {"Grace"}


@pytest.mark.parametrize(
    "text",
    ["nonsense", "[]", '{"type": "say", "text": " "}', '{"type": "join", "name": 5, "after": 0}', "[" * 5000, ""],
    ids=["no JSON", "no object", "blank", "no name", "deep", "empty"],
)
async def test_what_is_not_understood_is_said_to_its_sender_alone(room_url: str, text: str) -> None:
    async with Member(room_url, "Ada") as ada, Member(room_url, "Grace") as grace:
        await grace.connection.send(text)
        await grace.hear(type="problem")
        await grace.say("never mind")
        await ada.hear(text="never mind")
        assert "problem" not in {message["type"] for message in ada.heard}


async def test_who_is_taken_for_gone_is_told_when_it_is_heard_of(room_url: str) -> None:
    async with example.Client(room_url) as stranger:
        await stranger.send({"type": "say", "text": "hello?"})
        assert await stranger.hear() == {"type": "unknown", "text": "hello?"}
        await stranger.connection.pong(b"still there?")
        assert await stranger.hear() == {"type": "unknown"}


async def test_a_clients_ping_is_answered(room_url: str) -> None:
    async with Member(room_url, "Ada") as ada:
        answered = await ada.connection.ping(b"there?")
        await ada.say("while it waits")
        await answered


async def test_a_room_without_a_name_is_refused(chat_url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with example.Client(chat_url):
            pass
    assert refused.value.response.status_code == 400
    assert b"Open a WebSocket at /chat?room=NAME" in refused.value.response.body


def test_members_that_were_silent_for_long_are_taken_for_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "DATABASE", str(tmp_path / "chat.sqlite"))
    with records.changing() as changes:
        changes.add_member("a", "tea", "Ada")
        assert not changes.remove_silent_members("tea")
        monkeypatch.setattr(records, "SILENT", -1)
        assert not changes.remove_silent_members("coffee")
        assert changes.names("tea") == ("Ada",)
        assert changes.remove_silent_members("tea")
        assert changes.names("tea") == ()
        assert not changes.see_member("a")


def test_the_oldest_messages_of_a_room_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "DATABASE", str(tmp_path / "chat.sqlite"))
    monkeypatch.setattr(records, "KEPT", 2)
    with records.changing() as changes:
        for text in ("one", "two", "three"):
            changes.add_message("tea", "Ada", text)
            changes.add_message("coffee", "Grace", text)
        assert [message.text for message in changes.messages("tea", after=0)] == ["two", "three"]


def test_a_change_that_could_not_be_published_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "DATABASE", str(tmp_path / "chat.sqlite"))
    with pytest.raises(ValueError, match="refused"), records.changing() as changes:  # noqa: PT012
        changes.add_message("tea", "Ada", "unheard")
        raise ValueError("refused")
    with records.changing() as changes:
        assert changes.messages("tea", after=0) == ()


def test_the_page_in_two_browsers_and_after_a_restart(tmp_path: Path) -> None:
    listen, publish = free_ports(2)
    command = [node(), str(NODE_FOLDER / "chat_pages.mjs"), f"http://{LOOPBACK}:{listen}"]
    command += [installed("chromium", "Debian's chromium"), str(tmp_path / "page.png")]
    with ExitStack() as stack:
        with example.started(EXAMPLE, listen, publish):
            browser = stack.enter_context(Program("browser", command))
            for step in ("history", "online", "grüße ✓", '<img src="" onerror="alert(1)">'):
                assert browser.line() == step
            assert browser.line() == "number 1, number 2"
            assert browser.line() == "left"
        assert browser.line() == "reconnecting"
        with example.started(EXAMPLE, listen, publish):
            assert browser.line() == "live"
            assert browser.line() == "back again"
            assert browser.await_end() == 0
