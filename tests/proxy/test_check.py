"""`holdfast check`: what it prints, and when it fails."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from proxy.check import check_configuration
from proxy.config import load_settings, parse_assignment
from proxy.errors import RoutesFileError
from tests.support.tls_client import install

SIGNED = f"proxy.sig_key={'k' * 32}"


def check(*sets: str, lines: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Return the exit status and the lines printed, less those about addresses and the summary."""
    out = io.StringIO()
    settings = load_settings(
        environ={}, assignments=[parse_assignment(each) for each in sets], route_lines=lines, default_files=()
    )
    status = check_configuration(settings, out)
    printed = out.getvalue().splitlines()
    assert printed[0] == "settings: built-in defaults, no file"
    assert printed[1].startswith("clients: ")
    assert printed[2].startswith("publishers: ")
    return status, printed[3:]


def test_sound_routes_are_explained_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "routes.conf"
    path.write_text("# first\n* 127.0.0.1:8000\n\n*,path_beg=/api/,prefix=x- b:1\n")
    assert check(f"proxy.routes={path}", SIGNED) == (
        0,
        [
            f"{path}:2  any host, any path -> 127.0.0.1:8000 (plain HTTP), signed as 'pushpin'",
            f"{path}:4  any host, path /api/ -> b:1 (plain HTTP), channels prefixed 'x-', signed as 'pushpin'",
            "2 routes, 0 problems",
        ],
    )


def test_doors_are_told_and_certificates_looked_at(tmp_path: Path) -> None:
    out = io.StringIO()
    certificate = install(tmp_path, "default", "localhost")
    (tmp_path / "a.test.crt").write_text("garbage")
    (tmp_path / "p.crt").write_text("garbage")
    sets = [
        "proxy.tls_listen=:443", "proxy.unix_listen=/run/a?mode=600", f"proxy.tls_certs={tmp_path}",
        f"publish.tls_cert={certificate}", f"publish.tls_key={tmp_path}/none",
    ]  # fmt: skip
    settings = load_settings(
        environ={}, assignments=[parse_assignment(each) for each in sets], route_lines=("* test",), default_files=()
    )
    assert check_configuration(settings, out) == 1
    printed = out.getvalue().splitlines()
    assert printed[1:3] == [
        "clients: :7999, :443 (TLS), unix:/run/a",
        "publishers: 127.0.0.1:5561 (TLS)",
    ]
    assert [line for line in printed if "tls_cert" in line] == [
        f"proxy.tls_certs: {tmp_path}/a.test.key: No such file or directory",
        f"proxy.tls_certs: {tmp_path}/p.key: No such file or directory",
        f"publish.tls_cert: {tmp_path}/none: No such file or directory",
    ]


def test_settings_that_want_the_same_address_are_a_problem() -> None:
    assert check("proxy.listen=:80", "metrics.listen=127.0.0.1:80", SIGNED, lines=("* test",)) == (
        1,
        [
            "<route>:1  any host, any path -> test (built-in test backend), signed as 'pushpin'",
            "metrics.listen: 127.0.0.1:80 is taken by :80 of proxy.listen",
            "1 route, 1 problem",
        ],
    )


def test_folders_of_sockets_are_looked_at(tmp_path: Path) -> None:
    status, printed = check(f"proxy.unix_listen={tmp_path}/none/a", SIGNED, lines=("* test",))
    assert status == 0
    assert printed[1].startswith(
        f"warning: proxy.unix_listen: unix:{tmp_path}/none/a: there is no folder {tmp_path}/none "
    )


def test_every_problem_is_listed_and_any_fails_the_check(tmp_path: Path) -> None:
    path = tmp_path / "routes.conf"
    path.write_text("*\n* a:1\nh.example,sig_key=file:none a:1\ng.example a:b\n")
    status, printed = check(f"proxy.routes={path}", SIGNED)
    assert status == 1
    assert printed[1:] == [
        f"{path}:1: must specify condition and at least one target",
        f"{path}:3: sig_key: cannot read key file none: No such file or directory",
        f"{path}:4: target invalid port",
        "1 route, 3 problems",
    ]


def test_a_notice_does_not_fail_the_check_and_a_skipped_line_is_not_explained() -> None:
    status, printed = check(SIGNED, lines=("* a:1,trusted", "* b:1"))
    assert (status, len([line for line in printed if " -> " in line])) == (0, 1)
    assert printed[1:] == [
        "<route>:1: notice: unknown option: trusted",
        "<route>:2: notice: skipping duplicate condition",
        "1 route, 0 problems",
    ]


@pytest.mark.parametrize(
    ("sets", "warning"),
    [
        ((), "warning: proxy.sig_key is empty: a backend cannot tell Holdfast's requests from anybody else's"),
        (("proxy.sig_key=changeme",), "proxy.sig_key: warning: the key is 'changeme', which everybody knows"),
        (("proxy.sig_key=base64:Y2hhbmdlbWU=",), "proxy.sig_key: warning: the key is 'changeme', which everybody"),
        (("proxy.sig_key=short",), "proxy.sig_key: warning: a key of 5 bytes can be guessed; use 32 or more"),
        ((SIGNED, "proxy.upstream_key=short"), "proxy.upstream_key: warning: a key of 5 bytes can be guessed"),
        ((SIGNED, "proxy.debug=true"), "warning: proxy.debug is on: failures show backend addresses to clients"),
        ((SIGNED, "proxy.accept_x_forwarded_proto=true"), "warning: proxy.accept_x_forwarded_proto is on"),
        ((SIGNED, "proxy.accept_pushpin_route=true"), "warning: proxy.accept_pushpin_route is on"),
        (
            (SIGNED, "publish.listen=:5561"),
            "warning: publish.listen is :5561 and publish.token is empty: whoever reaches it",
        ),
        (
            (SIGNED, "zeromq.pull=tcp://127.0.0.1:5560", "zeromq.command=tcp://*:5563"),
            "warning: zeromq: tcp://*:5563 asks for no token: whoever reaches it can publish",
        ),
    ],
)
def test_what_is_allowed_but_unwise_is_a_warning(sets: tuple[str, ...], warning: str) -> None:
    status, printed = check(*sets, lines=("* a:1",))
    assert status == 0
    assert [line for line in printed if "warning" in line] == [line for line in printed if line.startswith(warning)]
    assert len(printed) == 3


@pytest.mark.parametrize(
    "sets",
    [
        (SIGNED, "publish.listen=127.0.0.1:5561"),
        (SIGNED, "publish.listen=:5561", f"publish.token={'t' * 32}"),
        (SIGNED, "publish.listen=:5561", f"publish.jwt_key={'t' * 32}"),
    ],
)
def test_a_publish_port_that_is_local_or_asks_for_a_token_is_no_risk(sets: tuple[str, ...]) -> None:
    assert check(*sets, lines=("* a:1",))[1][1:] == ["1 route, 0 problems"]


def test_a_route_with_sessions_wants_a_service() -> None:
    warning = "warning: there are routes with sessions, but session.state is empty: they have none"
    assert warning in check(SIGNED, lines=("*,session a:1",))[1]
    assert warning not in check(SIGNED, "session.state=ipc:///run/state", lines=("*,session a:1",))[1]


def test_a_route_that_speaks_no_grip_needs_no_key() -> None:
    assert check(lines=("*,no_grip a:1",))[1][1:] == ["1 route, 0 problems"]


def test_having_no_routes_is_a_warning() -> None:
    assert check(SIGNED, lines=("# none",)) == (
        0,
        ["warning: no routes: every request is answered with 502", "0 routes, 0 problems"],
    )


def test_a_hub_needs_no_routes() -> None:
    _, printed = check(SIGNED, "mercure.anonymous=true", lines=("# none",))
    assert "warning: no routes: every request but the Mercure hub's is answered with 502" in printed


@pytest.mark.parametrize("key", ["sig_key", "upstream_key"])
def test_a_key_that_cannot_be_used_fails_the_check(key: str, tmp_path: Path) -> None:
    status, printed = check(SIGNED, f"proxy.{key}=file:{tmp_path / 'none'}", lines=("* a:1",))
    assert status == 1
    assert f"proxy.{key}: cannot read key file {tmp_path / 'none'}: No such file or directory" in printed


def test_a_weak_key_of_a_route_is_a_warning_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "hex.key").write_text("abcd")
    path = tmp_path / "routes.conf"
    path.write_text("* a:1\nh.example,sig_key=file:hex.key a:1\n")
    status, printed = check(f"proxy.routes={path}", SIGNED)
    assert status == 0
    assert printed[2] == f"{path}:2: warning: a key of 2 bytes can be guessed; use 32 or more"


def test_a_routes_file_that_cannot_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(RoutesFileError, match="unable to open routes file: "):
        check(f"proxy.routes={tmp_path / 'none.conf'}")


def test_bytes_that_are_not_text_are_printed_as_escapes(tmp_path: Path) -> None:
    path = tmp_path / "routes.conf"
    path.write_bytes(b"*,prefix=\xff\x1b- a:1\n")
    _, printed = check(f"proxy.routes={path}", SIGNED)
    assert printed[0].isascii()
    assert printed[0].isprintable()


@pytest.mark.parametrize(
    ("sets", "text"),
    [
        (
            ("mercure.publisher_key=x",),
            "Mercure hub: /.well-known/mercure, protocols 1.0, 8, history in mercure.db, nobody can subscribe",
        ),
        (
            ("mercure.anonymous=true", "mercure.history=", "mercure.path=/hub"),
            "Mercure hub: /hub, protocols 1.0, 8, no history, nobody can publish with a token",
        ),
    ],
)
def test_the_hub_is_explained_where_there_is_one(sets: tuple[str, ...], text: str) -> None:
    status, printed = check(SIGNED, *sets, lines=("* a:1",))
    assert (status, printed[0]) == (0, text)


@pytest.mark.parametrize(
    ("sets", "warning"),
    [
        (("mercure.playground=true",), "warning: mercure.playground is on: everybody may publish and read everything"),
        (
            ("mercure.debugger=true",),
            "warning: there are settings of the Mercure hub, but no key, no issuer and no mercure.anonymous: it is off",
        ),
    ],
)
def test_what_is_risky_or_idle_about_the_hub_is_a_warning(sets: tuple[str, ...], warning: str) -> None:
    status, printed = check(SIGNED, *sets, lines=("* a:1",))
    assert status == 0
    assert printed.count(warning) == 1


def test_a_history_alone_is_no_reason_to_warn() -> None:
    assert check(SIGNED, "mercure.history=x.db", lines=("* a:1",))[1][1:] == ["1 route, 0 problems"]
