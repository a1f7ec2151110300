"""How the hub says no: what the client reads, what the log says, and what is counted."""

from __future__ import annotations

import re

import pytest

from handlers.counters import Counters
from handlers.errors import Challenge, HubRefusal
from handlers.hub.refusing import Refuser
from handlers.hub.settings import HubSettings
from handlers.protocol.http1 import header_values
from handlers.protocol.mercure.identity import challenge

METADATA = "https://hub.example/.well-known/oauth-protected-resource/.well-known/mercure"
PLAIN = HubSettings()
BARE = {
    "legacy_status": HubSettings(legacy_status=True),
    "only before 1.0": HubSettings(protocols=("8",)),
}
TOKEN_FAULTS = [
    (Challenge.NO_TOKEN, 401, "Unauthorized"),
    (Challenge.INVALID_TOKEN, 401, "Unauthorized"),
    (Challenge.INVALID_REQUEST, 400, "Bad Request"),
    (Challenge.INSUFFICIENT_SCOPE, 403, "Forbidden"),
]


@pytest.mark.parametrize(("fault", "status", "text"), TOKEN_FAULTS, ids=str)
def test_a_tokens_fault_is_answered_with_its_challenge(fault: Challenge, status: int, text: str) -> None:
    counters = Counters()
    error = HubRefusal(status, text, challenge=fault, reason="a secret matter")
    answer = Refuser(PLAIN, counters).answer(error, label="GET /", metadata_url=METADATA)
    assert (answer.status, answer.body) == (status, f"{text}\n".encode())
    assert header_values(answer.headers, b"www-authenticate") == (challenge(fault, METADATA),)
    assert header_values(answer.headers, b"content-type") == (b"text/plain; charset=utf-8",)
    assert (counters.mercure_tokens_refused, counters.mercure_refused) == (1, 0)


@pytest.mark.parametrize("settings", BARE.values(), ids=BARE)
@pytest.mark.parametrize(("fault", "status", "text"), TOKEN_FAULTS, ids=str)
def test_before_1_0_a_tokens_fault_is_a_bare_401(
    settings: HubSettings, fault: Challenge, status: int, text: str
) -> None:
    error = HubRefusal(status, text, challenge=fault)
    answer = Refuser(settings, Counters()).answer(error, label="GET /", metadata_url=METADATA)
    assert (answer.status, answer.reason, answer.body) == (401, b"Unauthorized", b"Unauthorized\n")
    assert header_values(answer.headers, b"www-authenticate") == ()


@pytest.mark.parametrize("settings", [PLAIN, *BARE.values()], ids=["plain", *BARE])
@pytest.mark.parametrize(
    ("status", "text", "body"),
    [
        (400, 'missing "match" subscription parameter', b'missing "match" subscription parameter\n'),
        (413, "Request Entity Too Large", b"Request Entity Too Large\n"),
        (503, "Service Unavailable", b"Service Unavailable\n"),
        (405, "", b""),
    ],
)
def test_other_faults_are_answered_as_they_are_in_every_dialect(
    settings: HubSettings, status: int, text: str, body: bytes
) -> None:
    counters = Counters()
    answer = Refuser(settings, counters).answer(HubRefusal(status, text), label="GET /", metadata_url=METADATA)
    assert (answer.status, answer.body) == (status, body)
    assert header_values(answer.headers, b"www-authenticate") == ()
    assert (counters.mercure_tokens_refused, counters.mercure_refused) == (0, 1)


@pytest.mark.parametrize("settings", [PLAIN, *BARE.values()], ids=["plain", *BARE])
def test_keys_that_cannot_be_fetched_are_nobodys_fault_in_any_dialect(settings: HubSettings) -> None:
    error = HubRefusal(503, "Service Unavailable", challenge=Challenge.INVALID_TOKEN)
    assert Refuser(settings, Counters()).answer(error, label="GET /", metadata_url=METADATA).status == 503


def test_a_client_that_may_come_again_is_told_when() -> None:
    error = HubRefusal(503, "Service Unavailable", retry_after=7)
    answer = Refuser(PLAIN, Counters()).answer(error, label="GET /", metadata_url=METADATA)
    assert header_values(answer.headers, b"retry-after") == (b"7",)
    other = Refuser(PLAIN, Counters()).answer(HubRefusal(503, ""), label="GET /", metadata_url=METADATA)
    assert header_values(other.headers, b"retry-after") == ()


def test_the_log_has_the_precise_reason_under_the_id_that_the_client_gets(caplog: pytest.LogCaptureFixture) -> None:
    refuser = Refuser(PLAIN, Counters())
    ids = set()
    for _ in range(2):
        error = HubRefusal(400, "Bad Request", reason="it is " + "long " * 200)
        answer = refuser.answer(error, label="POST /hub", metadata_url=METADATA)
        [request_id] = header_values(answer.headers, b"x-request-id")
        assert re.fullmatch(b"[0-9a-f]{16}", request_id)
        [record] = caplog.records
        expected = f"POST /hub: refused with 400, request id {request_id.decode()}: {str(error)[:500]}"
        assert (record.levelname, record.message) == ("WARNING", expected)
        assert b"long" not in answer.body
        ids.add(request_id)
        caplog.clear()
    assert len(ids) == 2
