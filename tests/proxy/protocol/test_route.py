from __future__ import annotations

import pytest

from proxy.protocol.route import Target, TargetKind


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Target(kind=TargetKind.HOST, host="b", port=80), "b:80"),
        (Target(kind=TargetKind.HOST, host="::1", port=80, ssl=True), "[::1]:80"),
        (Target(kind=TargetKind.TEST, over_http=True), "test"),
        (Target(kind=TargetKind.ZHTTP, spec="ipc://x"), "zhttp/ipc://x"),
        (Target(kind=TargetKind.ZHTTPREQ, spec="ipc://x"), "zhttpreq/ipc://x"),
    ],
)
def test_a_target_is_named_as_it_was_written_and_without_its_options(target: Target, name: str) -> None:
    assert target.name == name
