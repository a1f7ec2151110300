"""Settings of GRIP sessions (section `[session]`). Loaded by `proxy.config`, used by `proxy.grip_session.tracking`."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.errors import InvalidSetting
from handlers.protocol.zmq_spec import parse_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Where sessions of backends are remembered, for routes with the option `session`."""

    state: str = ""
    """Endpoint that is bound for a session state service, which connects to it: `tcp://HOST:PORT` or `ipc://PATH`. With
    several workers each has its own: `ipc://PATH-0`, `ipc://PATH-1`, or one port after the other. Empty: there are no
    sessions. Pushpin's `state_spec`."""

    def __post_init__(self) -> None:
        """Check the endpoint."""
        if self.state:
            try:
                parse_spec(self.state)
            except ValueError as error:
                raise InvalidSetting("state", str(error)) from error
