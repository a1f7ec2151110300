"""Opens a route to pages of other origins: CORS headers on every answer, and requests by JSON-P (reference 3.13).

Called by `proxy.front` for requests of routes with `aco`. What becomes of answers is a value that the exchange keeps
(`handlers.protocol.presentation`), so that whoever answers need not know of it; only a script has to be whole.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from handlers.protocol.answers import Answer
from handlers.protocol.cross_origin import read_cross_origin
from handlers.protocol.presentation import Presentation
from handlers.timers import Clock
from proxy.backend import BackendAnswer
from proxy.errors import RequestBodyError
from proxy.flow import Flow
from proxy.held_answer import HeldAnswer, read_limited
from proxy.outgoing import shorten
from proxy.protocol.headers import response_headers
from proxy.protocol.jsonp_request import JsonpRequest, JsonpRequestError, read_jsonp

NO_STREAM: Final = "a stream cannot be had by JSON-P"
SCRIPT_LIMIT: Final = 1_048_576
"""Bytes of an answer's body that can be had by JSON-P: it is kept whole, and encoded it may be six times as large."""


def open_up(flow: Flow) -> None:
    """Have all answers to a request open to the page that asks, and find out which request is meant by JSON-P.

    A trusted client is a GRIP proxy, which wants answers as they are. Raises RequestBodyError with a 400.
    """
    exchange = flow.exchange
    cross_origin = read_cross_origin(exchange.head.headers)
    exchange.presentation = Presentation(cross_origin=cross_origin)
    if exchange.head.method != b"GET" or flow.incoming.is_trusted:
        return
    try:
        meant = read_jsonp(flow.incoming.path, exchange.head.headers, flow.route)
    except JsonpRequestError as error:
        raise RequestBodyError(str(error)) from error
    if meant is not None:
        exchange.presentation = Presentation(cross_origin=cross_origin, jsonp=meant.jsonp)
        _stand_for(flow, meant)


async def read_script(flow: Flow, answer: HeldAnswer, *, clock: Clock) -> bytes:
    """Read the body of the backend's answer to a request by JSON-P. Raises UpstreamError as `read_limited` does."""
    return await read_limited(
        answer,
        target=flow.target.name if flow.target else "",
        clock=clock,
        seconds=flow.answer_seconds,
        limit=SCRIPT_LIMIT,
        what="answer for JSON-P",
    )


async def relay_script(flow: Flow, answer: BackendAnswer, *, clock: Clock) -> None:
    """Answer a request by JSON-P with the backend's answer, which is no instruct; what it has of `Grip-*` is not ours.

    Raises NotEncodable, and UpstreamError as `read_limited` does.
    """
    body = await read_script(flow, answer, clock=clock)
    headers = response_headers(answer.headers, grip=False, keep_length=False) + flow.added_headers
    flow.exchange.answer(Answer(status=answer.status, reason=answer.reason, headers=headers, body=body))


def _stand_for(flow: Flow, meant: JsonpRequest) -> None:
    """Have the flow go on with the request that is meant. Its URI is logged: the query may hold a body and secrets."""
    incoming = flow.incoming
    scheme, _, _ = incoming.uri.partition("://")
    uri = f"{scheme}://{incoming.authority.decode('latin-1')}{shorten(meant.path)}"
    flow.meant = meant
    flow.incoming = structs.replace(incoming, path=meant.path, uri=uri)
