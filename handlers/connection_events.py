"""What observers are told of a held connection: from whom it comes, and by which id it is known (reference 7.1)."""

from __future__ import annotations

from handlers.channel_rows import Held
from handlers.protocol.address import peer_ip
from handlers.protocol.carried_name import carry, show
from handlers.protocol.hold_id import HoldId
from handlers.protocol.names import Channel
from handlers.protocol.observed import Connected, Disconnected, Mode
from handlers.response import ResponseSession
from handlers.session import Session
from handlers.stream import StreamSession
from handlers.websocket import WebSocketSession


def connected(session: Held, *, worker: int) -> Connected:
    """Return what is told when a connection is held, by the worker with this number."""
    transport = session.transport
    return Connected(
        id_of(session, worker=worker),
        mode_of(session),
        peer_of(session),
        is_tls=transport.get_extra_info("ssl_object") is not None,
        route=show(session.route),
    )


def disconnected(session: Held, *, worker: int) -> Disconnected:
    """Return what is told when it is held no more, and is on its channels no more."""
    channels = tuple([Channel(carry(each.channel)) for each in session.subscriptions])
    return Disconnected(id_of(session, worker=worker), mode_of(session), channels, route=show(session.route))


def id_of(session: Session, *, worker: int) -> str:
    """Return the id of a connection: a WebSocket's Connection-Id where its backend knows one, or else ours."""
    if isinstance(session, WebSocketSession) and session.connection_id:
        return session.connection_id.decode()
    return HoldId(session.stamp, worker).text


def mode_of(session: Held) -> Mode:
    """Return how a session is held."""
    if isinstance(session, StreamSession):
        return "stream"
    return "response" if isinstance(session, ResponseSession) else "ws"


def peer_of(session: Session) -> str:
    """Return the IP address at the other end of the connection; empty where there is none."""
    return peer_ip(session.transport.get_extra_info("peername"))
