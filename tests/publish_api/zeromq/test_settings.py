from __future__ import annotations

import pytest

from handlers.errors import InvalidSetting
from publish_api.zeromq.settings import ZeroMQSettings


def test_there_is_no_socket_unless_told_otherwise() -> None:
    assert not ZeroMQSettings().is_enabled
    assert ZeroMQSettings().exposed == ()


@pytest.mark.parametrize(
    "settings",
    [
        ZeroMQSettings(pull="tcp://127.0.0.1:5560"),
        ZeroMQSettings(sub=("tcp://127.0.0.1:5562", "ipc://sub")),
        ZeroMQSettings(command="tcp://127.0.0.1:5563"),
        ZeroMQSettings(stats="ipc://stats"),
    ],
)
def test_each_endpoint_makes_a_socket(settings: ZeroMQSettings) -> None:
    assert settings.is_enabled
    assert settings.exposed == ()


def test_it_says_where_other_machines_can_publish() -> None:
    settings = ZeroMQSettings(
        pull="tcp://*:1", sub=("tcp://127.0.0.1:2", "tcp://10.0.0.1:3"), command="tcp://eth0:4", stats="tcp://*:5"
    )
    assert settings.exposed == ("tcp://*:1", "tcp://eth0:4", "tcp://10.0.0.1:3")
    assert ZeroMQSettings(sub=("tcp://10.0.0.1:3",), sub_connect=True).exposed == ()


@pytest.mark.parametrize(
    ("key", "value"), [("pull", "5560"), ("command", "tcp://5563"), ("stats", "ipc://"), ("sub", ("ipc://x", "x"))]
)
def test_what_is_no_endpoint_is_refused(key: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{key}: '"):
        ZeroMQSettings(**{key: value})  # type: ignore[arg-type]  # any of them
