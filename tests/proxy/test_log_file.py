"""The file that log lines go to: it is appended to, and begun anew when it is moved away."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from proxy.line_handler import LineHandler
from proxy.log_file import LogFile


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("there\n")
    file = LogFile(str(path))
    assert file.write("more\n") == 5
    file.flush()
    assert path.read_text() == "there\nmore\n"
    file.close()


def test_one_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = LogFile(str(path))
    file.write("one\n")
    path.rename(tmp_path / "log.1")
    file.write("two\n")
    path.unlink()
    file.write("three\n")
    assert ((tmp_path / "log.1").read_text(), path.read_text()) == ("one\n", "three\n")
    file.close()


def test_one_that_cannot_be_made_anew_is_an_error_and_the_next_line_tries_again(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = LogFile(str(folder / "log"))
    file.write("one\n")
    folder.rename(tmp_path / "old")
    with pytest.raises(FileNotFoundError):
        file.write("two\n")
    folder.mkdir()
    file.write("three\n")
    assert (folder / "log").read_text() == "three\n"
    file.close()


def test_one_that_is_cut_goes_on_at_its_beginning(tmp_path: Path) -> None:
    """As logrotate's copytruncate does."""
    path = tmp_path / "log"
    file = LogFile(str(path))
    file.write("one\n")
    path.write_text("")
    file.write("two\n")
    assert path.read_text() == "two\n"
    file.close()


def test_letters_that_cannot_be_written_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = LogFile(str(path))
    file.write("é \udcff\n")
    assert path.read_bytes() == "é \\udcff\n".encode()
    file.close()


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        LogFile(str(tmp_path / "none" / "log"))
    assert caught.value.filename == str(tmp_path / "none" / "log")


def test_the_handler_writes_to_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = LogFile(str(path))
    handler = LineHandler(file)
    handler.emit(logging.makeLogRecord({"msg": "hello", "levelno": logging.WARNING}))
    assert path.read_text() == "hello\n"
    file.close()
