"""What is to be done about a request, by its head alone. Whole answers are in test_http."""

from __future__ import annotations

import pytest

from publish_api.errors import RequestRefused
from publish_api.plan import REMEMBERED, REMEMBERED_BYTES, UNKNOWN, Kind, Plan, Planner, encode_for, refuse
from publish_api.protocol.answer import PublishAnswer
from publish_api.protocol.request_head import BadHead
from publish_api.protocol.scope import Scope
from publish_api.settings import PublishSettings
from tests.support.publish_port import request


def planner(settings: PublishSettings | None = None, *, has_metrics: bool = True, has_control: bool = False) -> Planner:
    return Planner(
        settings or PublishSettings(),
        has_metrics=has_metrics,
        is_hub=lambda path: path == "/.well-known/mercure",
        has_control=has_control,
    )


def plan(head: bytes, settings: PublishSettings | None = None) -> Plan:
    return planner(settings).plan(head)


def status_of(made: Plan) -> int:
    assert made.answer is not None
    return made.answer.status


@pytest.mark.parametrize(
    ("head", "kind", "status"),
    [
        (request(b""), Kind.PUBLISH, 200),
        (request(b"", path="/publish"), Kind.PUBLISH, 200),
        (request(b"", path="/publish?x"), Kind.FIXED, 404),
        (request(None, method="GET"), Kind.FIXED, 405),
        (request(b"", "Accept: text/html"), Kind.FIXED, 406),
        (request(None), Kind.FIXED, 411),
        (request(None, "Transfer-Encoding: chunked"), Kind.FIXED, 411),
        (request(None, "Content-Length: 1000001"), Kind.FIXED, 400),
        (request(None, method="GET", path="/"), Kind.FIXED, 200),
        (request(None, path="/recover"), Kind.RECOVER, 200),
        (request(b"", path="/metrics"), Kind.FIXED, 405),
        (request(None, method="GET", path="/healthz"), Kind.FIXED, 200),
        (request(b"", path="/healthz"), Kind.FIXED, 405),
    ],
    ids=range(13),
)
def test_what_a_head_comes_to(head: bytes, kind: Kind, status: int) -> None:
    made = plan(head)
    assert (made.kind, status_of(made)) == (kind, status)


def test_what_is_made_anew_each_time_is_named() -> None:
    for path, kind in (("/metrics", Kind.METRICS), ("/readyz", Kind.READY), ("/.well-known/mercure?x", Kind.HUB)):
        made = plan(request(None, method="GET", path=path))
        assert (made.kind, made.answer) == (kind, None)
    bare = planner(has_metrics=False).plan(request(None, method="GET", path="/metrics"))
    assert (bare.kind, status_of(bare)) == (Kind.FIXED, 404)


@pytest.mark.parametrize(
    ("method", "path", "is_protected", "scope"),
    [
        ("GET", "/channels/", True, Scope.READ),
        ("HEAD", "/channels/a%2Fb?x=1", True, Scope.READ),
        ("GET", "/connections", True, Scope.READ),
        ("DELETE", "/connections/x/", True, Scope.CLOSE),
        ("GET", "/openapi.json", False, Scope.READ),
    ],
)
def test_who_is_there_is_for_those_who_may_know(method: str, path: str, is_protected: bool, scope: Scope) -> None:
    head = request(None, "Accept: text/html", method=method, path=path)
    made = planner(has_control=True).plan(head)
    assert (made.kind, made.answer, made.is_protected, made.scope) == (Kind.CONTROL, None, is_protected, scope)
    unknown = planner().plan(request(None, method=method, path=path))
    assert (unknown.kind, status_of(unknown), unknown.is_protected) == (Kind.FIXED, 404, False)


def test_whoever_publishes_must_be_allowed_to() -> None:
    assert plan(request(b"")).scope is plan(request(None, path="/recover")).scope is Scope.PUBLISH


def test_an_error_is_text_or_json() -> None:
    text, as_json = (refuse(RequestRefused(404, 'No "x".'), as_json=yes) for yes in (False, True))
    assert (text.body, text.content_type) == (b'No "x".\n', b"text/plain")
    assert (as_json.body, as_json.content_type) == (b'{"message":"No \\"x\\"."}\n', b"application/json")


def test_the_hub_has_its_own_limit_of_bodies() -> None:
    made = plan(request(None, "Content-Length: 99999999", path="/.well-known/mercure"))
    assert (made.kind, made.length) == (Kind.HUB, 99_999_999)


@pytest.mark.parametrize(
    ("head", "is_protected"),
    [
        (request(b""), True),
        (request(b"", method="PUT"), True),
        (request(b"", "Accept: text/html"), True),
        (request(None), False),
        (request(None, "Content-Length: 1000001"), False),
        (request(b"", path="/"), False),
        (request(None, method="GET", path="/metrics"), False),
    ],
    ids=range(7),
)
def test_who_publishes_is_asked_who_he_is_before_he_is_told_more(head: bytes, is_protected: bool) -> None:
    assert plan(head).is_protected is is_protected


def test_it_has_what_he_shows() -> None:
    assert plan(request(b"")).authorization is None
    assert plan(request(b"", "authorization: Bearer x", "Authorization: y")).authorization == "Bearer x"


@pytest.mark.parametrize(
    ("head", "settings", "may_keep"),
    [
        (request(b""), None, False),
        (request(b"", "Connection: keep-alive"), None, True),
        (request(b"x", "Connection: keep-alive", path="/nope"), None, True),
        (request(None, "Connection: keep-alive", "Transfer-Encoding: chunked"), None, False),
        (request(b"", "Connection: keep-alive"), PublishSettings(keep_alive_timeout=0), False),
    ],
    ids=range(5),
)
def test_whether_the_connection_may_be_kept(head: bytes, settings: PublishSettings | None, may_keep: bool) -> None:
    assert plan(head, settings).may_keep is may_keep


def test_its_name_in_the_log_is_bounded_and_without_tokens() -> None:
    made = plan(request(b"", path=f"/x?authorization=secret&y={'z' * 999}"))
    assert made.label == f"POST /x?authorization=...&y={'z' * 999}"[:205]
    assert made.line == ""
    assert plan(request(b"")).line == "control: POST /publish/ code=200 10 items="
    assert UNKNOWN.label == "UNKNOWN /"


def test_an_answer_that_is_known_is_encoded_beforehand() -> None:
    made = plan(request(b"", "Accept: application/json"))
    assert made.answer is not None
    assert made.answer_kept == encode_for(made.head, made.answer, keeps_open=True)
    assert made.answer_last == encode_for(made.head, made.answer, keeps_open=False)
    assert b"\r\nConnection: keep-alive\r\n" in made.answer_kept
    assert b"\r\nConnection: close\r\n" in made.answer_last


def test_a_refusal_ends_its_line_in_the_log_with_its_text_unless_there_is_more_to_say() -> None:
    error = RequestRefused(404, "Not Found", ((b"X", b"y"),))
    assert refuse(error) == PublishAnswer(
        status=404, body=b"Not Found\n", headers=((b"X", b"y"),), note=" error='Not Found'"
    )
    assert refuse(error, note=" more").note == " more"


# -- what is remembered -------------------------------------------------------------------------------------------


def test_the_same_head_has_the_same_plan() -> None:
    asked = planner()
    assert asked.plan(request(b"")) is asked.plan(request(b""))
    assert asked.plan(request(b"")) is not asked.plan(request(None, "Content-Length: 1"))


def test_long_heads_are_not_remembered() -> None:
    asked, head = planner(), request(b"", f"X: {'x' * REMEMBERED_BYTES}")
    assert asked.plan(head) is not asked.plan(head)


def test_only_so_many_are() -> None:
    asked, first = planner(), request(b"")
    made = asked.plan(first)
    for number in range(REMEMBERED):
        asked.plan(request(None, f"Content-Length: {number + 1}"))
    assert asked.plan(first) is not made


def test_what_is_no_head_is_refused_each_time() -> None:
    asked = planner(PublishSettings(max_head=1024))
    for _ in range(2):
        with pytest.raises(BadHead):
            asked.plan(b"NONSENSE\r\n\r\n")
        with pytest.raises(BadHead) as caught:
            asked.plan(request(None, f"X: {'x' * 1024}"))
        assert caught.value.text == "Request header too large."
