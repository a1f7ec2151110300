"""A backend that speaks WebSocket itself, on PyPI's `websockets`: a program, started by `conftest`.

Environment: PORT to listen on. Its log, on standard output, has every frame that comes or goes, and how each connection
has ended: tests look there for what it has seen.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

PIECE = 65_536
LOG = logging.getLogger("backend")


def refuse(connection: ServerConnection, request: Request) -> Response | None:
    if request.path != "/refused":
        return None
    response = connection.respond(HTTPStatus.FORBIDDEN, "not you\n")
    response.headers["X-By"] = "websockets"
    return response


def take_up_grip(connection: ServerConnection, request: Request, response: Response) -> None:
    if request.path.startswith("/grip/") and request.headers.get("Sec-WebSocket-Extensions") == "grip":
        response.headers["Sec-WebSocket-Extensions"] = 'grip; message-prefix=">"'


def choose(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((each for each in offered if each == "v1.chat"), None)


async def serve_one(connection: ServerConnection) -> None:
    assert connection.request is not None
    path = connection.request.path
    try:
        if path.startswith("/grip/"):
            await connection.send("c:" + json.dumps({"type": "subscribe", "channel": path.rpartition("/")[2]}))
            await connection.send(">opened")
        async for message in connection:
            await answer(connection, message, is_grip=path.startswith("/grip/"))
    except ConnectionClosedError:
        pass
    finally:
        LOG.info("%s has ended: %s %s", path, connection.close_code, connection.close_reason)


async def answer(connection: ServerConnection, message: str | bytes, *, is_grip: bool) -> None:
    assert connection.request is not None
    match str(message).split(" ", maxsplit=2):
        case ["headers"]:
            await connection.send(json.dumps(list(connection.request.headers.raw_items())))
        case ["ping", said]:
            await (await connection.ping(said))
            await connection.send("the pong has come")
        case ["close", code, reason]:
            await connection.close(int(code), reason)
        case ["detach"]:
            await connection.send('c:{"type": "detach"}')
        case _ if is_grip:
            await connection.send([">", str(message)])
        case _:
            await connection.send(message if len(message) < PIECE else pieces(message))


def pieces(message: str | bytes) -> list[str | bytes]:
    """Cut a message into fragments."""
    return [message[start : start + PIECE] for start in range(0, len(message), PIECE)]


async def main() -> None:
    logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(message)s")
    async with serve(
        serve_one,
        "127.0.0.1",
        int(os.environ["PORT"]),
        process_request=refuse,
        process_response=take_up_grip,
        select_subprotocol=choose,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
