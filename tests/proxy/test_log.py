"""Log lines: their shape, that none can be forged, and what is left out."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.log import AccessRecord, LogSettings, Outcome, configure, escape, format_request, log_access

URI = "http://example.com/a?b=c"


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("holdfast", "asyncio", "aiohttp", "websockets")]
    before = [(logger, logger.level, tuple(logger.handlers)) for logger in loggers]
    yield
    logging.setLoggerClass(logging.Logger)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def configured(**settings: Any) -> io.StringIO:
    stream = io.StringIO()
    configure(LogSettings(**settings), stream)
    return stream


def answered(**changes: Any) -> AccessRecord:
    usual: dict[str, Any] = {"method": "GET", "uri": URI, "outcome": Outcome.ANSWERED, "code": 200, "size": 5}
    return AccessRecord(**usual | changes)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, f"GET {URI} code=200 5"),
        ({"size": 0, "code": 502}, f"GET {URI} code=502 0"),
        ({"target": "a:1"}, f"GET {URI} -> a:1 code=200 5"),
        ({"target": "a:1", "over_http": True}, f"GET {URI} -> a:1[http] code=200 5"),
        ({"outcome": Outcome.ACCEPTED}, f"GET {URI} accept"),
        ({"outcome": Outcome.FAILED, "method": "POST"}, f"POST {URI} error"),
        ({"referer": "http://r/", "route_id": "main"}, f"GET {URI} ref=http://r/ route=main code=200 5"),
        ({"retry": True, "client": "::1"}, f"GET {URI} from=::1 code=200 5 retry"),
        ({"shared": "0x1f", "retry": True}, f"GET {URI} code=200 5 shared=0x1f retry"),
        ({"user_agent": "curl/8 (x)"}, f"GET {URI} code=200 5 ua=curl/8 (x)"),
        (
            {"target": "a:1", "client": "::1", "referer": "r", "route_id": "i", "retry": True, "user_agent": "u"},
            f"GET {URI} -> a:1 from=::1 ref=r route=i code=200 5 retry ua=u",
        ),
        ({"method": "G\nT", "uri": "/a b"}, r"G\x0aT /a\x20b code=200 5"),
        ({"referer": "x route=admin"}, rf"GET {URI} ref=x\x20route=admin code=200 5"),
        ({"user_agent": "a\r\n[ERR] b\x1b[31m"}, rf"GET {URI} code=200 5 ua=a\x0d\x0a[ERR] b\x1b[31m"),
    ],
)
def test_a_request_line_has_the_parts_that_are_known(changes: dict[str, Any], line: str) -> None:
    record = answered(**changes)
    assert format_request(record, with_client=True, with_user_agent=True) == line
    assert str(record) == line


def test_personal_data_is_left_out_unless_asked_for() -> None:
    record = answered(client="1.2.3.4", user_agent="curl")
    assert format_request(record) == f"GET {URI} code=200 5"
    for shape in ("text", "json"):
        stream = configured(format=shape)
        log_access(record)
        assert "1.2.3.4" not in stream.getvalue()
        assert "curl" not in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "name"),
    [(10, "DEBUG"), (20, "INFO"), (30, "WARN"), (40, "ERR"), (50, "ERR")],
)
def test_a_text_line_is_level_time_and_message(level: int, name: str) -> None:
    stream = configured(level="debug")
    logging.getLogger("holdfast.part").log(level, "routes loaded with %d entries", 3)
    shape = rf"\[{name}\] \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}} routes loaded with 3 entries\n"
    assert re.fullmatch(shape, stream.getvalue())


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        ("error", ["e"]),
        ("warn", ["w", "e"]),
        ("info", ["i", "w", "e"]),
        ("debug", ["d", "i", "w", "e"]),
    ],
)
def test_less_severe_lines_than_the_setting_are_not_written(setting: str, seen: list[str]) -> None:
    stream = configured(level=setting)
    logger = logging.getLogger("holdfast.part")
    for level, text in ((10, "d"), (20, "i"), (30, "w"), (40, "e")):
        logger.log(level, text)
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == seen


def test_requests_are_not_written_when_only_warnings_are() -> None:
    stream = configured(level="warn")
    log_access(answered())
    assert stream.getvalue() == ""


@pytest.mark.parametrize("shape", ["text", "json"])
def test_a_request_line_is_the_same_when_it_goes_straight_to_the_stream(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others that listen (here pytest does) get a record; without them none is made."""
    stream = configured(format=shape, log_from=True, log_user_agent=True)
    record = answered(target="a:1", client="::1", referer="r\n", user_agent="a b", retry=True)
    log_access(record)
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.getLogger("holdfast.access"), "handle", lambda _: pytest.fail("a record was made"))
    log_access(record)
    first, second = (re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "", line) for line in stream.getvalue().splitlines())
    assert first == second


def test_libraries_are_written_from_warnings_on() -> None:
    stream = configured(level="debug")
    logging.getLogger("aiohttp.client").info("chatter")
    logging.getLogger("aiohttp.client").error("trouble")
    assert stream.getvalue().startswith("[ERR] ")
    assert stream.getvalue().endswith(" trouble\n")


def test_configuring_again_replaces_the_stream() -> None:
    first, second = configured(), configured()
    logging.getLogger("holdfast").info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_a_json_line_has_the_message_and_the_extra_fields() -> None:
    stream = configured(format="json")
    logging.getLogger("holdfast.part").warning("two\nlines", extra={"channel": "c\udc80", "level": 3, "at": {1}})
    fields = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields.pop("time"))
    assert fields == {
        "level": "WARN",
        "logger": "holdfast.part",
        "message": "two\nlines",
        "channel": "c\udc80",
        "level_": 3,
        "at": "{1}",
    }
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()


def test_a_json_request_line_has_its_parts_as_fields() -> None:
    stream = configured(format="json", log_from=True, log_user_agent=True)
    log_access(answered(target="a:1", client="::1", user_agent="a b", size=0, retry=True))
    log_access(AccessRecord(method="GET", uri=URI, outcome=Outcome.ACCEPTED, route_id="main"))
    first, second = map(json.loads, stream.getvalue().splitlines())
    del first["time"], second["time"]
    common = {"level": "INFO", "logger": "holdfast.access", "message": "request", "method": "GET", "uri": URI}
    assert first == common | {
        "outcome": "answered", "code": 200, "size": 0, "target": "a:1", "from": "::1", "ua": "a b", "retry": True
    }  # fmt: skip
    assert second == common | {"outcome": "accept", "route": "main"}


@pytest.mark.parametrize("shape", ["text", "json"])
def test_a_bug_is_written_with_its_traceback(shape: str) -> None:
    stream = configured(format=shape)
    try:
        raise LookupError("what\nnow")
    except LookupError:
        logging.getLogger("holdfast").exception("a task failed")
    assert "a task failed" in stream.getvalue()
    assert "LookupError" in stream.getvalue()
    if shape == "text":
        assert all(line.startswith("    ") for line in stream.getvalue().splitlines()[1:])
    else:
        assert json.loads(stream.getvalue())["exception"].endswith("LookupError: what\nnow")


@given(text=st.text(st.characters()))
def test_escaped_text_is_one_printable_line_and_escaping_it_again_changes_nothing(text: str) -> None:
    escaped = escape(text)
    assert len(escaped.splitlines()) <= 1
    escaped.encode()
    assert escape(escaped) == escaped
    assert not any(ord(letter) < 0x20 for letter in escaped)


@given(method=st.text(min_size=1), uri=st.text(min_size=1), referer=st.text(), user_agent=st.text(), route_id=st.text())
def test_no_client_can_add_a_line_or_a_part(
    method: str, uri: str, referer: str, user_agent: str, route_id: str
) -> None:
    record = answered(method=method, uri=uri, referer=referer, user_agent=user_agent, route_id=route_id)
    line = format_request(record, with_user_agent=True)
    assert len(line.splitlines()) == 1
    before_agent = line.partition(" ua=")[0].split(" ")
    assert len(before_agent) == 4 + bool(referer) + bool(route_id)
