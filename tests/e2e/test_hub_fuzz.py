"""Whatever a client sends to the hub is answered with a documented status, and the hub goes on as before."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.app import App
from tests.conftest import Records
from tests.handlers.hub.signing import token as sign
from tests.support.client import RawClient
from tests.support.clock import WALL_START
from tests.support.hub_site import (
    DETAIL_TYPE,
    FORM,
    HOST,
    HUB,
    ISSUER,
    METADATA,
    MIXED,
    OLD_PUBLISHER_KEY,
    OLD_SUBSCRIBER_KEY,
    PUBLISHER_KEY,
    RESOURCE,
    SUBSCRIBER_KEY,
    hub,
    old_subscriber,
    post,
    publisher,
    subscribed,
    subscriber,
)
from tests.support.turns import settle

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUSES = frozenset((200, 204, 304, 400, 401, 403, 404, 405, 413))
"""What the hub may answer, with the settings of this module: 410, 421 and 503 belong to others."""
EXAMPLES = settings(max_examples=80)

NAMES = (
    *("topic", "match", "match_exact", "match_urlpattern", "matchx", "MATCH", "last_event_id", "lastEventID"),
    *("Last-Event-ID", "authorization", "data", "private", "id", "type", "retry", "target", "x"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    """A hub that speaks everything and has everything on, whose history is a file."""
    folder: Path = tmp_path_factory.mktemp("fuzz")
    on = (
        "subscriptions=true",
        "debugger=true",
        "anonymous=true",
        "publish_origins=*",
        "cors_origins=https://*.example",
    )
    chosen = ("protocols=1.0,8,7,2019", "relaxed_ids=true", f"history={folder / 'updates.db'}", *on)
    async with hub(*MIXED, *(f"mercure.{each}" for each in chosen)) as app:
        yield app


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def unharmed(app: App) -> AsyncIterator[None]:
    """Fail a test behind which the log has an error, or the hub does not publish any more."""
    errors = Records(level=logging.ERROR)
    logging.getLogger("holdfast").addHandler(errors)
    yield
    async with subscribed(app, "match=after") as newer, subscribed(app, "topic={after}") as older:
        for address in (app.proxy_addresses[0], app.publish_address):
            fields = {"topic": "after", "id": "after", "data": "x"}
            assert (await post(address, fields, token=publisher())).body == b"after"
            for stream in (newer, older):
                assert await stream.event() == b"id: after\ndata: x"
    await settle()
    logging.getLogger("holdfast").removeHandler(errors)
    assert errors.texts == []


async def asked(
    address: tuple[str, int],
    target: bytes = HUB.encode(),
    *headers: tuple[bytes, bytes],
    method: bytes = b"GET",
    body: bytes | None = None,
    host: bytes = HOST.encode(),
) -> int:
    """Send these bytes, and return the status of the answer, which must be one of the hub's."""
    lines = [(b"Host", host), *headers]
    if body is not None:
        lines.append((b"Content-Length", b"%d" % len(body)))
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(b"%b: %b\r\n" % line for line in lines))
    async with await RawClient.connect(address) as client:
        await client.send_as_far_as_taken(head + (body or b""))
        status = (await client.head()).status
    assert status in STATUSES, (status, head, body)
    return status


def doors(app: App) -> tuple[tuple[str, int], tuple[str, int]]:
    return app.proxy_addresses[0], app.publish_address


# -- what is sent ---------------------------------------------------------------------------------------------------

octets = st.binary(max_size=60)
lines = octets.map(lambda data: bytes(byte for byte in data if byte not in b"\r\n\0"))
"""What may stand in a header line, and more."""
words = st.sampled_from(
    (*NAMES, "*", "a", "#", "earliest", "mercure", HUB, f"{HUB}/subscriptions", "urn:uuid:x", "{x", "(:a")
)
texts = st.text(max_size=20) | words
values = octets | texts.map(lambda text: text.encode("utf-8", "replace"))
pairs = st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), values, st.booleans())


def spell(found: list[tuple[str, bytes, bool]]) -> bytes:
    """Return a form, whose values are escaped or, where the third says so, as they are."""
    return b"&".join(
        quote_from_bytes(name.encode("utf-8", "replace")).encode()
        + b"="
        + (value if raw else quote_from_bytes(value).encode())
        for name, value, raw in found
    )


forms = st.lists(pairs, max_size=6).map(spell)
queries = forms.map(lambda form: bytes(byte for byte in form if 0x20 < byte != 0x7F))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just("*")
members = st.sampled_from(
    (
        *NAMES,
        "mercure",
        "https://mercure.rocks/",
        "authorization_details",
        "actions",
        "topics",
        "match_type",
        "publish",
        "subscribe",
        "payload",
    )
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(members | texts, inner, max_size=5),
    max_leaves=12,
)
objects = st.dictionaries(members | texts, documents, max_size=6)


# -- tokens ---------------------------------------------------------------------------------------------------------


@given(shown=lines | lines.map(lambda data: b"Bearer " + data * 3))
@EXAMPLES
async def test_any_bytes_as_a_token(app: App, shown: bytes) -> None:
    assert await asked(app.proxy_addresses[0], b"/.well-known/mercure?match=a", (b"Authorization", shown)) in (400, 401)
    for door in doors(app):
        assert await asked(door, HUB.encode(), (b"Authorization", shown), method=b"POST", body=b"topic=a") in (400, 401)


@given(
    cookie=lines,
    origin=lines,
    referer=lines,
    name=st.sampled_from(("mercureAuthorization", "__Secure-mercure_access_token")),
)
@EXAMPLES
async def test_any_bytes_as_a_cookie_an_origin_and_a_referer(
    app: App, cookie: bytes, origin: bytes, referer: bytes, name: str
) -> None:
    for value in (cookie, name.encode() + b"=" + cookie):
        sent = ((b"Cookie", value), (b"Origin", origin), (b"Referer", referer))
        await asked(app.proxy_addresses[0], b"/.well-known/mercure?match=a", *sent)
        for door in doors(app):
            assert await asked(door, HUB.encode(), *sent[:2], method=b"POST", body=b"topic=a") != 200
            assert await asked(door, HUB.encode(), sent[0], sent[2], method=b"POST", body=b"topic=a") != 200
    good = (b"Cookie", b"__Secure-mercure_access_token=" + publisher().encode())
    for door in doors(app):
        assert await asked(door, HUB.encode(), good, (b"Referer", referer), method=b"POST", body=b"") in (400, 401)


@given(header=objects, claims=objects | documents, parts=st.integers(0, 4))
@EXAMPLES
async def test_any_document_as_a_tokens_claims(app: App, header: dict[str, object], claims: object, parts: int) -> None:
    """Signed with the right key, so that it is the claims that are looked at; and with parts cut off."""
    named = {name: value for name, value in header.items() if name not in ("alg", "b64", "crit")}
    for key in (PUBLISHER_KEY, SUBSCRIBER_KEY, OLD_PUBLISHER_KEY, OLD_SUBSCRIBER_KEY):
        try:
            token = sign(claims, key, **{**named, "typ": "at+jwt" if parts % 2 else "JWT"})  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue  # pyjwt would not make such a header
        shown = (b"Authorization", b"Bearer " + ".".join(token.split(".")[: parts or 3]).encode())
        await asked(app.proxy_addresses[0], b"/.well-known/mercure?match=a", shown)
        for door in doors(app):
            await asked(door, HUB.encode(), shown, method=b"POST", body=b"topic=a")


@given(
    details=documents | st.lists(objects.map(lambda found: {"type": DETAIL_TYPE, **found}), max_size=4), claim=documents
)
@EXAMPLES
async def test_any_grants_in_a_good_token(app: App, details: object, claim: object) -> None:
    base = {"iss": ISSUER, "aud": RESOURCE, "exp": WALL_START + 60}
    tokens = (
        (sign({**base, "authorization_details": details}, SUBSCRIBER_KEY, typ="at+jwt"), b"match=a"),
        (sign({**base, "authorization_details": details}, PUBLISHER_KEY, typ="at+jwt"), None),
        (sign({"mercure": claim}, OLD_SUBSCRIBER_KEY), b"topic=a"),
        (sign({"mercure": {"subscribe": claim, "publish": claim}}, OLD_SUBSCRIBER_KEY), b"topic=a"),
        (sign({"mercure": {"publish": claim}}, OLD_PUBLISHER_KEY), None),
    )
    for token, query in tokens:
        shown = (b"Authorization", b"Bearer " + token.encode())
        if query is not None:
            await asked(app.proxy_addresses[0], b"/.well-known/mercure?" + query, shown)
            await asked(app.proxy_addresses[0], f"{HUB}/subscriptions".encode(), shown)
        else:
            for door in doors(app):
                await asked(door, HUB.encode(), shown, method=b"POST", body=b"topic=a&private")


# -- publications ---------------------------------------------------------------------------------------------------


@given(body=octets | forms)
@EXAMPLES
async def test_any_bytes_as_a_form(app: App, body: bytes) -> None:
    for door in doors(app):
        for target in (HUB, "/hub") if door == app.proxy_addresses[0] else (HUB,):
            await asked(
                door,
                target.encode(),
                (b"Content-Type", FORM.encode()),
                (b"Authorization", b"Bearer " + publisher().encode()),
                method=b"POST",
                body=body,
            )


@given(body=octets | documents.map(lambda found: json.dumps(found).encode()), wraps=st.booleans())
@EXAMPLES
async def test_any_document_as_an_update(app: App, body: bytes, wraps: bool) -> None:
    shown = (b"Authorization", b"Bearer " + publisher().encode())
    for door in doors(app):
        sent = b"[" + body + b"," + body + b"]" if wraps else body
        await asked(door, HUB.encode(), (b"Content-Type", b"application/json"), shown, method=b"POST", body=sent)


@given(
    update=st.fixed_dictionaries(
        {"topic": texts | st.lists(texts, max_size=4)}, optional=dict.fromkeys(NAMES[9:], scalars)
    )
)
@EXAMPLES
async def test_what_is_nearly_an_update(app: App, update: dict[str, object]) -> None:
    shown = (b"Authorization", b"Bearer " + publisher().encode())
    body = json.dumps([update, {"topic": "b"}]).encode()
    async with subscribed(app, "match=*&topic={x}", token=subscriber("*")) as stream:
        status = await asked(
            app.proxy_addresses[0],
            HUB.encode(),
            (b"Content-Type", b"application/json"),
            shown,
            method=b"POST",
            body=body,
        )
        assert status in (200, 400)
        assert (await post(app.publish_address, "topic=c&id=end", token=publisher())).status == 200
        count = 0
        while not (event := await stream.event()).startswith(b"id: end\n"):
            count += b"event: mercure" not in event
        assert count == (2 if status == 200 else 0)


@given(content_type=lines)
@EXAMPLES
async def test_any_bytes_as_a_content_type(app: App, content_type: bytes) -> None:
    shown = (b"Authorization", b"Bearer " + publisher().encode())
    for door in doors(app):
        await asked(door, HUB.encode(), (b"Content-Type", content_type), shown, method=b"POST", body=b"topic=a")


# -- subscriptions --------------------------------------------------------------------------------------------------


@given(query=queries, body=octets | forms, cursor=lines)
@EXAMPLES
async def test_any_bytes_as_a_query_and_as_a_cursor(app: App, query: bytes, body: bytes, cursor: bytes) -> None:
    address = app.proxy_addresses[0]
    await asked(address, HUB.encode() + b"?" + query)
    await asked(address, HUB.encode() + b"?match=a&" + query, (b"Last-Event-ID", cursor))
    await asked(address, HUB.encode() + b"?" + query, (b"Last-Event-ID", cursor), method=b"QUERY", body=body)
    await asked(address, HUB.encode() + b"?topic=a&" + query, method=b"HEAD")
    for door in doors(app):
        await asked(door, HUB.encode() + b"?" + query, method=b"POST", body=body)


@given(value=values, cursor=values)
@EXAMPLES
async def test_any_bytes_as_a_matcher(app: App, value: bytes, cursor: bytes) -> None:
    escaped = quote_from_bytes(value).encode()
    after = b"&last_event_id=" + quote_from_bytes(cursor).encode()
    for name in (b"match", b"match_urlpattern", b"topic"):
        target = b"%b?%b=%b%b" % (HUB.encode(), name, escaped, after)
        assert await asked(app.proxy_addresses[0], target) in (200, 400)


@given(origin=lines, method=lines, headers=lines)
@EXAMPLES
async def test_any_bytes_in_a_preflight(app: App, origin: bytes, method: bytes, headers: bytes) -> None:
    sent = [
        (b"Origin", origin),
        (b"Access-Control-Request-Method", method),
        (b"Access-Control-Request-Headers", headers),
    ]
    assert await asked(app.proxy_addresses[0], HUB.encode(), *sent, method=b"OPTIONS") in (204, 400)


# -- paths ----------------------------------------------------------------------------------------------------------


@given(
    rest=st.lists(
        st.sampled_from(
            (b"subscriptions", b"exact", b"urlpattern", b"debug", b"a", b"%2F", b"..", b"", b"%", b"urn:uuid:x")
        )
        | octets.map(lambda data: bytes(byte for byte in data if 0x20 < byte != 0x7F)),
        max_size=5,
    ).map(b"/".join),
    accept=lines,
    tag=lines,
    method=st.sampled_from((b"GET", b"HEAD", b"POST", b"PUT", b"QUERY", b"OPTIONS")),
)
@EXAMPLES
async def test_any_path_below_the_hub(app: App, rest: bytes, accept: bytes, tag: bytes, method: bytes) -> None:
    for token in (subscriber("*"), old_subscriber("*")):
        sent = [(b"Authorization", b"Bearer " + token.encode()), (b"Accept", accept), (b"If-None-Match", tag)]
        for path in (HUB.encode() + b"/" + rest, HUB.encode() + b"/subscriptions/" + rest):
            await asked(app.proxy_addresses[0], path, *sent, method=method, body=b"")


@given(host=lines, forwarded=lines)
@EXAMPLES
async def test_any_bytes_as_a_host(app: App, host: bytes, forwarded: bytes) -> None:
    for target in (HUB, METADATA, f"{HUB}/subscriptions"):
        await asked(app.proxy_addresses[0], target.encode(), (b"X-Forwarded-Proto", forwarded), host=host)
    for door in doors(app):
        await asked(door, HUB.encode(), method=b"POST", body=b"", host=host)
