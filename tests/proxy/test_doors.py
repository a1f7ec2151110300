"""All sockets together: opened, told, and none left when one cannot be."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.doors import Doors, describe_socket, open_doors, open_parents_doors
from proxy.errors import SettingsError
from tests.support.settings import settings_from

OPENERS = [open_doors, open_parents_doors]
Opener = Callable[..., Doors]

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("open_them", OPENERS)
def test_each_is_where_it_was_asked_for(folder: Path, open_them: Opener) -> None:
    settings = settings_from(
        [
            "proxy.listen=127.0.0.1:0,127.0.0.1:0",
            "proxy.tls_listen=127.0.0.1:0",
            f"proxy.unix_listen={folder}/a,{folder}/b",
            f"publish.listen=unix:{folder}/c",
        ],
        routes=["* test"],
    )
    with closing(open_them(settings)) as doors:
        first, second, tls = (f"127.0.0.1:{port}" for _, port in doors.addresses)
        assert doors.describe_clients() == f"{first}, {second}, {tls} (TLS), unix:{folder}/a, unix:{folder}/b"
        assert [describe_socket(sock) for sock in doors.publishers] == [f"unix:{folder}/c"]
        assert {path.name for path in folder.iterdir()} == {"a", "b", "c"}
        doors.remove_files()
        assert not list(folder.iterdir())
    doors.close()


@needs_ipv6
@pytest.mark.parametrize("open_them", OPENERS)
@pytest.mark.parametrize("setting", ["proxy.listen", "proxy.tls_listen", "publish.listen"])
def test_r39_any_may_be_ipv6(open_them: Opener, setting: str) -> None:
    settings = settings_from([f"{setting}=[::1]:0"], routes=["* test"])
    with closing(open_them(settings)) as doors:
        socks = {"proxy.listen": doors.plain, "proxy.tls_listen": doors.tls, "publish.listen": doors.publishers}[
            setting
        ]
        [name] = map(describe_socket, socks)
        assert name.startswith("[::1]:")


@pytest.mark.parametrize("open_them", OPENERS)
@pytest.mark.parametrize("setting", ["proxy.listen", "proxy.tls_listen", "publish.listen"])
def test_when_one_is_taken_none_is_opened(folder: Path, open_them: Opener, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        settings = settings_from([f"proxy.unix_listen={folder}/a", f"{setting}={taken}"], routes=["* test"])
        with pytest.raises(OSError, match="in use") as refused:
            open_them(settings)
        assert refused.value.filename == taken
    assert not list(folder.iterdir())


@pytest.mark.parametrize("open_them", OPENERS)
def test_settings_that_want_the_same_address_are_refused_before_anything_is_opened(
    folder: Path, open_them: Opener
) -> None:
    """Sockets that are shared by workers would not notice."""
    listen = ["proxy.listen=127.0.0.1:9,127.0.0.1:10", "proxy.tls_listen=127.0.0.1:10"]
    settings = settings_from([*listen, f"proxy.unix_listen={folder}/a"], routes=["* test"])
    with pytest.raises(
        SettingsError, match=r"^proxy\.tls_listen: 127.0.0.1:10 is taken by 127.0.0.1:10 of proxy\.listen"
    ):
        open_them(settings)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("open_them", OPENERS)
def test_when_a_unix_socket_cannot_be_had_none_is_left(folder: Path, open_them: Opener) -> None:
    settings = settings_from([f"proxy.unix_listen={folder}/a,{folder}/no/b"], routes=["* test"])
    with pytest.raises(FileNotFoundError):
        open_them(settings)
    assert not list(folder.iterdir())
