"""Log output: one line per event, as text in Pushpin's shape (reference 8.3) or as JSON (section `[log]`).

`proxy.__main__` calls `configure` once; every other module logs to `logging.getLogger("holdfast.<its name>")`, and the
clients' door hands each finished request to `log_access`. Lines go to one stream and nowhere else: rotating, shipping
and filtering are the work of whoever reads the stream.

No line can be forged: control characters in the text are written as escapes, so that a record is always one line.
"""

from __future__ import annotations

import enum
import json
import logging
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TextIO

import msgspec

from proxy.line_handler import LineHandler
from proxy.line_logger import shorten_the_way
from proxy.log_file import LogFile

_LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
_NAMES = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN"}  # above: ERR
_LIBRARIES = ("asyncio", "aiohttp", "websockets")

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE_OR_SPACE = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_holdfast = logging.getLogger("holdfast")
_access = logging.getLogger("holdfast.access")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged, and in which shape."""

    level: Literal["error", "warn", "info", "debug"] = "info"
    """The least severe kind of line that is written. `info` has a line for each request, `warn` only for trouble."""

    format: Literal["text", "json"] = "text"
    """`text`: lines in Pushpin's shape, for people. `json`: one object a line (RFC 3339 time), for log collectors."""

    file: str = ""
    """Write lines to this file instead of stderr, at its end. One that is moved away, as logrotate does, is begun anew
    with the next line, without a signal. A relative path starts at the settings file's folder."""

    log_from: bool = False
    """Write the client's address (`from=`) in request lines. Off because it is personal data."""

    log_user_agent: bool = False
    """Write the client's User-Agent (`ua=`) in request lines. Off because it is personal data, and long."""


class Outcome(enum.Enum):
    """How a request ended: with an answer, handed over as a hold, or cut."""

    ANSWERED = "answered"
    ACCEPTED = "accept"
    FAILED = "error"


class AccessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finished request. Texts come from the client as they are: making them safe is done here.

    A Struct, because every request makes one.

    `uri` is absolute (`http://host/path?query`, `ws://` for WebSockets); `target` is the one that answered, as
    `host:port`, `over_http` says that it was asked by WebSocket-over-HTTP; `code` and `size` (bytes of body) count
    for ANSWERED only; requests with the same `shared` had one answer of their backend. An empty text leaves its part of
    the line out.
    """

    method: str
    uri: str
    outcome: Outcome
    target: str = ""
    over_http: bool = False
    client: str = ""
    referer: str = ""
    route_id: str = ""
    code: int = 0
    size: int = 0
    shared: str = ""
    retry: bool = False
    user_agent: str = ""

    def __str__(self) -> str:
        """Return the full text line, for handlers that are not ours."""
        return format_request(self, with_client=True, with_user_agent=True)


def configure(settings: LogSettings, stream: TextIO) -> None:
    """Send everything logged under `holdfast` to `stream`, or to the settings' file. Call again to change either.

    Libraries that log (asyncio, aiohttp, ...) are written too, from WARN on, so that nothing of theirs reaches
    stderr in another shape. Raises OSError when the file cannot be opened.
    """
    # No line says where in the source it was logged, and to find out takes a third of the time (logging's own HOWTO,
    # "Optimization", has this switch).
    logging._srcfile = None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    shorten_the_way()
    handler = LineHandler(LogFile(settings.file) if settings.file else stream)
    handler.setFormatter(JsonFormatter(settings) if settings.format == "json" else TextFormatter(settings))
    level = _LEVELS[settings.level]
    _attach(_holdfast, handler, level)
    for name in _LIBRARIES:
        _attach(logging.getLogger(name), handler, max(level, logging.WARNING))


def logs_access() -> bool:
    """Say whether request lines are written at all, so that nobody makes a record for nothing."""
    return _access.isEnabledFor(logging.INFO)


def log_access(record: AccessRecord) -> None:
    """Log one finished request at INFO. Costs one comparison when that level is off."""
    _access.info(record)


def format_request(record: AccessRecord, *, with_client: bool = False, with_user_agent: bool = False) -> str:
    """Return the request line of reference 8.3, less the time.

    `METHOD URI[ -> TARGET[[http]]][ from=IP][ ref=URL][ route=ID] (code=N SIZE | accept | error)[ shared=0xN][ retry]
    [ ua=TEXT]`.
    Spaces within a part are escaped too, so that parts cannot be forged; the User-Agent, being last, keeps them.
    """
    line = f"{_escape_word(record.method)} {_escape_word(record.uri)}"
    if record.target:
        line += f" -> {_escape_word(record.target)}{'[http]' if record.over_http else ''}"
    if with_client and record.client:
        line += f" from={_escape_word(record.client)}"
    if record.referer:
        line += f" ref={_escape_word(record.referer)}"
    if record.route_id:
        line += f" route={_escape_word(record.route_id)}"
    answered = record.outcome is Outcome.ANSWERED
    line += f" code={record.code} {record.size}" if answered else f" {record.outcome.value}"
    if record.shared:
        line += f" shared={record.shared}"
    if record.retry:
        line += " retry"
    if with_user_agent and record.user_agent:
        line += f" ua={escape(record.user_agent)}"
    return line


def escape(text: str) -> str:
    r"""Return `text` with control characters, line separators and lone surrogates as `\xNN` or `\uNNNN`.

    Backslashes stay, which makes escaping twice the same as escaping once.
    """
    if text.isascii() and text.isprintable():  # nearly always
        return text
    return _UNSAFE.sub(_escape_letter, text)


class TextFormatter(logging.Formatter):
    """`[LEVEL] YYYY-MM-DD HH:MM:SS.mmm message`, local time. A traceback follows on lines of its own, indented."""

    def __init__(self, settings: LogSettings) -> None:
        super().__init__()
        self._with_client = settings.log_from
        self._with_user_agent = settings.log_user_agent
        self._second = -1
        self._second_text = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`."""
        message = record.msg if isinstance(record.msg, AccessRecord) else record.getMessage()
        line = self.format_line(record.levelno, record.name, message, record.created)
        return f"{line}{self._traceback(record)}"

    def format_line(self, level: int, logger: str, message: object, created: float) -> str:
        """Return the line of a message logged at `created`, seconds since 1970 (`proxy.line_logger`)."""
        if isinstance(message, AccessRecord):
            text = format_request(message, with_client=self._with_client, with_user_agent=self._with_user_agent)
        else:
            text = escape(str(message))
        return f"[{_NAMES.get(level, 'ERR')}] {self._time(created)} {text}"

    def _time(self, created: float) -> str:
        # A busy proxy writes thousands of lines in one second: the text of the second is made once.
        second = int(created)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._second_text}.{int((created - second) * 1000):03d}"

    def _traceback(self, record: logging.LogRecord) -> str:
        if not record.exc_info:
            return ""
        return "".join(f"\n    {escape(line)}" for line in self.formatException(record.exc_info).split("\n"))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the fields of the request or of `extra`."""

    def __init__(self, settings: LogSettings) -> None:
        super().__init__()
        self._with_client = settings.log_from
        self._with_user_agent = settings.log_user_agent

    def format(self, record: logging.LogRecord) -> str:
        """Return the object of `record`, in ASCII."""
        message = record.msg if isinstance(record.msg, AccessRecord) else record.getMessage()
        fields = self._fields(record.levelno, record.name, message, record.created)
        for name, value in vars(record).items():
            if name not in _STANDARD_FIELDS:
                fields[f"{name}_" if name in fields else name] = value
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str, separators=(",", ":"))

    def format_line(self, level: int, logger: str, message: object, created: float) -> str:
        """Return the object of a message logged at `created`, seconds since 1970 (`proxy.line_logger`)."""
        return json.dumps(self._fields(level, logger, message, created), separators=(",", ":"))

    def _fields(self, level: int, logger: str, message: object, created: float) -> dict[str, object]:
        moment = datetime.fromtimestamp(created, tz=UTC)
        fields: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _NAMES.get(level, "ERR"),
            "logger": logger,
        }
        if isinstance(message, AccessRecord):
            return fields | self._request_fields(message)
        return fields | {"message": str(message)}

    def _request_fields(self, record: AccessRecord) -> dict[str, object]:
        answered = record.outcome is Outcome.ANSWERED
        fields: dict[str, object] = {
            "message": "request",
            "method": record.method,
            "uri": record.uri,
            "target": record.target,
            "over_http": record.over_http,
            "from": record.client if self._with_client else "",
            "ref": record.referer,
            "route": record.route_id,
            "outcome": record.outcome.value,
            "code": record.code if answered else None,
            "size": record.size if answered else None,
            "shared": record.shared,
            "retry": record.retry,
            "ua": record.user_agent if self._with_user_agent else "",
        }
        return {name: value for name, value in fields.items() if value not in ("", None) and value is not False}


def _attach(logger: logging.Logger, handler: logging.Handler, level: int) -> None:
    for earlier in tuple(logger.handlers):
        if isinstance(earlier.formatter, TextFormatter | JsonFormatter):
            logger.removeHandler(earlier)
    logger.addHandler(handler)
    logger.setLevel(level)


def _escape_word(text: str) -> str:
    if text.isascii() and text.isprintable() and " " not in text:  # nearly always
        return text
    return _UNSAFE_OR_SPACE.sub(_escape_letter, text)


def _escape_letter(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
