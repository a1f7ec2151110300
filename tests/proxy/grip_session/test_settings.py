from __future__ import annotations

import pytest

from handlers.errors import InvalidSetting
from proxy.grip_session.settings import SessionSettings


@pytest.mark.parametrize("state", ["", "tcp://127.0.0.1:5555", "ipc:///run/state"])
def test_an_endpoint_is_taken(state: str) -> None:
    assert SessionSettings(state=state).state == state


@pytest.mark.parametrize("state", ["127.0.0.1:5555", "udp://h:1", "ipc://", "tcp://h"])
def test_anything_else_is_refused(state: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^state: "):
        SessionSettings(state=state)
