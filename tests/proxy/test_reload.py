from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.protocol.routes import Proto
from proxy.reload import RoutesReloader
from proxy.router import FileSource, LineSource, Router, RouteSource
from tests.support.clock import ManualClock


class Watched:
    """A router, its reloader and its clock."""

    def __init__(self, source: RouteSource) -> None:
        self.clock = ManualClock()
        self.router = Router(source, default_iss="pushpin", default_key=None)
        self.reloader = RoutesReloader(self.router, clock=self.clock, interval=0.5)
        self.router.load()
        self.reloader.start()

    def target(self) -> str | None:
        loaded = self.router.select(host="h", proto=Proto.HTTP, ssl=False, path=b"/")
        return loaded.route.targets[0].name if loaded else None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "routes"
    path.write_text("* old:80")
    return path


@pytest.fixture
def watched(path: Path, caplog: pytest.LogCaptureFixture) -> Watched:
    watched = Watched(FileSource(path=path))
    caplog.set_level(logging.INFO, "holdfast.routes")
    caplog.clear()
    return watched


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def rewrite(path: Path, text: str) -> None:
    path.write_text(text)


def rewrite_with_the_old_times(path: Path, text: str) -> None:
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def relink(path: Path, text: str) -> None:
    elsewhere = path.with_suffix(".elsewhere")
    elsewhere.write_text(text)
    path.unlink()
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("change", [replace, rewrite, rewrite_with_the_old_times, relink])
def test_a_changed_file_is_loaded_within_two_intervals_and_once(
    path: Path, watched: Watched, caplog: pytest.LogCaptureFixture, change: Callable[[Path, str], None]
) -> None:
    change(path, "* brandnew:80")
    watched.clock.advance(1.0)
    assert watched.target() == "brandnew:80"
    watched.clock.advance(60)
    assert caplog.messages == ["routes file changed, reloading", "routes loaded with 1 entries"]


def test_a_file_that_stays_the_same_is_not_loaded_again(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.clock.advance(60)
    assert caplog.messages == []


def test_changes_go_on_being_seen_after_the_first(path: Path, watched: Watched) -> None:
    for text in ("first", "second", "third"):
        replace(path, f"* {text}:80")
        watched.clock.advance(1.0)
        assert watched.target() == f"{text}:80"


def test_a_file_still_being_written_is_not_loaded(path: Path, watched: Watched) -> None:
    with path.open("w") as file:
        for part in ("* unfin", "ished:80", " # and so on"):
            file.write(part)
            file.flush()
            watched.clock.advance(0.5)
            assert watched.target() == "old:80"
    watched.clock.advance(0.5)
    assert watched.target() == "unfinished:80"


def test_a_lost_file_is_reported_once_and_the_routes_stay(
    path: Path, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    path.unlink()
    watched.clock.advance(60)
    text = f"unable to open routes file: {path} (No such file or directory); the routes stay as they were"
    assert caplog.record_tuples == [
        ("holdfast.routes", logging.INFO, "routes file changed, reloading"),
        ("holdfast.routes", logging.ERROR, text),
    ]
    assert watched.target() == "old:80"
    path.write_text("* back:80")
    watched.clock.advance(1.0)
    assert watched.target() == "back:80"


def test_a_change_between_the_making_and_the_first_load_costs_a_load_and_is_never_missed(path: Path) -> None:
    clock = ManualClock()
    router = Router(FileSource(path=path), default_iss="pushpin", default_key=None)
    reloader = RoutesReloader(router, clock=clock, interval=0.5)
    router.load()
    replace(path, "* new:80")
    reloader.start()
    clock.advance(1.0)
    loaded = router.select(host="h", proto=Proto.HTTP, ssl=False, path=b"/")
    assert loaded is not None
    assert loaded.route.targets[0].name == "new:80"


def test_a_reload_on_demand_is_at_once_and_is_not_repeated_by_the_watch(
    path: Path, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    replace(path, "* new:80")
    watched.reloader.reload()
    assert watched.target() == "new:80"
    watched.clock.advance(60)
    assert caplog.messages == ["routes loaded with 1 entries"]


def test_a_load_that_breaks_does_not_end_the_watch(
    path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(watched.router, "load", break_down)
        replace(path, "* new:80")
        with pytest.raises(MemoryError):
            watched.clock.advance(1.0)
    replace(path, "* newer:80")
    watched.clock.advance(1.5)
    assert watched.target() == "newer:80"


def test_nothing_is_watched_after_stop(watched: Watched) -> None:
    watched.reloader.stop()
    watched.reloader.stop()
    assert watched.clock.next_due() is None


def test_a_second_start_does_not_watch_twice(watched: Watched) -> None:
    watched.reloader.start()
    watched.reloader.stop()
    assert watched.clock.next_due() is None


def test_routes_of_the_command_line_are_not_watched_but_can_be_loaded_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(LineSource(lines=("* b:80",), folder=tmp_path))
    assert watched.clock.next_due() is None
    with caplog.at_level(logging.INFO, "holdfast.routes"):
        watched.reloader.reload()
    assert caplog.messages == ["routes loaded with 1 entries"]
    assert watched.target() == "b:80"
