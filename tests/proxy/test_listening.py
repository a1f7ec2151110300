"""Listening sockets: where they listen, what accepted connections inherit, and what is said when they cannot."""

from __future__ import annotations

import errno
import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from handlers.protocol.address import parse_address
from handlers.settings import HoldSettings
from proxy.listening import (
    Bound,
    SocketOptions,
    bound_to,
    client_options,
    describe,
    listen,
    listen_there,
    raise_file_limit,
    reserve,
)

NOTSENT_LOWAT, USER_TIMEOUT = socket.TCP_NOTSENT_LOWAT, socket.TCP_USER_TIMEOUT

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")


@contextmanager
def listening(
    text: str, *, unsent_limit: int = 0, user_timeout: float = 0, probe_interval: int = 0
) -> Iterator[tuple[socket.socket, ...]]:
    options = SocketOptions(
        unsent_limit=unsent_limit, user_timeout=user_timeout, probe_interval=probe_interval, backlog=10
    )
    sockets = listen(parse_address(text), options)
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


@contextmanager
def accepted(listener: socket.socket, address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address):
        listener.setblocking(True)
        connection, _ = listener.accept()
        with connection:
            yield connection


@pytest.mark.parametrize("address", ["127.0.0.1:0", pytest.param("[::1]:0", marks=needs_ipv6)])
def test_it_listens_where_it_is_told(address: str) -> None:
    with listening(address) as (listener,):
        host, port = listener.getsockname()[:2]
        assert str(host) in address
        with accepted(listener, (host, port)):
            pass


@needs_ipv6
@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_without_a_host_it_is_every_interface_of_both_versions(client: str) -> None:
    with listening(":0") as (listener,), accepted(listener, (client, listener.getsockname()[1])):
        pass


@needs_ipv6
def test_an_ipv6_address_does_not_take_the_ipv4_port() -> None:
    with (
        listening("[::1]:0") as (listener,),
        socket.create_server(("127.0.0.1", listener.getsockname()[1])),
    ):
        pass


def test_a_connection_inherits_what_bounds_the_kernels_share() -> None:
    with (
        listening("127.0.0.1:0", unsent_limit=12_345, user_timeout=2.5) as (listener,),
        accepted(listener, listener.getsockname()) as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT) == 12_345
        assert connection.getsockopt(socket.IPPROTO_TCP, USER_TIMEOUT) == 2500


def test_zero_leaves_it_to_the_system() -> None:
    with listening("127.0.0.1:0", unsent_limit=0, user_timeout=0) as (listener,), socket.socket() as plain:
        for option in (NOTSENT_LOWAT, USER_TIMEOUT):
            wanted = plain.getsockopt(socket.IPPROTO_TCP, option)
            assert listener.getsockopt(socket.IPPROTO_TCP, option) == wanted


def test_a_connection_inherits_that_a_silent_peer_is_asked() -> None:
    with (
        listening("127.0.0.1:0", probe_interval=60) as (listener,),
        accepted(listener, listener.getsockname()) as connection,
    ):
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 15
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OSError, match="in use") as failure, listening(address):
            pass
    assert (failure.value.errno, failure.value.filename) == (errno.EADDRINUSE, address)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a" * 70])
def test_an_interface_that_is_not_there_is_named(host: str) -> None:
    with pytest.raises(OSError, match=host) as failure, listening(f"{host}:80"):
        pass
    assert failure.value.filename == f"{host}:80"


def test_the_limit_of_open_files_is_raised_and_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert f"limited to {hard}" in caplog.text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_of_several_processes_the_limit_of_all_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clients = raise_file_limit(is_told=False)
    assert caplog.messages == []
    assert raise_file_limit(workers=3) == clients
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert caplog.messages == [
        f"open files are limited to {hard} in each of 3 workers, clients to {3 * clients} in all"
    ]


# -- an address that several processes share ------------------------------------------------------------------------

SHARED = SocketOptions(backlog=10, is_shared=True)


@contextmanager
def reserved(text: str) -> Iterator[Bound]:
    [sock] = reserve(parse_address(text))
    with sock:
        yield bound_to(sock)


@pytest.mark.parametrize("address", ["127.0.0.1:0", pytest.param("[::1]:0", marks=needs_ipv6), ":0"])
def test_several_listen_on_an_address_that_is_reserved(address: str) -> None:
    with reserved(address) as bound:
        first, second = listen_there(bound, SHARED), listen_there(bound, SHARED)
        assert bound_to(first) == bound_to(second) == bound
        first.close()
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound.host, bound.host)
        with second, accepted(second, (host, bound.port)):
            pass


def test_nobody_is_let_in_while_it_is_only_reserved() -> None:
    with reserved("127.0.0.1:0") as bound, pytest.raises(ConnectionRefusedError):
        socket.create_connection((bound.host, bound.port))


def test_an_address_where_somebody_listens_cannot_be_reserved_though_that_one_shares_it() -> None:
    with reserved("127.0.0.1:0") as bound, listen_there(bound, SHARED):
        address = f"127.0.0.1:{bound.port}"
        with pytest.raises(OSError, match="in use") as failure:
            reserve(parse_address(address))
        assert failure.value.filename == address


def test_an_address_that_cannot_be_shared_is_named() -> None:
    with listening("127.0.0.1:0") as (listener,):
        bound = bound_to(listener)
        with pytest.raises(OSError, match="in use") as failure:
            listen_there(bound, SHARED)
        assert failure.value.filename == f"127.0.0.1:{bound.port}"


def test_what_clients_sockets_need_is_as_the_settings_say() -> None:
    hold = HoldSettings(kernel_unsent_limit=5, user_timeout=6.0, probe_interval=7)
    assert client_options(hold, backlog=8, is_shared=True) == SocketOptions(
        unsent_limit=5, user_timeout=6.0, probe_interval=7, backlog=8, is_shared=True
    )


def test_addresses_as_they_stand_in_the_log() -> None:
    assert describe([("127.0.0.1", 80), ("::1", 81)]) == "127.0.0.1:80, [::1]:81"
