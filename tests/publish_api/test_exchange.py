from __future__ import annotations

import logging

import pytest

from handlers.counters import Counters
from handlers.errors import Busy
from handlers.protocol.items import Item
from handlers.protocol.names import Channel
from publish_api.errors import RequestRefused
from publish_api.exchange import Exchange
from publish_api.plan import Planner
from publish_api.protocol.answer import PublishAnswer
from publish_api.settings import PublishSettings
from tests.support.publish_port import request

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Nobody:
    """A connection that nobody needs to tell."""

    def go_on(self) -> None:
        raise AssertionError("told without need")


def exchange(*headers: str) -> Exchange:
    planner = Planner(PublishSettings(), has_metrics=False, is_hub=lambda path: False)
    return Exchange(Nobody(), planner.plan(request(b"", *headers)))


def probe(path: str) -> Exchange:
    planner = Planner(PublishSettings(), has_metrics=True, is_hub=lambda path: False)
    return Exchange(Nobody(), planner.plan(request(None, method="GET", path=path)))


def line_of(made: Exchange, caplog: pytest.LogCaptureFixture, counters: Counters | None = None) -> tuple[str, str]:
    caplog.set_level(logging.DEBUG, logger="holdfast")
    caplog.clear()
    made.note(counters or Counters())
    (record,) = caplog.records
    return record.levelname, record.getMessage()


def test_it_begins_without_an_answer() -> None:
    made = exchange("Connection: keep-alive")
    assert (made.answer, made.items, made.keeps_open, made.owes_continue) == (None, (), True, False)
    assert not exchange().keeps_open


def test_who_was_not_told_to_send_is_told_so_with_the_answer() -> None:
    made = exchange()
    made.answer = made.plan.answer
    assert made.encode().startswith(b"HTTP/1.1 200 OK\r\n")
    made.owes_continue = True
    assert made.encode().startswith(CONTINUE + b"HTTP/1.1 200 OK\r\n")


def test_what_was_published_has_the_number_of_its_items_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    made, counters = exchange(), Counters()
    made.answer, made.items = made.plan.answer, [Item(channel=Channel("c"))] * 2
    assert line_of(made, caplog, counters) == ("INFO", "control: POST /publish/ code=200 10 items=2")
    assert counters.publishes_refused == 0


def test_what_was_refused_has_its_reason_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    made, counters = exchange(), Counters()
    made.refuse(RequestRefused(404, "Not Found"))
    assert line_of(made, caplog, counters) == ("WARNING", "control: POST /publish/ code=404 10 error='Not Found'")
    assert counters.publishes_refused == 1


def test_what_failed_has_the_error(caplog: pytest.LogCaptureFixture) -> None:
    made = exchange()
    made.fail(RuntimeError("disk full"))
    assert made.encode().endswith(b"\r\n\r\nInternal server error.\n")
    assert line_of(made, caplog) == ("ERROR", "control: POST /publish/ code=500 23 error=RuntimeError('disk full')")


@pytest.mark.parametrize(
    ("path", "status", "level"),
    [
        ("/healthz", 200, "DEBUG"),
        ("/metrics", 200, "DEBUG"),
        ("/readyz", 200, "DEBUG"),
        ("/readyz", 503, "WARNING"),
        ("/metrics", 500, "ERROR"),
    ],
)
def test_probes_do_not_fill_the_log_and_one_that_is_told_no_is_not_refused(
    path: str, status: int, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    made, counters = probe(path), Counters()
    made.answer = made.plan.answer or PublishAnswer(status=status, body=b"")
    shown, line = line_of(made, caplog, counters)
    assert (shown, line.partition(f" code={status} ")[0]) == (level, f"control: GET {path}")
    assert counters.publishes_refused == (status == 500)


def test_who_comes_when_somebody_is_too_far_behind_is_told_when_to_come_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made, counters = exchange(), Counters()
    made.fail(Busy(7))
    assert made.encode().startswith(
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Type: text/plain\r\n"
    )
    assert made.encode().endswith(b"\r\n\r\nService Unavailable\n")
    level, line = line_of(made, caplog, counters)
    assert level == "ERROR"
    assert line.startswith("control: POST /publish/ code=503 20 error='a worker is too far behind")
    assert counters.publishes_refused == 1
