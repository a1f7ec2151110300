"""Which endpoints belong to a ZHTTP target: one spec in the routes file stands for up to three (reference 1.4).

Several processes cannot bind one endpoint, so each worker of a Holdfast has its own.
"""

from __future__ import annotations

from handlers.protocol.zmq_spec import ZmqSpec, parse_spec
from proxy.protocol.route import Target, TargetKind

STREAM_PORTS = 3
"""Ports from the one written on: for first messages, later messages, and answers."""

_LAST_PORT = 65_535


def place_of(target: Target, number: int | None) -> ZmqSpec:
    """Return where a target's sockets are in the worker of this number, from 0; None where one process does everything.

    `ipc://PATH` becomes `ipc://PATH-NUMBER`, and of `tcp://HOST:PORT` the ports follow one another. Raises ValueError
    for a place that cannot be.
    """
    return of_worker(parse_spec(target.spec), number, ports=STREAM_PORTS if target.kind is TargetKind.ZHTTP else 1)


def of_worker(spec: ZmqSpec, number: int | None, *, ports: int = 1) -> ZmqSpec:
    """Return the endpoint of a worker's own for one that is written once and takes so many ports, as `place_of`."""
    if number is None:
        return spec
    if spec.transport == "ipc":
        return parse_spec(f"{spec.text}-{number}")
    return _moved(spec, number * ports)


def stream_specs(spec: ZmqSpec) -> tuple[ZmqSpec, ZmqSpec, ZmqSpec]:
    """Return the endpoints of PUSH, ROUTER and SUB. Raises ValueError for one that cannot be."""
    if spec.transport == "ipc":
        out, out_stream, answers = (parse_spec(f"{spec.text}-{name}") for name in ("out", "out-stream", "in"))
    else:
        out, out_stream, answers = (_moved(spec, offset) for offset in range(STREAM_PORTS))
    return out, out_stream, answers


def _moved(spec: ZmqSpec, offset: int) -> ZmqSpec:
    host, _, port = spec.address.rpartition(":")
    if int(port) + offset > _LAST_PORT:
        raise ValueError(f"{spec.text}: there is no port {int(port) + offset}")
    return ZmqSpec(transport="tcp", address=f"{host}:{int(port) + offset}")
