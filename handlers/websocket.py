"""A held WebSocket: frames of the client go to its link, frames of the link and publications go to the client.

What the client's frames mean is for the backend, which the link (`handlers.door.WebSocketLink`) speaks to; pings are
the backend's too, and so is the answer to a close. In GRIP mode a backend's frames carry a prefix, or are control
messages, which `websocket_control` obeys.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import Protocol, assert_never

from handlers.door import WebSocketLink
from handlers.framed import FramedSession, control_bucket
from handlers.protocol.instruct import KeepAlive
from handlers.protocol.names import Channel
from handlers.protocol.rate import TokenBucket
from handlers.protocol.subscribing import Subscription
from handlers.protocol.ws_deflate import Deflate
from handlers.protocol.ws_frames import CloseCode, CloseReason, Frame, Opcode
from handlers.protocol.ws_grip import Control, Dropped, GripReader
from handlers.session import Site
from handlers.settings import WebSocketSettings

log = logging.getLogger("holdfast.websocket")


class Obeying(Protocol):
    """Whoever obeys control messages (`handlers.websocket_control`)."""

    def obey(self, session: WebSocketSession, data: bytes) -> None:
        """Do what a control message says, or say why not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketSite:
    """What all WebSockets of a process share, besides the `Site`."""

    settings: WebSocketSettings
    controls: Obeying


class _Nobody:
    """The link of a session that has ended: takes whatever it is told."""

    __slots__ = ()

    def receive(self, frame: Frame) -> None: ...
    def close_by_us(self) -> None: ...
    def client_gone(self) -> None: ...
    def refresh(self) -> None: ...
    def client_behind(self, is_behind: bool) -> None: ...


NOBODY: WebSocketLink = _Nobody()


class WebSocketSession(FramedSession):
    """One WebSocket between a client and the link to its backend. Nothing is called before `attach` but `close`."""

    __slots__ = (
        "_controls_rate",
        "_delayed",
        "_delayed_at",
        "_grip",
        "_told",
        "connection_id",
        "implicit",
        "is_detached",
        "link",
        "websockets",
    )

    def __init__(
        self,
        *,
        site: Site,
        websockets: WebSocketSite,
        transport: asyncio.Transport,
        link: WebSocketLink,
        label: str,
        implicit: tuple[Channel, ...],
        prefix: str,
        message_limit: int | None,
        deflate: Deflate | None,
        grip: GripReader | None,
    ) -> None:
        """`implicit` channels cannot be left; `grip` is None where a backend's frames mean just themselves."""
        super().__init__(
            site=site,
            limits=websockets.settings,
            transport=transport,
            subscriptions=tuple(Subscription(channel=channel) for channel in implicit),
            label=label,
            prefix=prefix,
            message_limit=message_limit,
            deflate=deflate,
        )
        self.websockets = websockets
        self.link = link
        self.implicit = implicit
        self.connection_id = b""
        """The Connection-Id under which its backend knows it; empty where that knows none. Set by the door."""
        self.is_detached = False
        self._grip = grip
        self._controls_rate: TokenBucket | None = None
        self._told: tuple[str, ...] = ()
        self._delayed: bytes | None = None
        self._delayed_at = math.inf

    # -- from the client ----------------------------------------------------------------------------------------------

    def on_frame(self, frame: Frame) -> None:
        """Hand the client's frame to the link."""
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            self._take_ping(frame)
            return
        self.site.counters.websocket_messages += frame.fin
        if not self.is_detached:
            self.link.receive(frame)
        elif frame.fin:
            self.site.counters.websocket_discarded += 1
            self._tell_once("messages discarded from here on: the backend has left")

    def on_close(self, frame: Frame, reason: CloseReason) -> None:
        """Hand the client's close frame to the link, which answers it, or answer it where there is none."""
        if self.is_detached:
            self.close(reason)
        else:
            self.link.receive(frame)

    def on_gone(self) -> None:
        """Tell the link that its client is gone."""
        if not self.is_detached:
            self._let_link_go()
            self.link.client_gone()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed: let go of the link, which knows its session, so that neither keeps the other."""
        super().connection_lost(exc)
        self._let_link_go()
        self.link = NOBODY

    def pause_writing(self) -> None:
        """The client is behind."""
        super().pause_writing()
        if not self.is_detached:
            self.link.client_behind(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if not self.is_detached:
            self.link.client_behind(False)

    def _take_ping(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING and (self.is_detached or self.limits.answer_pings):
            self.answer_ping(frame)
        elif self.take_ping() and not self.is_detached:
            self.link.receive(frame)

    def _let_link_go(self) -> None:
        # Should it have stopped the reading, nobody else would go on with it, and the client's close would be missed.
        self.is_detached = True
        self.resume_reading()

    # -- from the backend, and from whoever publishes -----------------------------------------------------------------

    def relay(self, frame: Frame) -> None:
        """Take a frame of the backend's: send it on, or obey it where it is a control message."""
        if self.is_detached or self.is_close_sent:
            return  # what came in one piece with the cause of the end
        found = self._grip.feed(frame) if self._grip else frame
        match found:
            case None:
                pass
            case Frame():
                self.send_frame(found)
            case Control(data=data):
                self.websockets.controls.obey(self, data)
            case Dropped(reason=reason):
                self.site.counters.websocket_dropped += 1
                self._tell_once(f"message of the backend dropped, further ones without a word: {reason}")
            case _:
                assert_never(found)

    def refresh(self) -> None:
        """Have the backend asked once more."""
        if not self.is_detached:
            self.link.refresh()

    def close_by_us(self, reason: CloseReason) -> None:
        """Close both sides, for neither of which it is the answer to a close.

        While publications wait for the end of a message of the backend's, it has `close_timeout` to come to it.
        """
        if self.is_close_sent:
            return
        if self.waits:
            self.close_later(reason)
        else:
            self.detach()
            self.close(reason)

    def close(self, reason: CloseReason) -> None:
        """Close the client's side, for the backend or, when it has been put off, for us."""
        super().close(reason)
        if self.is_close_sent and self._close_later is not None:
            self.detach()

    def fail(self, why: str) -> None:
        """End the connection for a fault of the backend's, with which the link is done."""
        self.site.counters.websocket_backend_faults += 1
        code = CloseCode.INTERNAL_ERROR  # 1014 (bad gateway) would say more, but Chromium refuses it
        log.warning("%s closed with %d: %s", self.label, code, why)
        self._let_link_go()
        self.close(CloseReason(code=code, reason="backend failed"))

    def drain(self) -> None:
        """Close because the process stops."""
        self.close_by_us(CloseReason(code=CloseCode.GOING_AWAY))

    def end_silent(self, why: str) -> None:
        """Close a WebSocket on which nothing has moved for too long."""
        log.warning("%s closed: %s", self.label, why)
        self.close_by_us(CloseReason(code=CloseCode.GOING_AWAY, reason=why))

    # -- what control messages ask for --------------------------------------------------------------------------------

    def take_control(self) -> bool:
        """Say whether one more control message is within `control_rate`."""
        now = self.site.clock.now()
        if self._controls_rate is None:
            self._controls_rate = control_bucket(self.limits, now)
        return self._controls_rate.take(now)

    def set_meta(self, name: str, value: str | None) -> None:
        """Set, or with None delete, what filters look at."""
        meta = {key: kept for key, kept in self.meta.items() if key != name}
        self.meta = meta if value is None else meta | {name: value}

    def set_keep_alive(self, keep_alive: KeepAlive | None) -> None:
        """Send `keep_alive.data`, an encoded frame, from now on; None sends nothing."""
        self._keep_alive = keep_alive
        self.start_timers(self.site.clock.now())

    def send_later(self, frame: bytes, seconds: float) -> None:
        """Send an encoded frame in a while; one that is still waiting goes first, now."""
        self.send_delayed()
        self._delayed = frame
        self._delayed_at = self.site.clock.now() + seconds
        self.set_deadline()

    def send_delayed(self) -> None:
        """Send the frame that is waiting for its time, if there is one."""
        delayed, self._delayed = self._delayed, None
        self._delayed_at = math.inf
        if delayed is not None:
            self.write(delayed)
            self.touched = self.site.clock.now()

    def _tell_once(self, text: str) -> None:
        # The counter knows how often: a line each would let a peer fill the disk.
        if text not in self._told:
            self._told = (*self._told, text)
            log.info("%s %s", self.label, text)

    def detach(self) -> None:
        """Let the backend go; the client stays, with its channels."""
        if not self.is_detached:
            self._let_link_go()
            if self.is_behind:
                self.link.client_behind(False)  # it may wait for its backend's close now
            self.link.close_by_us()

    def on_deadline(self, now: float) -> None:
        """Send what was delayed until now, and do what else is due."""
        if self._delayed_at <= now:
            self.send_delayed()
        super().on_deadline(now)

    @property
    def next_due(self) -> float:
        """When the wheel is to wake this session."""
        return super().next_due if self.is_close_sent else min(super().next_due, self._delayed_at)
