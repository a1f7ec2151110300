from __future__ import annotations

import pytest

from handlers.protocol.zmq_spec import ZmqSpec, parse_spec


@pytest.mark.parametrize(
    ("text", "is_local", "has_open_port", "is_abstract"),
    [
        ("tcp://127.0.0.1:5560", True, False, False),
        ("tcp://localhost:5560", True, False, False),
        ("tcp://[::1]:5560", True, False, False),
        ("tcp://*:5560", False, False, False),
        ("tcp://0.0.0.0:5560", False, False, False),
        ("tcp://10.0.0.1:5560", False, False, False),
        ("tcp://eth0:5560", False, False, False),
        ("tcp://127.0.0.1:0", True, True, False),
        ("tcp://127.0.0.1:*", True, True, False),
        ("tcp://*:*", False, True, False),
        ("ipc:///run/holdfast/pull", True, False, False),
        ("ipc://pull:0", True, False, False),
        ("ipc://@holdfast", True, False, True),
    ],
)
def test_an_endpoint_is_read(text: str, is_local: bool, has_open_port: bool, is_abstract: bool) -> None:
    spec = parse_spec(text)
    assert (spec.text, spec.is_local, spec.has_open_port, spec.is_abstract) == (
        text,
        is_local,
        has_open_port,
        is_abstract,
    )
    transport, _, address = text.partition("://")
    assert spec == ZmqSpec(transport="tcp" if transport == "tcp" else "ipc", address=address)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no ZeroMQ endpoint: expected tcp://HOST:PORT or ipc://PATH"),
        ("127.0.0.1:5560", "is no ZeroMQ endpoint"),
        ("tcp:/127.0.0.1:5560", "is no ZeroMQ endpoint"),
        ("inproc://here", "is no ZeroMQ endpoint"),
        ("http://127.0.0.1:5561", "is no ZeroMQ endpoint"),
        ("tcp://5560", "has no host"),
        ("tcp://:5560", "has no host"),
        ("tcp://127.0.0.1:", "is not an address: the port must be a number"),
        ("tcp://127.0.0.1:65536", "is not an address: the port must be a number"),
        ("tcp://::1:5560", "is not an address: an IPv6 address goes in brackets"),
        ("tcp://a b:5560", "is not a host name"),
        ("ipc://*", "is a path of ZeroMQ's choice"),
        ("ipc://", "has no path, or one of more than 107 bytes"),
        ("ipc://" + "x" * 108, "has no path, or one of more than 107 bytes"),
    ],
)
def test_what_is_no_endpoint_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^'") as caught:
        parse_spec(text)
    assert why in str(caught.value)
