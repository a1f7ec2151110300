"""Who is subscribed at which worker."""

from __future__ import annotations

from handlers.links.roster import Roster
from handlers.protocol.mercure.update import Presence
from tests.handlers.engines.updates import subscription

HERE, THERE = object(), object()


def come(roster: Roster, worker: object, number: int) -> None:
    roster.note(worker, Presence(subscription=subscription(number), active=True))


def go(roster: Roster, worker: object, number: int) -> None:
    roster.note(worker, Presence(subscription=subscription(number), active=False))


def test_all_workers_subscriptions_are_in_the_order_of_their_coming() -> None:
    roster = Roster()
    come(roster, HERE, 1)
    come(roster, THERE, 2)
    come(roster, HERE, 3)
    assert list(roster.subscriptions) == [subscription(1), subscription(2), subscription(3)]
    go(roster, THERE, 2)
    go(roster, THERE, 2)
    assert list(roster.subscriptions) == [subscription(1), subscription(3)]


def test_those_of_a_worker_that_has_ended_are_struck_once() -> None:
    roster = Roster()
    for number in range(4):
        come(roster, HERE if number % 2 else THERE, number)
    assert roster.strike(HERE) == (subscription(1), subscription(3))
    assert roster.strike(HERE) == ()
    assert roster.subscriptions == (subscription(0), subscription(2))
