"""Passes a backend's answer on to a client, as it comes."""

from __future__ import annotations

from handlers.protocol.http1 import Headers
from proxy.backend import BackendAnswer
from proxy.exchange import Exchange
from proxy.protocol.headers import response_headers


async def relay(exchange: Exchange, answer: BackendAnswer, *, speaks_grip: bool, added: Headers = ()) -> None:
    """Answer the client with the backend's answer and `added`; with `speaks_grip` `Grip-*` headers go no further.

    Raises AnswerTruncated, or ConnectionResetError when the client is gone.
    """
    exchange.begin(
        status=answer.status,
        reason=answer.reason,
        headers=response_headers(answer.headers, grip=speaks_grip, keep_length=False) + added,
        length=answer.length,
    )
    whole = answer.whole()
    if whole is not None:
        exchange.send_whole(whole)
        return
    if not answer.has_body_waiting:
        exchange.flush_head()
    while data := await answer.read():
        await exchange.write(data)
    exchange.end()
