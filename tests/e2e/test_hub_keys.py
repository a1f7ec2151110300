"""Which key verifies which token, what the hub takes itself to be, and keys that change (reference 1.9.2, 6.2)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from proxy.app import App
from tests.handlers.hub.signing import jwk, key_set, private_key, public_pem
from tests.handlers.hub.signing import token as sign
from tests.proxy.in_process import advance, gated
from tests.support.answers import text
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.clock import WALL_START
from tests.support.hub_site import (
    FORM,
    HOST,
    HUB,
    ISSUER,
    METADATA,
    MIXED,
    OLD_SUBSCRIBER_KEY,
    STRICT,
    SUBSCRIBER_KEY,
    ask,
    bearer,
    challenge,
    claims_of,
    detail,
    head_of,
    hub,
    old_publisher,
    old_subscriber,
    post,
    publisher,
    status_of,
    subscribed,
    subscriber,
)
from tests.support.turns import settle

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT = "x" * 40


# -- whose key ---


async def test_a06_no_token_chooses_how_its_key_is_used() -> None:
    key = private_key("RS256")
    issuer = {"id": ISSUER, "subscriber_key": public_pem(key), "subscriber_algorithm": "RS256"}
    async with hub("mercure.protocols=1.0", f"mercure.issuers={json.dumps([issuer])}") as app:
        assert await status_of(app, bearer(sign(claims_of(), key, "RS256", typ="at+jwt"))) == 200
        # By hand, because pyjwt neither signs nothing nor takes a PEM for a secret.
        unsigned = f"{spelled('none')}."
        mac = hmac.digest(public_pem(key).encode(), spelled("HS256").encode(), hashlib.sha256)
        swapped = f"{spelled('HS256')}.{encoded(mac)}"
        other = sign(claims_of(), private_key("RS256", 1), "RS256", typ="at+jwt")
        ps = sign(claims_of(), key, "PS256", typ="at+jwt")
        for token in (unsigned, swapped, other, ps):
            assert await status_of(app, bearer(token)) == 401, token


async def test_a07_an_issuers_key_verifies_no_other_issuers_tokens() -> None:
    issuers = [
        {"id": "https://a.example", "subscriber_key": "the key of the one issuer, long enough"},
        {"id": "https://b.example", "subscriber_key": "the key of the other issuer, long enough"},
    ]
    async with hub("mercure.protocols=1.0", f"mercure.issuers={json.dumps(issuers)}") as app:
        for one in issuers:
            for other in issuers:
                token = subscriber(iss=one["id"], key=other["subscriber_key"])
                assert await status_of(app, bearer(token)) == (200 if one is other else 401)


async def test_a25_a_token_of_one_role_is_none_for_the_other(strict: App, strict_8: App, mixed: App) -> None:
    for app in (strict, mixed):
        assert await status_of(app, bearer(publisher())) == 401
        found = await post(app.proxy_addresses[0], "topic=a", token=subscriber("*"))
        assert (found.status, found.values(b"www-authenticate")) == (401, challenge("invalid_token"))
    assert await status_of(strict_8, bearer(old_publisher("*")), query="topic=a") == 401
    assert (await post(strict_8.proxy_addresses[0], "topic=a", token=old_subscriber("*"))).status == 401


# -- no downgrade ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typ", "claims"),
    [
        pytest.param("at+jwt", {"mercure": {"subscribe": ["*"]}}, id="typ at+jwt"),
        pytest.param("JWT", {"mercure": {"subscribe": ["*"]}, "authorization_details": []}, id="details"),
        pytest.param("JWT", {"mercure": {"subscribe": ["*"]}, "authorization_details": None}, id="details of null"),
        pytest.param("at+jwt", {"mercure": {"subscribe": ["*"]}, "exp": WALL_START + 60, "iss": ISSUER}, id="no aud"),
    ],
)
async def test_a30_a_token_of_1_0_that_fails_is_not_saved_by_an_older_claim(
    mixed: App, strict_8: App, typ: str, claims: dict[str, object]
) -> None:
    token = sign(claims, OLD_SUBSCRIBER_KEY, typ=typ)
    head = await head_of(mixed, bearer(token))
    assert (head.status, head.values(b"www-authenticate")) == (401, challenge("invalid_token"))
    assert await status_of(strict_8, bearer(token), query="topic=a") == 200  # which knows nothing of 1.0


async def test_a30_neither_generations_key_verifies_the_others_tokens(mixed: App) -> None:
    assert await status_of(mixed, bearer(old_subscriber("*", key=SUBSCRIBER_KEY))) == 401
    assert await status_of(mixed, bearer(subscriber("*", key=OLD_SUBSCRIBER_KEY))) == 401


async def test_legacy_status_makes_every_fault_of_a_token_a_bare_401() -> None:
    async with hub(*MIXED, "mercure.legacy_status=true") as app:
        for found in (
            await head_of(app, bearer(SHORT)),
            await head_of(app),
            (await post(app.proxy_addresses[0], "topic=b", token=publisher("a"))).head,
        ):
            assert (found.status, found.values(b"www-authenticate")) == (401, ())


# -- for which hub ---


async def test_a26_the_audience_follows_the_host_and_so_does_the_metadatas_address(strict: App) -> None:
    head = await head_of(strict, bearer(subscriber()), host="other.example:88")
    assert (head.status, head.values(b"www-authenticate")) == (401, challenge("invalid_token", "other.example:88"))
    there = subscriber(aud=f"http://other.example:88{HUB}")
    assert (await head_of(strict, bearer(there), host="OTHER.example:88")).status == 200
    assert (await head_of(strict, bearer(subscriber()), host=f"{HOST}:80")).status == 200


async def test_a26_a_pinned_identifier_does_not_follow_the_host() -> None:
    async with hub(*STRICT, f"mercure.resource_identifier=https://{HOST}{HUB}") as app:
        token = subscriber(aud=f"https://{HOST}{HUB}")
        assert (await head_of(app, bearer(token), host="127.0.0.1")).status == 200
        head = await head_of(app, host="127.0.0.1")
        assert head.values(b"www-authenticate") == (f'Bearer resource_metadata="https://{HOST}{METADATA}"'.encode(),)


async def test_a26_behind_a_tls_terminator_the_scheme_is_the_clients() -> None:
    async with hub(*STRICT, "proxy.accept_x_forwarded_proto=true") as app:
        token = bearer(subscriber(aud=f"https://{HOST}{HUB}"))
        assert (await head_of(app, token, ("X-Forwarded-Proto", "https"))).status == 200
        assert (await head_of(app, token)).status == 401


async def test_a27_requests_for_other_origins_are_misdirected() -> None:
    async with hub(*STRICT, f"mercure.public_urls=http://{HOST},https://second.example:8443") as app:
        address = app.proxy_addresses[0]
        assert await status_of(app, bearer(subscriber())) == 200
        for host in ("other.example", f"{HOST}:81", "second.example:8443"):
            for found in (
                await ask(address, f"{HUB}?match=a", headers=(bearer(subscriber()),), host=host),
                await post(address, "topic=a", token=publisher(), host=host),
                await ask(address, METADATA, host=host),
            ):
                assert (found.status, found.body) == (421, b"Misdirected Request\n")
                assert found.values(b"content-security-policy") == ()


# -- keys that change -----------------------------------------------------------------------------------------------


async def test_a28_a_new_key_is_accepted_without_a_restart_and_an_old_one_no_more(backend: ScriptedBackend) -> None:
    old, new = private_key("ES256", 28), private_key("ES256", 29)
    backend.answers("/jwks.json", text(key_set(jwk(old, "ES256", kid="old"))))
    issuer = {"id": ISSUER, "subscriber_jwks": f"http://{backend.address}/jwks.json"}
    async with hub("mercure.protocols=1.0", f"mercure.issuers={json.dumps([issuer])}") as app:
        by_old = bearer(sign(claims_of(), old, "ES256", typ="at+jwt", kid="old"))
        by_new = bearer(sign(claims_of(), new, "ES256", typ="at+jwt", kid="new"))
        assert await status_of(app, by_old) == 200
        backend.answers("/jwks.json", text(key_set(jwk(new, "ES256", kid="new"))))
        await advance(app, 4)
        found = await head_of(app, by_new)
        assert (found.status, found.values(b"retry-after"), found.values(b"www-authenticate")) == (503, (b"6",), ())
        await advance(app, 6)
        assert (await status_of(app, by_new), await status_of(app, by_old)) == (200, 503)
        await advance(app, 10)
        assert (await status_of(app, by_old), await status_of(app, by_new)) == (401, 200)
        backend.answers("/jwks.json", text("gone", status=500))
        await advance(app, 10)
        assert (await status_of(app, by_new), await status_of(app, by_old)) == (200, 503)
    async with hub("mercure.protocols=1.0", f"mercure.issuers={json.dumps([issuer])}") as app:
        found = await head_of(app, by_new)  # of a hub that could never fetch a key
        assert (found.status, found.values(b"www-authenticate")) == (503, ())


@pytest.mark.parametrize("door", ["clients' port", "publish port"])
async def test_a28_made_up_keys_do_not_have_a_new_key_refused(backend: ScriptedBackend, door: str) -> None:
    """Whoever has the set fetched with a made-up `kid` begins the pause in which nobody looks for the new key."""
    old, new = private_key("ES256", 28), private_key("ES256", 29)
    backend.answers("/jwks.json", text(key_set(jwk(old, "ES256", kid="old"))))
    issuer = {"id": ISSUER, "publisher_jwks": f"http://{backend.address}/jwks.json"}
    claims = claims_of(detail("publish", "a"))
    async with hub("mercure.protocols=1.0", f"mercure.issuers={json.dumps([issuer])}") as app:
        address = app.proxy_addresses[0] if door == "clients' port" else app.publish_address
        made_up = sign(claims, new, "ES256", typ="at+jwt", kid="made up")
        assert (await post(address, "topic=a", token=made_up)).status == 401
        backend.answers("/jwks.json", text(key_set(jwk(old, "ES256", kid="old"), jwk(new, "ES256", kid="new"))))
        token = sign(claims, new, "ES256", typ="at+jwt", kid="new")
        waiting = await post(address, "topic=a", token=token)
        assert (waiting.status, waiting.body) == (503, b"Service Unavailable\n")
        assert waiting.values(b"retry-after") == (b"10",)
        # What verifies with a key that is there is not kept waiting.
        known = sign(claims, old, "ES256", typ="at+jwt", kid="another name")
        assert (await post(address, "topic=a", token=known)).status == 200
        await advance(app, 10)
        assert (await post(address, "topic=a", token=token)).status == 200


@pytest.mark.parametrize("door", ["clients' port", "publish port"])
async def test_p23_a_publisher_that_leaves_while_its_key_is_fetched_has_published(
    backend: ScriptedBackend, door: str
) -> None:
    key, gate = private_key("ES256", 28), asyncio.Event()
    fetched = text(key_set(jwk(key, "ES256")))
    backend.answers("/slow.json", gated(gate, fetched))
    issuer = {"id": ISSUER, "publisher_jwks": f"http://{backend.address}/slow.json"}
    settings = ("mercure.protocols=1.0", "mercure.anonymous=true", f"mercure.issuers={json.dumps([issuer])}")
    async with hub(*settings) as app, subscribed(app, "match=a") as stream:
        address = app.proxy_addresses[0] if door == "clients' port" else app.publish_address
        token = sign(claims_of(detail("publish", "a")), key, "ES256", typ="at+jwt")
        headers = (bearer(token), ("Content-Type", FORM))
        async with await RawClient.connect(address) as client:
            await client.send_request(HUB, method="POST", host=HOST, headers=headers, body=b"topic=a&id=1")
            await backend.request()
        await settle()
        gate.set()
        assert await stream.event() == b"id: 1\ndata: "


async def test_a28_a_key_file_that_changes_is_read_again(tmp_path: Path) -> None:
    old, new, file = private_key("EdDSA", 28), private_key("EdDSA", 29), tmp_path / "keys.json"
    file.write_bytes(key_set(jwk(old, "EdDSA", kid="k")))
    async with hub("mercure.protocols=8", f"mercure.subscriber_jwks={file.as_uri()}") as app:
        claims = {"mercure": {"subscribe": ["*"]}}
        by_old, by_new = (bearer(sign(claims, key, "EdDSA", kid="k")) for key in (old, new))
        assert (await status_of(app, by_old, query="topic=a"), await status_of(app, by_new, query="topic=a")) == (
            200,
            401,
        )
        file.write_bytes(key_set(jwk(new, "EdDSA", kid="k"), jwk(new, "EdDSA", kid="other")))
        assert (await status_of(app, by_old, query="topic=a"), await status_of(app, by_new, query="topic=a")) == (
            401,
            200,
        )


def spelled(algorithm: str) -> str:
    """Return header and claims of a good token, to be signed."""
    header = {"alg": algorithm, "typ": "at+jwt"}
    return f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims_of()).encode())}"


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
