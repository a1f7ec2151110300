from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.protocol.route import Proto, Route, Target, TargetKind

ROUTE = Route(host="a.com", targets=(Target(kind=TargetKind.TEST),))


@pytest.mark.parametrize(
    ("route", "key"),
    [
        (replace(ROUTE, host="*"), "*,*,*,*"),
        (ROUTE, "a.com,*,*,*"),
        (replace(ROUTE, proto=Proto.WS, ssl=True, path_beg=b"/x"), "a.com,ws,yes,/x"),
        (replace(ROUTE, proto=Proto.HTTP, ssl=False), "a.com,http,no,*"),
        (replace(ROUTE, id="mine", ssl=False), "mine"),
    ],
)
def test_a_route_without_id_is_known_by_its_condition(route: Route, key: str) -> None:
    assert route.key == key


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
