"""Folders of sockets: told when they are missing, or not to be written to, with where the socket is named."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.protocol.routes import parse_routes
from proxy.socket_folders import find_folder_risks
from tests.support.settings import settings_from

MAKES = "(RuntimeDirectory= of a unit makes one)"


def risks(*assignments: str, routes: str = "", runtime_folder: str = "") -> list[str]:
    settings = replace(settings_from(assignments, routes=["* test"]), runtime_folder=runtime_folder)
    return list(find_folder_risks(settings, parse_routes(routes, source="routes").routes))


def test_missing_folders_are_told_of_each_kind_of_socket(tmp_path: Path) -> None:
    there, none = tmp_path, tmp_path / "none"
    assert risks(
        f"proxy.unix_listen={there}/a,{none}/a?mode=600", f"publish.listen=unix:{none}/p", f"zeromq.pull=ipc://{there}/z",
        f"zeromq.sub=ipc://{none}/sub", "zeromq.command=ipc://@abstract", "zeromq.stats=ipc:///dev/null/stats",
        f"session.state=ipc://{none}/state",
        routes=f"a zhttp/ipc://{there}/w\nb zhttpreq/ipc://{none}/w zhttp/tcp://127.0.0.1:9 localhost:80\n",
    ) == [
        f"proxy.unix_listen: unix:{none}/a: there is no folder {none} {MAKES}",
        f"publish.listen: unix:{none}/p: there is no folder {none} {MAKES}",
        f"zeromq: ipc://{none}/sub: there is no folder {none} {MAKES}",
        f"zeromq: ipc:///dev/null/stats: there is no folder /dev/null {MAKES}",
        f"session.state: ipc://{none}/state: there is no folder {none} {MAKES}",
        f"routes:2: ipc://{none}/w: there is no folder {none} {MAKES}",
    ]  # fmt: skip


def test_of_sockets_that_connect_the_folder_is_anothers(tmp_path: Path) -> None:
    assert risks(f"zeromq.sub=ipc://{tmp_path}/none/sub", "zeromq.sub_connect=true") == []


@pytest.mark.skipif(os.getuid() != 0, reason="root alone can be somebody else")
def test_a_folder_that_the_user_cannot_write_to_is_told() -> None:
    with TemporaryDirectory() as name:
        inner = Path(name) / "inner"
        inner.mkdir()
        Path(name).chmod(0o755)
        os.seteuid(65_534)
        try:
            told = risks(f"proxy.unix_listen={name}/a", f"zeromq.pull=ipc://{inner}/pull")
        finally:
            os.seteuid(0)
        assert told == [
            f"proxy.unix_listen: unix:{name}/a: whoever runs this check cannot write to {name}",
            f"zeromq: ipc://{inner}/pull: whoever runs this check cannot write to {inner}",
        ]


@pytest.mark.parametrize(("folder", "is_told"), [("run", False), ("none/run", True)])
def test_the_folder_that_the_start_makes_need_not_be_there(folder: str, is_told: bool, tmp_path: Path) -> None:
    path = f"{tmp_path}/{folder}"
    assert bool(risks(f"zeromq.stats=ipc://{path}/stats", runtime_folder=path)) == is_told
