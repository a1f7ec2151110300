"""Publishing as a backend does it: items as JSON over a kept-alive connection to the publish port."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol, Self

from tests.support.client import RawClient
from tests.support.http import Response

Json = dict[str, Any]
"""An item as the publish port takes it; tests write these as literals."""


class HasPublishPort(Protocol):
    """What publishing needs to know of an app."""

    @property
    def publish_address(self) -> tuple[str, int]:
        """Host and port of the publish port."""


class Publisher:
    """One connection to the publish port. Use as `async with await Publisher.connect(app) as publisher`."""

    def __init__(self, client: RawClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls, app: HasPublishPort) -> Self:
        """Connect to the app's publish port."""
        return cls(await RawClient.connect(app.publish_address))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    async def publish(self, *items: Json) -> Response:
        """Publish `items` in one request and return the answer."""
        await self.send(*items)
        return await self.answer()

    async def send(self, *items: Json) -> None:
        """Send one request and do not wait for its answer, so that the next can follow in the same breath."""
        await self.send_body(json.dumps({"items": items}).encode())

    async def send_body(self, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send one request with this very body. Only whoever asks for keep-alive gets it from the publish port."""
        pairs = (("Content-Type", "application/json"), ("Connection", "keep-alive"), *headers)
        await self._client.send_request("/publish/", method="POST", host="localhost", headers=pairs, body=body)

    async def answer(self) -> Response:
        """Read the next answer."""
        return await self._client.response(method="POST")


async def publish(app: HasPublishPort, *items: Json) -> None:
    """Publish `items` and make sure that the publish port took them."""
    async with await Publisher.connect(app) as publisher:
        response = await publisher.publish(*items)
    assert (response.status, response.body) == (200, b"Published\n"), response


def stream_item(channel: str, content: str, **fields: object) -> Json:
    """An item that appends `content` to each stream on `channel`; `fields` go beside `channel` (`id`, ...)."""
    return {"channel": channel, "formats": {"http-stream": {"content": content}}, **fields}


def close_item(channel: str) -> Json:
    """An item that ends each stream on `channel`."""
    return {"channel": channel, "formats": {"http-stream": {"action": "close"}}}


def response_item(channel: str, body: str, **response: object) -> Json:
    """An item that answers each long poll on `channel`; `response` is `code`, `reason`, `headers`."""
    return {"channel": channel, "formats": {"http-response": {"body": body, **response}}}


def hint_item(channel: str) -> Json:
    """An item that tells each long poll on `channel` to ask its backend again."""
    return {"channel": channel, "formats": {"http-response": {"action": "hint"}}}
