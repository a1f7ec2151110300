"""Pushpin's options, and the import: what they set, and what is refused."""

from __future__ import annotations

import argparse
import os
import stat
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.config import Settings, load_settings
from proxy.errors import SettingsError
from proxy.migration.pushpin_conf import read_pushpin_conf
from proxy.pushpin_commands import (
    add_import_command,
    add_pushpin_options,
    make_runtime_folder,
    pushpin_assignments,
    read_named_conf,
    run_import,
    without_pushpin_options,
)
from proxy.settings import ProxySettings
from publish_api.zeromq.settings import ZeroMQSettings
from tests.support.debian_pushpin import debian_conf

GROUP = 12_345
"""One that nobody is in."""
NOBODY = 65_534
"""A user who may give files to no group."""


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--config")
    add_pushpin_options(parser)
    return parser.parse_args(words)


def import_options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_import_command(parser.add_subparsers())
    return parser.parse_args(["import-pushpin", *words])


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ((), {}),
        (("--merge-output",), {}),
        (("-m",), {}),
        (
            ("--port", "127.0.0.1:80"),
            {"proxy.listen": "127.0.0.1:80", "proxy.tls_listen": "", "proxy.unix_listen": ""},
        ),
        (("--loglevel", "3"), {"log.level": "debug"}),
        (("--loglevel", "1,proxy:2"), {"log.level": "info"}),
        (("--verbose",), {"log.level": "debug"}),
        (("--verbose", "--loglevel", "1"), {"log.level": "warn"}),
        (("--logfile", "x.log"), {"log.file": "x.log"}),
    ],
)
def test_what_an_option_sets(words: tuple[str, ...], settings: dict[str, str]) -> None:
    assert {each.name: each.value for each in pushpin_assignments(options(*words))} == settings


def test_a_level_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="--loglevel: expected numbers"):
        tuple(pushpin_assignments(options("--loglevel", "loud")))


@pytest.mark.parametrize("number", ["x", "-1", "5998", ""])
def test_an_instance_that_is_none_is_a_wrong_command_line(number: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="expected a number from 0 to 5997"):
        options("--id", number)


def test_commands_without_these_options_have_their_defaults() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    without_pushpin_options(parser)
    args = parser.parse_args([])
    assert (tuple(pushpin_assignments(args)), read_named_conf(args)) == ((), None)


def test_there_is_one_file_of_settings(tmp_path: Path) -> None:
    conf = str(debian_conf(tmp_path))
    with pytest.raises(SettingsError, match="--config and --pushpin-conf: give one of the two"):
        read_named_conf(options("--config", "x.toml", "--pushpin-conf", conf))
    with pytest.raises(SettingsError, match="--id: only together with --pushpin-conf"):
        read_named_conf(options("--id", "1"))


def test_o05_the_instance_is_that_of_the_option(tmp_path: Path) -> None:
    read = read_named_conf(options("--pushpin-conf", str(debian_conf(tmp_path)), "--id", "4"))
    assert read is not None
    assert read.port_offset == 40


@pytest.mark.parametrize(
    ("stats", "clients", "is_made"),
    [
        ("ipc://{folder}/run/stats", (), True),
        ("", ("{folder}/run/clients?mode=660",), True),
        ("ipc://{folder}/runs", (), False),
        ("", (), False),
    ],
)
def test_the_folder_of_the_sockets_is_made_if_there_are_any(
    stats: str, clients: tuple[str, ...], is_made: bool, tmp_path: Path
) -> None:
    settings = Settings(
        proxy=ProxySettings(unix_listen=tuple(each.format(folder=tmp_path) for each in clients)),
        zeromq=ZeroMQSettings(stats=stats.format(folder=tmp_path)),
        runtime_folder=str(tmp_path / "run"),
    )
    for _ in range(2):
        make_runtime_folder(settings)
    assert (tmp_path / "run").is_dir() == is_made
    make_runtime_folder(replace(settings, runtime_folder=""))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    folder = f"{tmp_path}/none/run"
    conf = tmp_path / "pushpin.conf"
    conf.write_text(f"[runner]\nhttp_port=1\nrundir={folder}\n[handler]\nstats_spec=ipc://{{rundir}}/stats\n")
    settings = load_settings(pushpin=read_pushpin_conf(conf), environ={})
    with pytest.raises(SettingsError) as caught:
        make_runtime_folder(settings)
    assert str(caught.value) == f"{conf}:3: rundir: the folder {folder} cannot be made: No such file or directory"


def test_the_import_goes_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = debian_conf(tmp_path)
    assert run_import(import_options(str(conf))) == 0
    output = capsys.readouterr()
    assert output.out.startswith(f"# Settings of Holdfast, written by `holdfast import-pushpin` from {conf}.\n")
    assert output.err.startswith(f"holdfast: {conf}: without effect: runner.services")
    assert output.err.count("\n") == 1


def test_the_import_goes_to_a_file_that_only_those_may_read_who_could_before(tmp_path: Path) -> None:
    conf = debian_conf(tmp_path)
    conf.chmod(0o600)
    output = tmp_path / "holdfast.toml"
    words = (str(conf), "-o", str(output))
    assert run_import(import_options(*words)) == 0
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    written = output.read_text()
    with pytest.raises(SettingsError, match=r"holdfast.toml: is there already; --force replaces it"):
        run_import(import_options(*words))
    output.write_text("something longer " * 1000)
    assert run_import(import_options(*words, "--force")) == 0
    assert output.read_text() == written


@pytest.mark.parametrize("is_link", [False, True])
@pytest.mark.parametrize(("before", "after"), [(0o644, 0o640), (0o600, 0o600), (0o666, 0o604)])
def test_a_file_that_is_replaced_may_be_read_by_whom_the_pushpin_conf_may(
    before: int, after: int, is_link: bool, tmp_path: Path
) -> None:
    """Whoever has the old one open reads no keys in it either."""
    conf = debian_conf(tmp_path)
    conf.chmod(after)
    output = there = tmp_path / "holdfast.toml"
    if is_link:
        there = tmp_path / "elsewhere.toml"
        output.symlink_to(there)
    there.write_text("old")
    there.chmod(before)
    with there.open() as reader:
        assert run_import(import_options(str(conf), "-o", str(output), "--force")) == 0
        assert reader.read() == "old"
    assert stat.S_IMODE(there.stat().st_mode) == after
    assert there.read_text().startswith("# Settings of Holdfast")
    assert output.is_symlink() == is_link
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to a group that nobody is in")
@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(("user", "group", "mode"), [(0, GROUP, 0o644), (NOBODY, 0, 0o604)])
def test_the_group_of_the_pushpin_conf_may_read_it_or_no_group(
    force: tuple[str, ...], user: int, group: int, mode: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        conf = debian_conf(folder)
        conf.chmod(0o644)
        os.chown(conf, -1, GROUP)
        output = folder / "holdfast.toml"
        os.seteuid(user)
        try:
            assert run_import(import_options(str(conf), "-o", str(output), *force)) == 0
        finally:
            os.seteuid(0)
        assert (output.stat().st_gid, stat.S_IMODE(output.stat().st_mode)) == (group, mode)


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run_import(import_options(str(debian_conf(tmp_path)), "-o", str(pipe), "--force")) == 0
        assert os.read(reader, 100).startswith(b"# Settings of Holdfast")
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_without_a_name_the_file_is_the_one_pushpin_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    debian_conf(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_import(import_options()) == 0
    assert f"from {tmp_path / 'pushpin.conf'}.\n" in capsys.readouterr().out
