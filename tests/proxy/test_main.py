"""The console script as it is run: exit statuses, one line for each fault, and no traceback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with no variables of a hub's but these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "MERCURE_"))}
    return {**inherited, "PYTHONPATH": str(ROOT), **(changes or {})}


def holdfast(*words: str, folder: Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m proxy` in `folder`, with no HOLDFAST_* variables but these."""
    return subprocess.run(
        [sys.executable, "-m", "proxy", *words],
        cwd=folder,
        env=environment(environ),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "environ", "text"),
    [
        (("--set", "proxy.head_limit=1"), {}, "--set: proxy.head_limit: expected a whole number from 1024 to 16777216"),
        (("run", "--set", "x"), {}, "--set x: expected section.key=value, as in proxy.debug=true"),
        (("check",), {"HOLDFAST_LISTEN": ":80"}, "unknown environment variable HOLDFAST_LISTEN (did you mean"),
        (("check",), {"MERCURE_JWT_KEY": "x"}, "unknown environment variable MERCURE_JWT_KEY (did you mean"),
        ((), {"MERCURE_EXTRA_DIRECTIVES": "x"}, "MERCURE_EXTRA_DIRECTIVES, line 1: x: unknown directive"),
        (("mercure-token",), {}, "--iss is needed: mercure.issuers has not exactly one issuer"),
        (("mercure-check", "x"), {}, "there is no key to check a token with"),
        (("--id", "1"), {}, "--id: only together with --pushpin-conf"),
        (("--pushpin-conf", "none.conf"), {}, "none.conf: cannot be read: No such file or directory"),
        (("--logfile", "none/log"), {}, "log.file (--logfile): none/log cannot be opened: No such file or directory"),
        (("--config", "none.toml"), {}, "none.toml: cannot be read: No such file or directory"),
        (("check", "--config", "none.toml"), {}, "none.toml: cannot be read: No such file or directory"),
        (("--listen", "here"), {}, "--listen: proxy.listen: 'here' is not an address"),
        (("--listen", ""), {}, "--listen: proxy.listen: '' is not an address"),
        (("--publish", "here"), {}, "--publish: publish.listen: 'here' is not an address"),
        (("--log-level", "loud"), {}, "--log-level: log.level: expected 'debug' or"),
        (("--log-format", "xml"), {}, "--log-format: log.format: expected 'json' or 'text', got 'xml'"),
        (("--routes", ""), {}, "--routes: proxy.routes: expected the path of the routes file"),
        (("--routes", "a", "--route", "* a:1"), {}, "--route and --routes: give one of the two"),
        (("check", "--routes", "none.conf"), {}, "unable to open routes file: none.conf (No such file or directory)"),
    ],
)
def test_a_fault_at_the_start_is_one_line_and_status_one(
    words: tuple[str, ...], environ: Mapping[str, str], text: str, tmp_path: Path
) -> None:
    done = holdfast(*words, folder=tmp_path, environ=environ)
    assert done.stderr.startswith(f"holdfast: {text}")
    assert done.stderr.count("\n") == 1
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("words", [("chekc",), ("--lisen", ":80"), ("check", "x"), ("run", "--rout", "* a:1")])
def test_a_wrong_command_line_is_usage_and_status_two(words: tuple[str, ...], tmp_path: Path) -> None:
    done = holdfast(*words, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: holdfast")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--help",), ("run the proxy (the default)", "check", "publish", "mercure-token", "mercure-check")),
        (("run", "--help"), ("--config", "--listen", "--route LINE", "--set SECTION.KEY=VALUE", "HOLDFAST_<SECTION>")),
        (("check", "--help"), ("--config", "Exit status 1")),
        (("version",), ("holdfast ",)),
        (("--version",), ("holdfast ",)),
    ],
)
def test_help_and_version_are_printed(words: tuple[str, ...], parts: tuple[str, ...], tmp_path: Path) -> None:
    done = holdfast(*words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [part for part in parts if part not in done.stdout] == []


def test_a_port_that_is_taken_ends_the_start_with_its_address(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option, other in (("--listen", "--publish"), ("--publish", "--listen")):
            done = holdfast(option, address, other, "127.0.0.1:0", "--route", "* test", folder=tmp_path)
            last = done.stderr.splitlines()[-1]
            assert last.startswith("holdfast: ")
            assert address.partition(":")[2] in last
            assert "ddress already in use" in last
            assert "Traceback" not in done.stderr
            assert done.returncode == 1


@pytest.mark.parametrize("setting", ["proxy.sig_key", "proxy.upstream_key", "publish.token"])
def test_a_key_file_that_is_missing_ends_the_start(setting: str, tmp_path: Path) -> None:
    words = ("--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--set", f"{setting}=file:none")
    done = holdfast(*words, "--route", "* test", folder=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"holdfast: {setting}: ")
    assert str(tmp_path / "none") in last
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_stop(number: signal.Signals, tmp_path: Path) -> None:
    words = ("--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--route", "* test")
    with subprocess.Popen(
        [sys.executable, "-m", "proxy", *words], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        seen: list[str] = []
        for line in process.stderr:
            seen.append(line)
            if "listening for clients on" in line:
                process.send_signal(number)
    assert process.returncode == 0
    assert "listening for clients on 127.0.0.1:" in "".join(seen)
    assert [line for line in seen if not line.startswith("[INFO] ")] == []


def test_check_reads_the_settings_file_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "holdfast.toml").write_text("[proxy]\nroutes = 'r.conf'\n")
    (tmp_path / "r.conf").write_text("* a:1\n")
    done = holdfast("check", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("settings: holdfast.toml\n")
    assert "\nr.conf:1  any host, any path -> a:1 (plain HTTP), not signed\n" in done.stdout


def test_check_fails_on_a_bad_route_and_says_so_once(tmp_path: Path) -> None:
    done = holdfast("check", "--route", "*", "--set", "proxy.sig_key=" + "k" * 32, folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("<route>:1: must specify condition and at least one target\n") == 1


def test_check_finds_a_token_file_that_is_missing(tmp_path: Path) -> None:
    done = holdfast("check", "--route", "* a:1", "--set", "publish.token=file:none", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"publish.token: {tmp_path / 'none'} cannot be read: No such file or directory\n" in done.stdout


def test_o11_check_finds_a_hub_key_that_cannot_be_used(tmp_path: Path) -> None:
    done = holdfast("check", "--route", "* a:1", "--set", "mercure.publisher_key=file:none", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"mercure.publisher_key: {tmp_path / 'none'} cannot be read: No such file or directory\n" in done.stdout


def test_check_says_which_of_another_hubs_variables_are_not_obeyed(tmp_path: Path) -> None:
    environ = {"MERCURE_PUBLISHER_JWT_KEY": "k" * 32, "MERCURE_EXTRA_DIRECTIVES": "dispatch_timeout 1s"}
    done = holdfast("check", "--route", "* a:1", folder=tmp_path, environ=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nMercure hub: /.well-known/mercure, protocols 1.0, 8, history in mercure.db, nobody can" in done.stdout
    assert "warning: MERCURE_EXTRA_DIRECTIVES, line 1: dispatch_timeout: has no equivalent, and is not" in done.stdout


def test_a_token_that_is_made_is_accepted_with_the_same_settings(tmp_path: Path) -> None:
    (tmp_path / "holdfast.toml").write_text("[mercure]\nplayground = true\n")
    for dialect in ((), ("--legacy",)):
        made = holdfast("mercure-token", "--dev", *dialect, folder=tmp_path)
        assert (made.returncode, made.stderr) == (0, "")
        checked = holdfast("mercure-check", made.stdout.strip(), folder=tmp_path)
        assert checked.returncode == 0
        assert checked.stdout.count(": accepted\n") == 2


def test_the_shipped_settings_and_routes_are_without_problems(tmp_path: Path) -> None:
    done = holdfast("check", "--config", str(ROOT / "holdfast.toml"), folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 route, 0 problems" in done.stdout
