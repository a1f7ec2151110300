"""Another GRIP proxy in front, which does the holding: a client whose Grip-Sig the upstream key verifies (row R34)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import jwt
import pytest
import pytest_asyncio

from tests.support.answers import grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "u" * 32


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(backend: ScriptedBackend) -> AsyncIterator[AppProcess]:
    """Holdfast behind a proxy that signs with KEY, on the real clock that its tokens are made by."""
    settings = (f"proxy.upstream_key={KEY}", "proxy.x_forwarded_for_trusted=append")
    async with AppProcess(f"* {backend.address}", settings=settings, clock="real") as app:
        yield app


def token(*, key: str = KEY, seconds: int = 3600) -> str:
    """Return a Grip-Sig as the proxy in front makes it."""
    return jwt.encode({"iss": "front", "exp": int(time.time()) + seconds}, key, algorithm="HS256")


async def test_a_trusted_client_gets_the_instruct_and_holds_itself(
    app: AppProcess, client: RawClient, backend: ScriptedBackend
) -> None:
    """R34: its Grip-* reach the backend, no signature is added, and the backend's Grip-* go back to it."""
    signature = token()
    backend.answers("/trusted", grip_stream("trusted", body=b"open\n"))
    headers = [("Grip-Sig", signature), ("Grip-Last", "a; last-id=1"), ("X-Forwarded-For", "10.1.2.3")]
    answer = await client.fetch("/trusted", headers=headers)
    request = await backend.request()
    assert request.values(b"grip-sig") == (signature.encode(),)
    assert request.values(b"grip-last") == (b"a; last-id=1",)
    assert request.values(b"x-forwarded-for") == (b"10.1.2.3, 127.0.0.1",)
    assert answer.values(b"grip-hold") == (b"stream",)
    assert answer.body == b"open\n"
    assert (await app.counters())["sessions_opened"] == 0


@pytest.mark.parametrize(
    "signature",
    [token(key="x" * 32), token(seconds=-10), "nonsense", "", jwt.encode({"exp": 9_999_999_999}, "", algorithm="none")],
    ids=["another key", "expired", "nonsense", "empty", "no algorithm"],
)
async def test_a_client_whose_signature_does_not_verify_is_like_any_other(
    client: RawClient, backend: ScriptedBackend, signature: str
) -> None:
    """R28: its Grip-* stop here, and Holdfast signs for itself."""
    await client.fetch("/", headers=[("Grip-Sig", signature), ("Grip-Last", "a; last-id=1")])
    request = await backend.request()
    assert signature.encode() not in request.values(b"grip-sig")
    assert request.values(b"grip-last") == ()
