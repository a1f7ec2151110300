from __future__ import annotations

import pytest

from handlers.protocol.zmq_spec import parse_spec
from proxy.protocol.route import Target, TargetKind
from proxy.protocol.zhttp_spec import of_worker, place_of, stream_specs


@pytest.mark.parametrize(
    ("spec", "endpoints"),
    [
        ("tcp://*:5000", ["tcp://*:5000", "tcp://*:5001", "tcp://*:5002"]),
        ("tcp://[::1]:1", ["tcp://[::1]:1", "tcp://[::1]:2", "tcp://[::1]:3"]),
        ("ipc:///run/x", ["ipc:///run/x-out", "ipc:///run/x-out-stream", "ipc:///run/x-in"]),
    ],
)
def test_one_spec_stands_for_three_endpoints(spec: str, endpoints: list[str]) -> None:
    assert [each.text for each in stream_specs(parse_spec(spec))] == endpoints


@pytest.mark.parametrize(
    ("kind", "spec", "number", "place"),
    [
        (TargetKind.ZHTTP, "ipc:///run/x", None, "ipc:///run/x"),
        (TargetKind.ZHTTP, "ipc:///run/x", 0, "ipc:///run/x-0"),
        (TargetKind.ZHTTPREQ, "ipc:///run/x", 3, "ipc:///run/x-3"),
        (TargetKind.ZHTTP, "tcp://h:5000", None, "tcp://h:5000"),
        (TargetKind.ZHTTP, "tcp://h:5000", 0, "tcp://h:5000"),
        (TargetKind.ZHTTP, "tcp://h:5000", 2, "tcp://h:5006"),
        (TargetKind.ZHTTPREQ, "tcp://h:5000", 2, "tcp://h:5002"),
    ],
)
def test_each_worker_has_a_place_of_its_own(kind: TargetKind, spec: str, number: int | None, place: str) -> None:
    assert place_of(Target(kind=kind, spec=spec), number).text == place


def test_there_is_no_port_above_the_last() -> None:
    with pytest.raises(ValueError, match="there is no port 65536"):
        of_worker(parse_spec("tcp://h:65535"), 1)
    with pytest.raises(ValueError, match="there is no port 65536"):
        stream_specs(parse_spec("tcp://h:65534"))


def test_a_path_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 107 bytes"):
        stream_specs(parse_spec(f"ipc:///{'x' * 100}"))
