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


def test_lines_go_on_into_the_old_one_while_none_can_be_made_anew_and_that_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = LogFile(str(folder / "log"))
    told = f"holdfast: {folder}/log: No such file or directory: log lines go on into the file that was there\n"
    file.write("one\n")
    for attempt in ("first", "second"):
        folder.rename(tmp_path / attempt)
        file.write(f"two {attempt}\n")
        file.write(f"three {attempt}\n")
        assert capsys.readouterr().err == told
        folder.mkdir()
        file.write("four\n")
        assert capsys.readouterr().err == ""
    assert (tmp_path / "first" / "log").read_text() == "one\ntwo first\nthree first\n"
    assert (tmp_path / "second" / "log").read_text() == "four\ntwo second\nthree second\n"
    assert (folder / "log").read_text() == "four\n"
    file.close()


def test_that_it_cannot_be_told_harms_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = LogFile(str(folder / "log"))
    folder.rename(tmp_path / "old")
    with (tmp_path / "stderr").open("w") as closed:
        pass
    monkeypatch.setattr("sys.stderr", closed)
    file.write("one\n")
    monkeypatch.setattr("sys.stderr", None)
    file.write("two\n")
    assert (tmp_path / "old" / "log").read_text() == "one\ntwo\n"
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
