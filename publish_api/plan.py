"""What is to be done about a request, by its head alone (reference 6.1).

`Planner` is asked by every connection for every request. Publishers send the same head again and again, so what was
made of one is remembered, by its bytes: then nothing is parsed or routed twice. What may change between two equal heads
(whether a token is still good) is not part of a plan.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST

from handlers.protocol.fields import decode_field
from handlers.protocol.http1 import first_header, header_values
from handlers.protocol.mercure.presenting import without_tokens
from publish_api.errors import RequestRefused
from publish_api.protocol.accept import AnswerType, choose_type
from publish_api.protocol.answer import PublishAnswer, encode_answer
from publish_api.protocol.control_target import DESCRIPTION, is_control
from publish_api.protocol.request_head import BadHead, RequestHead, parse_head
from publish_api.protocol.scope import Scope
from publish_api.settings import PublishSettings

BODILESS: Final = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))
"""Methods that need no Content-Length."""

REMEMBERED: Final = 1024
"""Heads that are remembered: as many as the bodies of a few publishers have different lengths."""

REMEMBERED_BYTES: Final = 1024
"""Bytes of the longest head that is remembered."""

PUBLISHED: Final = {
    AnswerType.TEXT: PublishAnswer(status=200, body=b"Published\n"),
    AnswerType.JSON: PublishAnswer(status=200, body=b'{"message":"Published"}\n', content_type=AnswerType.JSON.value),
}
UPDATED: Final = {
    AnswerType.TEXT: PublishAnswer(status=200, body=b"Updated\n"),
    AnswerType.JSON: PublishAnswer(status=200, body=b'{"message":"Updated"}\n', content_type=AnswerType.JSON.value),
}
# The name tools look for when they want to know whether a publish port is there.
NAME: Final = PublishAnswer(status=200, body=b"Pushpin API\n")
HEALTHY: Final = PublishAnswer(status=200, body=b"ok\n")
METRICS_TYPE: Final = CONTENT_TYPE_LATEST.encode()
LENGTH_REQUIRED: Final = RequestRefused(411, "Request requires Content-Length.")
BODY_TOO_LARGE: Final = RequestRefused(400, "Request body too large.")
EXCEEDED: Final = "Request body exceeded Content-Length."


class Kind(enum.Enum):
    """Who answers a request."""

    FIXED = enum.auto()
    PUBLISH = enum.auto()
    METRICS = enum.auto()
    RECOVER = enum.auto()
    READY = enum.auto()
    CONTROL = enum.auto()
    HUB = enum.auto()


WITHOUT_BODY: Final = frozenset((Kind.FIXED, Kind.METRICS, Kind.RECOVER, Kind.READY, Kind.CONTROL))
"""Those who do not want to see a body."""

LONG: Final = frozenset((Kind.METRICS, Kind.CONTROL))
"""Those whose answers may be long: each has to be read before the next is made."""


HEALTH: Final[Mapping[str, tuple[Kind, PublishAnswer | None]]] = {
    "/healthz": (Kind.FIXED, HEALTHY),
    "/readyz": (Kind.READY, None),
}
"""Whether the process lives, and whether it serves; asked by load balancers and the like, which have no token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done about every request with this very head."""

    kind: Kind
    head: RequestHead

    answer: PublishAnswer | None
    """The answer, of a publication that of success; None where it is made anew each time."""

    is_protected: bool
    """Whoever asks must show that he may, before he is told anything else."""

    scope: Scope
    """What it is that he must be allowed."""

    authorization: str | None
    """What he shows: the first Authorization header."""

    length: int
    """Bytes of the body."""

    may_keep: bool
    """The publisher asks for the connection to be kept, and gets it unless something else ends it."""

    label: str
    """Method and target for the log: bounded, ASCII, without tokens."""

    line: str
    """A publication's log line, but for the number of its items; empty for other requests."""

    is_probe: bool
    """Whether programs that look after the server ask this, every few seconds."""

    answer_kept: bytes
    """`answer` encoded, for a connection that goes on; empty where there is none."""

    answer_last: bytes
    """`answer` encoded, for a connection that ends behind it; empty where there is none."""


class Planner:
    """Makes plans. `is_hub` says whether a path, without its query, is the hub's."""

    def __init__(
        self,
        settings: PublishSettings,
        *,
        has_metrics: bool,
        is_hub: Callable[[str], bool],
        has_control: bool = False,
    ) -> None:
        self._settings = settings
        self._has_control = has_control
        self._has_metrics = has_metrics
        self._is_hub = is_hub
        self._known: dict[bytes, Plan] = {}

    def plan(self, head: bytes) -> Plan:
        """Return what is to be done about a request with this head. Raises BadHead."""
        known = self._known.get(head)
        if known is not None:
            return known
        if len(head) > self._settings.max_head:
            raise BadHead(f"Too many bytes: {len(head)}")
        plan = self._make(parse_head(head))
        if len(head) <= REMEMBERED_BYTES:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[head] = plan
        return plan

    def _make(self, head: RequestHead) -> Plan:
        is_command = self._is_command(head)
        try:
            kind, answer = self._route(head)
            is_protected = is_command
        except RequestRefused as error:
            kind, answer = Kind.FIXED, refuse(error)
            # What is said before anybody is asked who he is: that nobody can know where his request ends.
            is_protected = is_command and error not in (LENGTH_REQUIRED, BODY_TOO_LARGE)
        return make_plan(
            head,
            kind,
            answer,
            is_protected=is_protected,
            may_keep=bool(head.asks_keep_alive and not head.has_coding and self._settings.keep_alive_timeout),
        )

    def _is_command(self, head: RequestHead) -> bool:
        return head.target.removesuffix("/") in ("/publish", "/recover") or self._is_control(head)

    def _is_control(self, head: RequestHead) -> bool:
        return self._has_control and is_control(head.target.partition("?")[0])

    def _route(self, head: RequestHead) -> tuple[Kind, PublishAnswer | None]:
        """Return who answers, and the answer if it is known. Raises RequestRefused."""
        # With the query string, and one slash at the end ignored, as the reference compares it.
        path = head.target.removesuffix("/")
        check_framed(head, path)
        if self._is_hub(path.partition("?")[0]):  # with its own limit of bodies
            return Kind.HUB, None
        if (head.content_length or 0) > self._settings.max_body:
            raise BODY_TOO_LARGE
        if path == "/metrics" and self._has_metrics:
            check_method(head.method, "GET", "HEAD")
            return Kind.METRICS, None
        if path in HEALTH:
            check_method(head.method, "GET", "HEAD")
            return HEALTH[path]
        if self._is_control(head) or (self._has_control and path == DESCRIPTION):
            return Kind.CONTROL, None
        answer_type = choose_type(list(map(decode_field, header_values(head.headers, b"accept"))))
        if answer_type is None:
            raise RequestRefused(406, "Not Acceptable. Supported formats are text/plain and application/json.")
        match path:
            case "":
                return Kind.FIXED, NAME
            case "/publish":
                check_method(head.method, "POST")
                return Kind.PUBLISH, PUBLISHED[answer_type]
            case "/recover":
                check_method(head.method, "POST")
                return Kind.RECOVER, UPDATED[answer_type]
            case _:
                raise RequestRefused(404, "Not Found")


def make_plan(
    head: RequestHead, kind: Kind, answer: PublishAnswer | None, *, is_protected: bool = False, may_keep: bool = False
) -> Plan:
    """Return a plan, with all that can be made of it beforehand."""
    shown = first_header(head.headers, b"authorization")
    label = f"{head.method} {without_tokens(head.target).encode('ascii', 'backslashreplace').decode():.200}"
    line = ""
    if kind is Kind.PUBLISH and answer is not None:
        line = f"control: {label} code={answer.status} {len(answer.body)} items="
    return Plan(
        kind=kind,
        head=head,
        answer=answer,
        is_protected=is_protected,
        scope=scope_of(kind, head.method),
        authorization=None if shown is None else decode_field(shown),
        length=head.content_length or 0,
        may_keep=may_keep,
        label=label,
        is_probe=kind in (Kind.METRICS, Kind.READY) or answer is HEALTHY,
        line=line,
        answer_kept=b"" if answer is None else encode_for(head, answer, keeps_open=True),
        answer_last=b"" if answer is None else encode_for(head, answer, keeps_open=False),
    )


def scope_of(kind: Kind, method: str) -> Scope:
    """Return what somebody must be allowed who asks for this."""
    if kind is not Kind.CONTROL:
        return Scope.PUBLISH
    return Scope.CLOSE if method == "DELETE" else Scope.READ


def encode_for(head: RequestHead, answer: PublishAnswer, *, keeps_open: bool) -> bytes:
    """Return the bytes of an answer to a request with this head."""
    return encode_answer(answer, version=head.version, is_head=head.method == "HEAD", keeps_open=keeps_open)


def check_framed(head: RequestHead, path: str) -> None:
    """Raise RequestRefused unless it is known where the request ends."""
    is_unframed = head.content_length is None and path != "/recover" and head.method not in BODILESS
    if is_unframed or head.has_coding:
        raise LENGTH_REQUIRED


def check_method(method: str, *allowed: str) -> None:
    """Raise RequestRefused unless `method` is one of `allowed`."""
    if method not in allowed:
        allow = ", ".join(allowed).encode()
        raise RequestRefused(405, f"Method not allowed: {method}.", ((b"Allow", allow),))


def refuse(error: RequestRefused, *, note: str = "", as_json: bool = False) -> PublishAnswer:
    """Return the answer to a request that is not served. `note` says more than its text, for the log."""
    kind = AnswerType.JSON if as_json else AnswerType.TEXT
    return PublishAnswer(
        status=error.status,
        body=(msgspec.json.encode({"message": error.text}) if as_json else error.text.encode()) + b"\n",
        headers=error.headers,
        content_type=kind.value,
        note=note or f" error={error.text!r}",
    )


UNKNOWN: Final = make_plan(RequestHead(method="UNKNOWN", target="/"), Kind.FIXED, None)
"""The plan for bytes that are no request."""
