"""Names looked up once for all who ask at the same time, and again after a while."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from proxy.backend import DNS_SECONDS
from proxy.backend_resolver import AddressInfo, Resolver, ask_system
from tests.support.clock import ManualClock
from tests.support.turns import settle

INFO: AddressInfo = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))


class Names:
    """Stands in for the name servers of the world: says what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.found: Sequence[AddressInfo] = (INFO,)
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def look_up(self, host: str, port: int) -> Sequence[AddressInfo]:
        self.asked.append(f"{host}:{port}")
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.found


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def resolver(names: Names, clock: ManualClock) -> Resolver:
    return Resolver(clock, names.look_up)


async def test_a_name_is_looked_up_once_in_a_while(resolver: Resolver, names: Names, clock: ManualClock) -> None:
    for _ in range(2):
        assert await resolver.addresses("a", 80) == (INFO,)
    clock.advance(DNS_SECONDS - 0.1)
    await resolver.addresses("a", 80)
    assert names.asked == ["a:80"]
    clock.advance(0.1)
    await resolver.addresses("a", 80)
    await resolver.addresses("a", 81)
    assert names.asked == ["a:80", "a:80", "a:81"]


async def test_all_who_ask_together_wait_for_one_answer(resolver: Resolver, names: Names) -> None:
    names.gate.clear()
    asking = [asyncio.create_task(resolver.addresses("a", 80)) for _ in range(3)]
    await settle()
    names.gate.set()
    assert await asyncio.gather(*asking) == [(INFO,)] * 3
    assert names.asked == ["a:80"]


async def test_who_gives_up_takes_the_answer_from_nobody(resolver: Resolver, names: Names) -> None:
    names.gate.clear()
    first, second = (asyncio.create_task(resolver.addresses("a", 80)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    names.gate.set()
    assert await second == (INFO,)
    assert first.cancelled()


async def test_a_failure_is_everybodys_and_is_not_kept(resolver: Resolver, names: Names) -> None:
    names.error = socket.gaierror("nobody")
    for _ in range(2):
        with pytest.raises(OSError, match="nobody"):
            await resolver.addresses("a", 80)
        await settle()
    assert names.asked == ["a:80", "a:80"]
    names.error = None
    assert await resolver.addresses("a", 80) == (INFO,)


async def test_a_name_without_addresses_is_a_failure(resolver: Resolver, names: Names) -> None:
    names.found = ()
    with pytest.raises(OSError, match="no address for a"):
        await resolver.addresses("a", 80)


async def test_names_are_not_gathered(resolver: Resolver, names: Names, clock: ManualClock) -> None:
    for number in range(50):
        await resolver.addresses(f"a{number}", 80)
        clock.advance(1)
    assert len(resolver._lookups) <= DNS_SECONDS  # noqa: SLF001


async def test_what_is_being_looked_up_is_given_up_at_the_end(resolver: Resolver, names: Names) -> None:
    names.gate.clear()
    asking = asyncio.create_task(resolver.addresses("a", 80))
    await settle()
    resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_the_system_knows_addresses_and_itself() -> None:
    infos = await ask_system("127.0.0.1", 80)
    assert [(family, address) for family, _, _, _, address in infos] == [(socket.AF_INET, ("127.0.0.1", 80))]
    assert await ask_system("localhost", 80)
