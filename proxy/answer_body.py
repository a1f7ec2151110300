"""The body that a client gets of an answer with an instruct: the instruct's own or the backend's, with ids built in.

`build-id` on any of the channels is for this body too (reference 6.6): of an answer to a client's request
(`proxy.holding`) and of one to a next link (`proxy.link_fetch`). The ids are those that the answer itself names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from handlers.errors import InstructError
from handlers.protocol.build_id import BUILD_ID, building
from handlers.protocol.instruct import Instruct
from handlers.protocol.percent_template import FilterError, Rendering
from proxy.held_answer import HeldAnswer


def is_built(instruct: Instruct) -> bool:
    """Say whether the body is not sent as it is, so that its length is not known before."""
    return any(BUILD_ID in channel.filters for channel in instruct.channels)


async def pieces_of(instruct: Instruct, answer: HeldAnswer) -> AsyncIterator[bytes]:
    """Yield the body as it comes, no piece empty. Raises InstructError for one that ids cannot be built into."""
    if not is_built(instruct):
        async for data in raw_pieces(instruct, answer):
            yield data
        return
    try:
        rendering = rendering_of(instruct)
        async for data in raw_pieces(instruct, answer):
            if built := rendering.feed(data):
                yield built
        rendering.end()
    except FilterError as error:
        raise InstructError(f"filter error: {error}") from error


def built(instruct: Instruct, body: bytes) -> bytes:
    """Return a whole body as the client gets it. Raises InstructError for one that ids cannot be built into."""
    if not is_built(instruct):
        return body
    try:
        rendering = rendering_of(instruct)
        return rendering.feed(body) + rendering.end()
    except FilterError as error:
        raise InstructError(f"filter error: {error}") from error


async def raw_pieces(instruct: Instruct, answer: HeldAnswer) -> AsyncIterator[bytes]:
    """Yield the body as it was sent, no piece empty."""
    if instruct.body is not None:
        if instruct.body:
            yield instruct.body
        return
    while data := await answer.read():
        yield data


def rendering_of(instruct: Instruct) -> Rendering:
    """Return what builds ids into a body. Raises FilterError."""
    seen = {channel.name: channel.prev_id or "" for channel in instruct.channels}
    return building(dict(instruct.meta), seen.get)
