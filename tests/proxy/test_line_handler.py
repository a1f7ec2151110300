"""Lines leave in their order: those of one turn of the loop together, grave ones at once, and none is lost."""

from __future__ import annotations

import asyncio
import io
import logging
import threading

import pytest

from proxy.line_handler import LineHandler


class Stream(io.StringIO):
    """Counts how often it was written to, and flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.flushes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)

    def flush(self) -> None:
        self.flushes += 1


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def handler(stream: Stream) -> LineHandler:
    return LineHandler(stream)


def record(level: int, text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"levelno": level, "msg": text})


async def test_the_lines_of_a_turn_leave_in_one_write(handler: LineHandler, stream: Stream) -> None:
    for number in range(3):
        handler.handle(record(logging.INFO, f"line {number}"))
    assert stream.getvalue() == ""
    await asyncio.sleep(0)
    assert stream.getvalue() == "line 0\nline 1\nline 2\n"
    assert (stream.writes, stream.flushes) == (1, 1)
    handler.put("next turn")
    await asyncio.sleep(0)
    assert stream.getvalue().endswith("\nnext turn\n")


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
async def test_a_grave_line_is_written_at_once_behind_what_waits(
    handler: LineHandler, stream: Stream, level: int
) -> None:
    handler.handle(record(logging.INFO, "before"))
    handler.handle(record(level, "grave"))
    assert stream.getvalue() == "before\ngrave\n"
    await asyncio.sleep(0)
    assert stream.writes == 1


def test_without_a_loop_each_line_is_written_at_once(handler: LineHandler, stream: Stream) -> None:
    handler.handle(record(logging.DEBUG, "line"))
    assert stream.getvalue() == "line\n"


async def test_another_thread_writes_at_once_and_in_order(handler: LineHandler, stream: Stream) -> None:
    handler.put("from the loop")
    thread = threading.Thread(target=handler.put, args=("from a thread",))
    thread.start()
    thread.join()
    assert stream.getvalue() == "from the loop\nfrom a thread\n"


def test_what_a_loop_leaves_behind_is_written_by_the_next_or_at_exit(handler: LineHandler, stream: Stream) -> None:
    async def log(text: str) -> None:
        handler.put(text)

    def run_one_step(text: str) -> None:
        loop = asyncio.new_event_loop()
        loop.call_soon(loop.stop)
        loop.call_soon(handler.put, text)  # runs in the turn after which the loop stops
        loop.run_forever()
        loop.close()

    run_one_step("left")
    assert stream.getvalue() == ""
    with asyncio.Runner() as runner:
        runner.run(log("next"))
    assert stream.getvalue() == "left\nnext\n"
    run_one_step("last")
    handler.flush()
    assert stream.getvalue() == "left\nnext\nlast\n"


def test_a_stream_that_cannot_be_written_to_is_told_of(
    handler: LineHandler, stream: Stream, capsys: pytest.CaptureFixture[str]
) -> None:
    stream.close()
    handler.put("line")
    told = capsys.readouterr().err
    assert "I/O operation on closed file" in told
    assert "%d log lines were not written" in told


def test_a_bad_log_call_is_told_of_and_hurts_nobody(
    handler: LineHandler, stream: Stream, capsys: pytest.CaptureFixture[str]
) -> None:
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("text",)}))
    handler.put("line")
    assert stream.getvalue() == "line\n"
    assert "TypeError" in capsys.readouterr().err
