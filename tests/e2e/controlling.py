"""What the tests of the control paths do again and again: ask the publish port, and take the JSON apart."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tests.support.client import RawClient
from tests.support.http import Response
from tests.support.publisher import HasPublishPort


async def ask_port(
    app: HasPublishPort, path: str, *headers: tuple[str, str], method: str = "GET", body: bytes | None = None
) -> Response:
    """Send one request to the publish port, on a connection of its own."""
    async with await RawClient.connect(app.publish_address) as client:
        return await client.fetch(path, method=method, host="localhost", headers=headers, body=body)


async def told(app: HasPublishPort, path: str, *, method: str = "GET", status: int = 200) -> Any:
    """Ask, and return the JSON of the answer, which must have this status."""
    response = await ask_port(app, path, method=method)
    assert response.status == status, response
    assert response.values(b"content-type") == (b"application/json",)
    return json.loads(response.body)


async def held_on(app: HasPublishPort, channel: str) -> list[dict[str, Any]]:
    """Return the connections on a channel."""
    connections: list[dict[str, Any]] = (await told(app, f"/connections/?channel={quote(channel)}"))["connections"]
    return connections


async def id_on(app: HasPublishPort, channel: str) -> str:
    """Return the id of the only connection on a channel."""
    [connection] = await held_on(app, channel)
    name: str = connection["id"]
    return quote(name, safe="")
