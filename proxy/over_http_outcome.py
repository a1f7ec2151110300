"""What a backend's answer to events means for the client: outcomes of the machine, done to the session.

Used by `proxy.over_http`, which sees to what concerns the backend.
"""

from __future__ import annotations

from typing import assert_never

from handlers.websocket import WebSocketSession
from proxy.protocol.ws_event_frames import event_frame, read_close
from proxy.protocol.ws_exchange import (
    CloseClient,
    CutClient,
    Deliver,
    EchoClose,
    FailClient,
    FailOpening,
    Opened,
    Outcome,
)


def carry_out(session: WebSocketSession, outcome: Outcome) -> None:
    """Do one outcome. Raises EventsError at an event that no client may get; those before it are delivered."""
    match outcome:
        case Deliver(events=events):
            for event in events:
                session.relay(event_frame(event))
        case CloseClient(content=content):
            session.close(read_close(content))
        case EchoClose():
            session.echo()
        case CutClient():
            session.cut("the backend disconnected")
        case FailClient(reason=reason):
            session.fail(reason)
        case Opened() | FailOpening():
            raise AssertionError("said before there is a session")
        case _:
            assert_never(outcome)
