"""One item's way through filters, some of which have to be asked (reference 6.6)."""

from __future__ import annotations

import pytest

from handlers.protocol.filter_run import Asking, FilterRun
from handlers.protocol.filters import IN_TURN
from handlers.protocol.http_filter import Dropped, Passed
from handlers.protocol.percent_template import FilterError


def run(*filters: str, content: bytes | None = b"%(n)s", sender: str = "bob") -> FilterRun:
    return FilterRun(
        filters,
        content=content,
        meta={"user": "ann", "n": "5", "id_format": "%(room)s"},
        item_meta={"sender": sender},
        is_subscribed=lambda name: name == "room",
        id_on={"room": "7"}.get,
    )


def test_without_a_filter_to_ask_it_is_one_step() -> None:
    assert run().step() == Passed(content=b"%(n)s")
    assert run(IN_TURN, "nope").step() == Passed(content=b"%(n)s")
    assert run("var-subst").step() == Passed(content=b"5")
    assert run("build-id", content=b"%I").step() == Passed(content=b"7")
    assert run("skip-self", sender="ann").step() == Dropped()


def test_a_filter_is_asked_when_its_turn_comes() -> None:
    item = run("skip-self", "var-subst", "http-modify", "http-check", "build-id")
    assert item.step() == Asking(name="http-modify", content=b"5")
    item.take(b"at %I")
    assert item.step() == Asking(name="http-check", content=b"")
    item.take(None)
    assert item.step() == Passed(content=b"at 7")


def test_a_filter_is_not_asked_about_what_another_has_dropped() -> None:
    assert run("skip-self", "http-check", sender="ann").step() == Dropped()


def test_content_that_cannot_be_changed_stays_as_it_is() -> None:
    item = run("var-subst", "http-modify", content=None)
    assert item.step() == Asking(name="http-modify", content=b"")
    item.take(b"new")
    assert item.step() == Passed(content=None)


def test_what_cannot_be_applied_is_an_error() -> None:
    with pytest.raises(FilterError, match=r"^var-subst: no meta 'nope'$"):
        run("var-subst", content=b"%(nope)s").step()
