"""The loggers under `holdfast`: a line goes straight to where it is written, if nobody else listens.

`proxy.log.configure` makes every logger of ours one of these. `logging` itself makes a record of each call and takes it
to the handlers of every logger above: that costs several times as much as the line, and a busy proxy writes two lines
for each request. A handler or a filter that somebody adds anywhere on that way gets records as always.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from proxy.line_handler import LineHandler

ROOT = logging.getLogger("holdfast")


class LineLogger(logging.Logger):
    """A logger that knows the short way; to those of others, who may get this class too, it is closed."""

    def _log(
        self, level: int, msg: object, args: Any, exc_info: Any = None, extra: Any = None, *more: Any, **others: Any
    ) -> None:
        """Write a line (`logging`'s own hook, below `info` and the like and their look at the level)."""
        handler = None if exc_info or extra or more or others else self._only_handler()
        if handler is None:
            super()._log(level, msg, args, exc_info, extra, *more, **others)
            return
        try:
            message = msg % args if args and isinstance(msg, str) else msg
        except (TypeError, ValueError, KeyError):
            super()._log(level, msg, args)  # says what is wrong with the call
            return
        formatter: Any = handler.formatter  # one of `log`'s
        line = formatter.format_line(level, self.name, message, time.time())
        handler.put(line, at_once=level >= logging.WARNING)

    def _only_handler(self) -> LineHandler | None:
        """Return our handler if a record would come to that alone, and unfiltered."""
        if not self.name.startswith("holdfast") or (self.handlers and self is not ROOT):
            return None
        if self.filters or logging.root.handlers or len(ROOT.handlers) != 1:
            return None
        (handler,) = ROOT.handlers
        return handler if isinstance(handler, LineHandler) and not handler.filters else None


def shorten_the_way() -> None:
    """Make every logger under `holdfast` a `LineLogger`, those that modules have made already and those to come."""
    for name, logger in logging.root.manager.loggerDict.items():
        if type(logger) is logging.Logger and (name + ".").startswith("holdfast."):
            logger.__class__ = LineLogger
    logging.setLoggerClass(LineLogger)
