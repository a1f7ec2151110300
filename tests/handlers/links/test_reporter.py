"""What a worker observes goes up together, a message a turn."""

from __future__ import annotations

from handlers.links.reporter import Reporter
from handlers.protocol.link import Seen
from handlers.protocol.names import Channel
from handlers.protocol.observed import Subscribed
from tests.support.turns import settle

ONE, TWO, THREE = (Subscribed("ws", Channel("c"), count) for count in (1, 2, 3))


async def test_what_one_turn_brings_is_one_message() -> None:
    sent: list[Seen] = []
    reporter = Reporter(sent.append)
    reporter.observe(ONE)
    reporter.observe(TWO)
    assert sent == []
    await settle()
    reporter.observe(THREE)
    await settle()
    assert sent == [Seen((ONE, TWO)), Seen((THREE,))]


async def test_it_can_be_told_not_to_wait() -> None:
    sent: list[Seen] = []
    reporter = Reporter(sent.append)
    reporter.flush()
    reporter.observe(ONE)
    reporter.flush()
    await settle()
    assert sent == [Seen((ONE,))]
