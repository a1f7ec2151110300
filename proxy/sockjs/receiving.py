"""Serves the requests by which SockJS clients get what their sessions have for them: held, or answered at once."""

from __future__ import annotations

from handlers.counters import Counters
from handlers.protocol.sockjs import STILL_OPEN, Wrapping, encode_closed, prelude, wrap
from handlers.sockjs.poll import SockJsPoll, frame_answer
from handlers.sockjs.session import SockJsSession
from handlers.sockjs.stream import SockJsStream
from proxy.flow import Flow
from proxy.protocol.sockjs_answer import frame_headers


def refuse_second(flow: Flow, wrapping: Wrapping, callback: bytes, counters: Counters) -> None:
    """Tell a client that its session has another request under way."""
    counters.sockjs_polls_refused += 1
    body = prelude(wrapping, callback) + wrap(wrapping, encode_closed(STILL_OPEN), callback)
    flow.exchange.answer(frame_answer(body, frame_headers(wrapping, flow.exchange.head.headers)))


def hold(flow: Flow, session: SockJsSession, wrapping: Wrapping, callback: bytes) -> None:
    """Send what `session` has, and wait for it. Not while it `is_taken`."""
    if wrapping.is_streaming:
        hold_stream(flow, session, wrapping, callback)
    else:
        hold_poll(flow, session, wrapping, callback)


def hold_poll(flow: Flow, session: SockJsSession, wrapping: Wrapping, callback: bytes) -> None:
    """Answer a poll with the frame that waits, or hold it until there is one."""
    exchange = flow.exchange
    headers = frame_headers(wrapping, exchange.head.headers)
    transport = exchange.transport  # or the client is gone, before anything was taken for it
    frame = session.take()
    if frame is not None:
        exchange.answer(frame_answer(wrap(wrapping, frame, callback), headers))
        return
    poll = SockJsPoll(
        of=session,
        transport=transport,
        label=flow.uri,
        form=exchange.form,
        headers=headers,
        wrapping=wrapping,
        callback=callback,
    )
    exchange.hand_over(poll)
    session.receive_by(poll)


def hold_stream(flow: Flow, session: SockJsSession, wrapping: Wrapping, callback: bytes) -> None:
    """Begin a streaming answer, which goes on with what comes."""
    exchange = flow.exchange
    form = exchange.form
    is_chunked = form.version == b"1.1"
    headers = frame_headers(wrapping, exchange.head.headers)
    exchange.begin(status=200, reason=b"OK", headers=headers, length=None)
    exchange.send(prelude(wrapping, callback))
    stream = SockJsStream(
        of=session,
        transport=exchange.transport,
        label=flow.uri,
        reusable=form.reusable and is_chunked,
        chunked=is_chunked,
        wrapping=wrapping,
    )
    exchange.hand_over(stream)
    session.receive_by(stream)
