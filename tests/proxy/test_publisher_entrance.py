"""How publishers come in. What they get by TLS is tested end to end (`tests/e2e/test_publish_tls.py`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.counters import Counters
from handlers.protocol.address import Address
from proxy.errors import SettingsError
from proxy.listening import SocketOptions, listen
from proxy.publisher_entrance import HANDSHAKE_SECONDS, PublisherEntrance
from tests.proxy.test_tls_entrance import Echo
from tests.support.client import RawClient
from tests.support.clock import ManualClock
from tests.support.tls_client import TlsClient, install, trusting
from tests.support.turns import until


@pytest.mark.parametrize(("names", "is_tls"), [(("a.crt", "a.key"), True), (("a.crt", ""), True), (("", ""), False)])
async def test_with_a_certificate_they_come_by_tls(tmp_path: Path, names: tuple[str, str], *, is_tls: bool) -> None:
    certificate = install(tmp_path, "a", "localhost")
    certificate.write_bytes(certificate.read_bytes() + certificate.with_suffix(".key").read_bytes())
    crt, key = (name and str(tmp_path / name) for name in names)
    entrance = PublisherEntrance(crt, key, clock=ManualClock(), counters=Counters(), log_from=False)
    assert entrance.is_tls == is_tls
    [sock] = listen(Address(host="127.0.0.1", port=0), SocketOptions(backlog=10))
    address = sock.getsockname()
    served = await entrance.serve(Echo, sock)
    connecting = TlsClient.connect_tls(address, trusting(certificate)) if is_tls else RawClient.connect(address)
    async with await connecting as client:
        await client.send(b"hello")
        assert await client.read_exactly(5) == b"hello"
    entrance.reload()
    served.close()
    await entrance.wait_closed()


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^publish\.tls_cert: .*/none: No such file"):
        PublisherEntrance(
            str(tmp_path / "none"), str(tmp_path / "none"), clock=ManualClock(), counters=Counters(), log_from=False
        )


async def test_so_many_shake_hands_at_once_and_not_for_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate = install(tmp_path, "a", "localhost")
    clock, counters = ManualClock(), Counters()
    key = str(certificate.with_suffix(".key"))
    entrance = PublisherEntrance(
        str(certificate), key, clock=clock, counters=counters, log_from=False, handshake_limit=2
    )
    [sock] = listen(Address(host="127.0.0.1", port=0), SocketOptions(backlog=10))
    address = sock.getsockname()
    served = await entrance.serve(Echo, sock)
    async with (
        await TlsClient.connect_tls(address, trusting(certificate)) as first,
        await RawClient.connect(address) as silent,
        await RawClient.connect(address) as another,
    ):
        for _ in range(2):
            async with await RawClient.connect(address) as refused:
                assert await refused.until_cut() == b""
        assert counters.publish_handshakes_refused == 2
        text = "no room for another publisher: 2 are at their TLS handshake (said every 10 seconds)"
        assert caplog.messages == [text]
        clock.advance(HANDSHAKE_SECONDS)
        for cut in (silent, another):
            assert await cut.until_cut() == b""
        await until(lambda: counters.tls_failures == 2)
        async with await TlsClient.connect_tls(address, trusting(certificate)) as later:
            for client in (first, later):
                await client.send(b"hello")
                assert await client.read_exactly(5) == b"hello"
    served.close()
    await entrance.wait_closed()
