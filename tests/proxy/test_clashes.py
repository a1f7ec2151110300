"""Which addresses cannot both be listened on: those that the kernel would refuse, and both settings are named."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest
import zmq

from handlers.protocol.address import parse_address
from handlers.protocol.zmq_spec import parse_spec
from handlers.zeromq.binding import Context, bind, open_socket
from proxy.clashes import find_clashes, refuse_clashes
from proxy.errors import SettingsError
from proxy.listening import SocketOptions, listen
from tests.support.settings import settings_from

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")

HOSTS = ("127.0.0.1", "127.0.0.2", "localhost", "0.0.0.0", "", "[::]", "[::1]")


def clashes(*assignments: str) -> list[str]:
    return list(find_clashes(settings_from(assignments, routes=["* test"])))


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        (("proxy.listen=:80,:80",), ["proxy.listen: :80 is taken by :80 of proxy.listen"]),
        (
            ("proxy.listen=0.0.0.0:80", "proxy.tls_listen=127.0.0.1:80"),
            ["proxy.tls_listen: 127.0.0.1:80 is taken by 0.0.0.0:80 of proxy.listen"],
        ),
        (
            ("proxy.listen=:80", "publish.listen=127.0.0.1:80", "metrics.listen=localhost:80"),
            [
                "publish.listen: 127.0.0.1:80 is taken by :80 of proxy.listen",
                "metrics.listen: localhost:80 is taken by :80 of proxy.listen",
                "metrics.listen: localhost:80 is taken by 127.0.0.1:80 of publish.listen",
            ],
        ),
        (
            ("proxy.unix_listen=/run/a,/run/b", "publish.listen=unix:/run/b?mode=600"),
            ["publish.listen: unix:/run/b is taken by unix:/run/b of proxy.unix_listen"],
        ),
        (
            ("proxy.listen=:80", "zeromq.pull=tcp://127.0.0.1:80", "zeromq.sub=tcp://[::1]:81,tcp://*:82"),
            ["zeromq.pull: tcp://127.0.0.1:80 is taken by :80 of proxy.listen"],
        ),
        (
            (
                "zeromq.pull=tcp://localhost:81",
                "zeromq.sub=tcp://*:81",
                "zeromq.command=ipc:///a",
                "zeromq.stats=ipc:///a",
            ),
            [
                "zeromq.sub: tcp://*:81 is taken by tcp://localhost:81 of zeromq.pull",
                "zeromq.stats: ipc:///a is taken by ipc:///a of zeromq.command",
            ],
        ),
        (
            ("proxy.unix_listen=/run/a", "session.state=ipc:///run/a"),
            ["session.state: ipc:///run/a is taken by unix:/run/a of proxy.unix_listen"],
        ),
        (("zeromq.pull=tcp://127.0.0.1:81", "zeromq.sub=tcp://127.0.0.1:81", "zeromq.sub_connect=true"), []),
        (("zeromq.pull=tcp://*:0", "zeromq.command=tcp://*:0", f"zeromq.stats=tcp://{'a' * 64}:1"), []),
        (("proxy.listen=127.0.0.1:80,127.0.0.2:80,[::1]:80", "proxy.tls_listen=127.0.0.1:443"), []),
        (("proxy.listen=127.0.0.1:0,127.0.0.1:0", "publish.listen=127.0.0.1:0"), []),
        (("proxy.unix_listen=/run/a,/run/b", "publish.listen=unix:/run/c"), []),
        ((f"proxy.listen={'a' * 64}:80,{'a' * 64}:80",), []),
    ],
)
def test_each_two_are_named_with_their_settings(settings: tuple[str, ...], texts: list[str]) -> None:
    assert clashes(*settings) == texts


@needs_ipv6
@pytest.mark.parametrize("second", HOSTS)
@pytest.mark.parametrize("first", HOSTS)
def test_they_are_those_that_the_kernel_refuses_to_one_process(first: str, second: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = SocketOptions(backlog=1)
    with ExitStack() as opened:
        for sock in listen(parse_address(f"{first}:{port}"), options):
            opened.enter_context(sock)
        try:
            for sock in listen(parse_address(f"{second}:{port}"), options):
                opened.enter_context(sock)
        except OSError:
            is_refused = True
        else:
            is_refused = False
    assert bool(clashes(f"proxy.listen={first}:{port}", f"proxy.tls_listen={second}:{port}")) == is_refused


@needs_ipv6
@pytest.mark.parametrize("second", ["127.0.0.1", "127.0.0.2", "localhost", "*", "[::]", "[::1]"])
@pytest.mark.parametrize("first", HOSTS)
def test_of_zeromqs_endpoints_they_are_those_that_zeromq_refuses(first: str, second: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    context: Context = zmq.Context()
    pull = open_socket(context, zmq.PULL)
    with ExitStack() as opened:
        opened.callback(context.term)
        opened.callback(pull.close)
        for sock in listen(parse_address(f"{first}:{port}"), SocketOptions(backlog=1)):
            opened.enter_context(sock)
        try:
            bind(pull, parse_spec(f"tcp://{second}:{port}"))
        except OSError:
            is_refused = True
        else:
            is_refused = False
    assert bool(clashes(f"proxy.listen={first}:{port}", f"zeromq.pull=tcp://{second}:{port}")) == is_refused


def test_the_first_is_an_error_of_the_settings() -> None:
    refuse_clashes(settings_from([], routes=["* test"]))
    with pytest.raises(SettingsError, match=r"^proxy\.listen: :80 is taken by :80 of proxy\.listen$"):
        refuse_clashes(settings_from(["proxy.listen=:80,:80,:80"], routes=["* test"]))
