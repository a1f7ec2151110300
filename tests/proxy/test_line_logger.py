"""The short way of a log line: the same line, in the same place, and never past somebody who listens."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator

import pytest

from proxy.line_logger import LineLogger
from proxy.log import AccessRecord, LogSettings, Outcome, configure

NAME = "holdfast.line_logger_test"
Call = Callable[[logging.Logger], None]


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    ours = logging.getLogger("holdfast")
    level, handlers = ours.level, tuple(ours.handlers)
    yield
    logging.setLoggerClass(logging.Logger)
    ours.setLevel(level)
    ours.handlers[:] = handlers


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """To be called in the test: takes pytest's own handlers off the root, which come once the fixtures are made."""
    return lambda: monkeypatch.setattr(logging.root, "handlers", [])


def without_times(text: str) -> list[str]:
    return [re.sub(r"\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d\.\d{3}Z?", "TIME", line) for line in text.splitlines()]


def configured(shape: str) -> io.StringIO:
    stream = io.StringIO()
    logging.getLogger(NAME)
    configure(LogSettings(format="json" if shape == "json" else "text", level="debug"), stream)
    return stream


CALLS: tuple[Call, ...] = (
    lambda log: log.info("plain"),
    lambda log: log.info("100%"),
    lambda log: log.info("publish channel=%s receivers=%d", "c", 3),
    lambda log: log.info("%(a)s and %(b)s", {"a": 1, "b": 2}),
    lambda log: log.debug("a\nforged\x1b line"),
    lambda log: log.warning("%.3s", "too long"),
    lambda log: log.error("an error: %s", ValueError("x")),
    lambda log: log.log(logging.CRITICAL, "critical"),
    lambda log: log.info(AccessRecord(method="GET", uri="/", outcome=Outcome.ANSWERED, code=200, size=1)),
    lambda log: log.info("with a field", extra={"field": 1}),
)


@pytest.mark.parametrize("shape", ["text", "json"])
@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_both_ways_write_the_same_line(shape: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(shape)
    log = logging.getLogger(NAME)
    call(log)
    monkeypatch.setattr(logging.root, "handlers", [])
    call(log)
    first, second = without_times(stream.getvalue())
    assert first == second


def test_no_record_is_made_where_nobody_else_listens(
    alone: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone()
    stream = configured("text")
    log = logging.getLogger(NAME)
    assert isinstance(log, LineLogger)
    monkeypatch.setattr(log, "handle", lambda _: pytest.fail("a record was made"))
    log.info("news")
    assert stream.getvalue().endswith("news\n")


@pytest.mark.parametrize("name", [NAME, "holdfast", ""])
def test_somebody_who_listens_anywhere_above_gets_records(
    alone: Callable[[], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone()
    stream = configured("text")
    listener = logging.getLogger(name) if name else logging.root
    heard: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", heard.append)
    listener.addHandler(handler)
    try:
        logging.getLogger(NAME).info("to both")
    finally:
        listener.removeHandler(handler)
    assert [record.getMessage() for record in heard] == ["to both"]
    assert stream.getvalue().endswith("to both\n")


def test_a_filter_is_asked(alone: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    alone()
    stream = configured("text")
    log = logging.getLogger(NAME)
    monkeypatch.setattr(log, "filters", [lambda record: "secret" not in record.getMessage()])
    log.info("a secret")
    log.info("no such thing")
    assert without_times(stream.getvalue()) == ["[INFO] TIME no such thing"]


def test_an_error_keeps_its_traceback(alone: Callable[[], None]) -> None:
    alone()
    stream = configured("text")
    try:
        raise ValueError("a bug")
    except ValueError:
        logging.getLogger(NAME).exception("failed")
    assert "ValueError: a bug" in stream.getvalue()


def test_a_call_that_does_not_fit_its_text_hurts_nobody(
    alone: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    alone()
    configured("text")
    logging.getLogger(NAME).info("%d", "no number")
    assert "no number" in capsys.readouterr().err


def test_lines_below_the_level_are_not_written(alone: Callable[[], None]) -> None:
    alone()
    stream = io.StringIO()
    logging.getLogger(NAME)
    configure(LogSettings(level="warn"), stream)
    logging.getLogger(NAME).info("chatter")
    assert stream.getvalue() == ""


def test_loggers_made_later_know_the_way_and_those_of_others_do_not_take_it(
    alone: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone()
    stream = configured("text")
    ours, theirs = logging.getLogger(f"{NAME}.later"), logging.getLogger("line_logger_test.of_others")
    monkeypatch.setattr(ours, "handle", lambda _: pytest.fail("a record was made"))
    ours.info("ours")
    theirs.warning("theirs")
    assert without_times(stream.getvalue()) == ["[INFO] TIME ours"]
