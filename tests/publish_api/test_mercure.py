"""Publications over the wire, at both ports: what is accepted and refused, in which words (reference 1.7, 1.8)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from uuid import UUID

import pytest

from proxy.app import App
from tests.support.hub_site import (
    METADATA,
    OLD_KEYS,
    PUBLISHER_KEY,
    STRICT,
    bearer,
    hub,
    old_publisher,
    post,
    publisher,
    subscribed,
    subscriber,
)

Address = tuple[str, int]

GENERATED = re.compile(rb"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
CHALLENGE = f'Bearer error="%s", resource_metadata="http://hub.example{METADATA}"'

MISSING = 'Missing "topic" parameter\n'
BAD_ID = (
    '"id" field contains a forbidden control character or invalid UTF-8, starts with "#", '
    'or is the reserved value "earliest"\n'
)
BAD_TYPE = '"type" field contains a forbidden control character or invalid UTF-8\n'
BAD_RETRY = 'Invalid "retry" parameter\n'
BAD_TOPIC = "topic contains a forbidden control character or invalid UTF-8\n"
RESERVED = 'topic value resolves into the reserved "/.well-known/mercure" namespace\n'
PARTS = '--b\r\nContent-Disposition: form-data; name="topic"\r\n\r\na\r\n--b--'
WILDCARD = '"*": topic value "*" is reserved for the wildcard matcher and cannot be published\n'


@pytest.fixture
async def app() -> AsyncGenerator[App]:
    async with hub(*STRICT, "mercure.anonymous=true") as app:
        yield app


@pytest.fixture(params=["clients' port", "publish port"])
def door(app: App, request: pytest.FixtureRequest) -> Address:
    return app.proxy_addresses[0] if request.param == "clients' port" else app.publish_address


# -- what is published ----------------------------------------------------------------------------------------------


async def test_p01_an_update_is_answered_with_its_generated_id_and_nothing_else(app: App, door: Address) -> None:
    async with subscribed(app, "match=a") as stream:
        answer = await post(door, "topic=a&data=hello", token=publisher())
        assert (answer.status, answer.reason) == (200, b"OK")
        assert answer.values(b"content-type") == (b"text/plain; charset=utf-8",)
        assert GENERATED.fullmatch(answer.body)
        assert await stream.event() == b"id: %b\ndata: hello" % answer.body


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        pytest.param("id=my+id+%C3%A9%22x", 'id: my id é"x\ndata: ', id="p02 own id"),
        pytest.param("id=i&type=Mercure", "event: Mercure\nid: i\ndata: ", id="p05 a type's letter case counts"),
        pytest.param("id=i&retry=1500", "retry: 1500\nid: i\ndata: ", id="p06 retry"),
        pytest.param("id=i&retry=007", "retry: 7\nid: i\ndata: ", id="p06 retry with leading zeros"),
        pytest.param("id=i&retry=", "id: i\ndata: ", id="p06 retry empty"),
        pytest.param("id=i&retry=0", "id: i\ndata: ", id="p06 retry 0"),
        pytest.param(
            "id=i&retry=18446744073709551615", "retry: 18446744073709551615\nid: i\ndata: ", id="p06 retry 2^64-1"
        ),
        pytest.param("id=i&foo=1&data=x&ttl=5", "id: i\ndata: x", id="p21 unknown fields"),
        pytest.param(
            "data=x&data=y&id=i&id=j&type=t&type=u&retry=1&retry=2",
            "event: t\nretry: 1\nid: i\ndata: x",
            id="p22 the first of repeated fields wins",
        ),
        pytest.param("id=i&data=a%0Ab%0Dc%0D%0Ad%0A", "id: i\ndata: a\ndata: b\ndata: c\ndata: d\ndata: ", id="lines"),
        pytest.param("id=%20%20", "id:   \ndata: ", id="an id of spaces"),
    ],
)
async def test_what_is_published_is_delivered(app: App, door: Address, fields: str, event: str) -> None:
    async with subscribed(app, "match=a") as stream:
        answer = await post(door, f"topic=a&{fields}", token=publisher())
        assert answer.status == 200, answer
        assert await stream.event() == event.encode()
        assert f"id: {answer.body.decode()}\n" in event


async def test_p03_an_empty_id_is_none(app: App, door: Address) -> None:
    answer = await post(door, "topic=a&id=", token=publisher())
    assert answer.status == 200
    assert GENERATED.fullmatch(answer.body)
    assert UUID(answer.body.decode()).version == 4


async def test_p14_an_update_may_have_a_thousand_topics(app: App, door: Address) -> None:
    topics = "&".join(f"topic=t{number}" for number in range(1000))
    async with subscribed(app, "match=t999") as stream:
        answer = await post(door, f"{topics}&id=i", token=publisher())
        assert (answer.status, answer.body) == (200, b"i")
        assert await stream.event() == b"id: i\ndata: "


@pytest.mark.parametrize("fields", ["private=", "private=off", "private=0", "private", "private=on", "private=false"])
async def test_p20_the_name_private_makes_an_update_private_whatever_its_value(
    app: App, door: Address, fields: str
) -> None:
    async with subscribed(app, "match=a") as anybody, subscribed(app, "match=a", token=subscriber("a")) as reader:
        assert (await post(door, f"topic=a&id=secret&{fields}", token=publisher())).status == 200
        assert (await post(door, "topic=a&id=open", token=publisher())).status == 200
        assert [await reader.event(), await reader.event()] == [b"id: secret\ndata: ", b"id: open\ndata: "]
        assert await anybody.event() == b"id: open\ndata: "


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param("topic=a&id=%231", BAD_ID, id="p04 fragment id"),
        pytest.param("topic=a&id=earliest", BAD_ID, id="p04 earliest"),
        pytest.param("topic=a&id=a%0Ab", BAD_ID, id="p04 LF in id"),
        pytest.param("topic=a&id=a%E2%80%8Bb", BAD_ID, id="p04 ZWSP in id"),
        pytest.param("topic=a&id=%FF", BAD_ID, id="p04 id not UTF-8"),
        pytest.param("topic=a&type=mercure", '"type" field uses the reserved value "mercure"\n', id="p05 type mercure"),
        pytest.param("topic=a&type=a%0Db", BAD_TYPE, id="p05 CR in type"),
        pytest.param("topic=a&type=%C2%AD", BAD_TYPE, id="p05 soft hyphen in type"),
        *(
            pytest.param(f"topic=a&retry={retry}", BAD_RETRY, id=f"p06 retry {retry}")
            for retry in ("abc", "-1", "%2B5", "+5", "1.5", "18446744073709551616", "%D9%A1")
        ),
        pytest.param("topic=*", WILDCARD, id="p07 wildcard"),
        pytest.param("topic=b&topic=*", WILDCARD, id="p07 wildcard as alternate"),
        pytest.param("topic=", f'"": {RESERVED}', id="p08 empty topic"),
        pytest.param("topic=%3Fx", f'"?x": {RESERVED}', id="p08 query alone"),
        pytest.param("topic=%23x", f'"#x": {RESERVED}', id="p08 fragment alone"),
        *(
            pytest.param(f"topic={topic}", f'"{topic}": {RESERVED}', id=f"p08 {topic}")
            for topic in (
                "/.well-known/mercure",
                "/.well-known/mercure/",
                "/.well-known/mercure/subscriptions/exact/a/b",
                "mercure",
                "mercure/x",
                "./mercure/x",
                "//other/.well-known/mercure/x",
                "https://other/.well-known/mercure",
                "https://other/.well-known/mercure?x",
                "https://other/a/../.well-known/mercure/x",
                "ftp://h/.well-known/mercure/x",
                "foo:/.well-known/mercure/x",
                "data:/.well-known/mercure/x",
                "https:/.well-known/mercure/x",
            )
        ),
        pytest.param(
            "topic=https://other/%252Ewell-known/mercure",
            f'"https://other/%2Ewell-known/mercure": {RESERVED}',
            id="p08 escaped dot",
        ),
        pytest.param(
            "topic=https://other/.well-known/%256Dercure/x",
            f'"https://other/.well-known/%6Dercure/x": {RESERVED}',
            id="p08 escaped letter",
        ),
        pytest.param("topic=+/.well-known/mercure/x", f'" /.well-known/mercure/x": {RESERVED}', id="p08 leading space"),
        pytest.param(
            "topic=%5C.well-known%5Cmercure%5Cx", f'"\\\\.well-known\\\\mercure\\\\x": {RESERVED}', id="p08 backslashes"
        ),
        pytest.param("topic=b&topic=mercure", f'"mercure": {RESERVED}', id="p08 alternate"),
        pytest.param("topic=a%00b", f'"a\\x00b": {BAD_TOPIC}', id="p09 NUL in topic"),
        pytest.param("topic=b&topic=a%E2%80%8Bb", f'"a\\u200bb": {BAD_TOPIC}', id="p09 ZWSP in alternate"),
        pytest.param("topic=%FF", f'"\\xff": {BAD_TOPIC}', id="p09 topic not UTF-8"),
        pytest.param("topic=a&data=%ff", '"data" field is not valid UTF-8\n', id="p10 data not UTF-8"),
        pytest.param("topic=a&data=%zz", "Bad Request\n", id="p11 bad escape"),
        pytest.param("topic=a&data=x;y", "Bad Request\n", id="p11 semicolon"),
        pytest.param("", MISSING, id="p12 empty form"),
        pytest.param("data=x", MISSING, id="p12 no topic"),
        pytest.param("&".join(["topic=t"] * 1001), "too many topics in update\n", id="p14 1001 topics"),
    ],
)
async def test_a_faulty_publication_is_refused_with_its_text_and_nothing_is_delivered(
    app: App, door: Address, body: str, text: str
) -> None:
    async with subscribed(app, "match=*") as stream:
        answer = await post(door, body, token=publisher())
        assert (answer.status, answer.body.decode()) == (400, text)
        assert answer.values(b"content-type") == (b"text/plain; charset=utf-8",)
        assert answer.values(b"www-authenticate") == ()
        assert (await post(door, "topic=z&id=last", token=publisher())).status == 200
        assert await stream.event() == b"id: last\ndata: "


@pytest.mark.parametrize(
    "topic",
    [
        ".", "./", "..", "/", "a", "subscriptions", "../mercure", "/.well-known/mercurex", "/.well-known//mercure/x",
        "/.well-known/mercure/../x", "HTTPS://OTHER/.WELL-KNOWN/MERCURE/x", "https://other/.well-known%2Fmercure/x",
        "urn:.well-known/mercure/x", "mailto:a@b", "http://[::1/.well-known/mercure/x", "https:.well-known/mercure/x",
        "\N{NO-BREAK SPACE}", "\N{LINE SEPARATOR}", "\N{GRINNING FACE}",
    ],
)  # fmt: skip
async def test_p08_what_only_looks_like_the_hubs_own_can_be_published(app: App, topic: str) -> None:
    answer = await post(app.proxy_addresses[0], {"topic": topic, "id": "i"}, token=publisher())
    assert (answer.status, answer.body) == (200, b"i")


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("application/json", '{"topic":"a"}', MISSING),
        ("multipart/form-data; boundary=b", PARTS, MISSING),
        ("text/plain", "topic=a", MISSING),
        (None, "topic=a", MISSING),
        ("application/x-www-form-urlencoded; =", "topic=a", "Bad Request\n"),
        ("a b", "topic=a", "Bad Request\n"),
    ],
)  # fmt: skip
async def test_p12_only_a_form_has_topics(
    app: App, door: Address, content_type: str | None, body: str, text: str
) -> None:
    answer = await post(door, body, token=publisher(), content_type=content_type, target="/.well-known/mercure?topic=a")
    assert (answer.status, answer.body.decode()) == (400, text)


@pytest.mark.parametrize(
    "content_type", ["APPLICATION/X-WWW-FORM-URLENCODED", 'application/x-www-form-urlencoded ; charset="utf-8"']
)
async def test_a_form_may_be_called_in_any_case_and_have_parameters(app: App, door: Address, content_type: str) -> None:
    assert (await post(door, "topic=a", token=publisher(), content_type=content_type)).status == 200


async def test_p12_a_topic_in_the_url_is_none(app: App, door: Address) -> None:
    answer = await post(door, "data=x", token=publisher(), target="/.well-known/mercure?topic=a")
    assert (answer.status, answer.body.decode()) == (400, MISSING)


# -- whose publication is refused -----------------------------------------------------------------------------------


async def test_p15_without_a_token_the_challenge_is_bare(app: App, door: Address) -> None:
    answer = await post(door, "topic=a")
    assert (answer.status, answer.body) == (401, b"Unauthorized\n")
    assert answer.values(b"www-authenticate") == (f'Bearer resource_metadata="http://hub.example{METADATA}"'.encode(),)


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ("p16 one of two", "topic=a&topic=b"),
        ("p16 not even the first", "topic=b"),
        ("p17 public", "topic=c"),
        ("p17 private", "topic=c&private=on"),
    ],
)
async def test_p16_p17_every_topic_has_to_be_granted(app: App, door: Address, row: str, fields: str) -> None:
    async with subscribed(app, "match=*", token=subscriber("*")) as stream:
        answer = await post(door, fields, token=publisher("a"))
        assert (answer.status, answer.body) == (403, b"Forbidden\n"), row
        assert answer.values(b"www-authenticate") == ((CHALLENGE % "insufficient_scope").encode(),)
        assert (await post(door, "topic=a&id=last", token=publisher("a"))).status == 200
        assert await stream.event() == b"id: last\ndata: "


async def test_p17_a_grant_to_receive_is_none_to_publish(app: App, door: Address) -> None:
    answer = await post(door, "topic=a", token=subscriber("a", key=PUBLISHER_KEY))
    assert (answer.status, answer.body) == (403, b"Forbidden\n")


DOTTED = "https://example.com/public/../admin/x"


@pytest.mark.parametrize(
    ("protocols", "publish", "topic", "status"),
    [
        pytest.param("1.0,8", ["https://example.com/public/{+x}"], DOTTED, 403, id="the template"),
        pytest.param(
            "1.0,8", ["https://example.com/books/{id}"], "https://example.com/books/..", 403, id="one segment"
        ),
        pytest.param("1.0,8", ["https://example.com/public/{+x}", DOTTED], DOTTED, 200, id="the topic itself"),
        pytest.param("1.0,8", ["*"], DOTTED, 200, id="everything"),
        pytest.param("1.0,8", ["https://example.com/{+x}"], "https://example.com/a?x=/../b", 200, id="behind the path"),
        pytest.param("8", ["https://example.com/public/{+x}"], DOTTED, 200, id="without 1.0 there are no URL patterns"),
        pytest.param("1.0,7", [], DOTTED, 200, id="7 lets everybody publish everywhere"),
    ],
)
async def test_p17_a_template_does_not_reach_what_url_parsers_make_of_a_topic(
    protocols: str, publish: list[str], topic: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = (STRICT[1],) if "1.0" in protocols else ()
    async with hub(f"mercure.protocols={protocols}", *issuer, *OLD_KEYS) as app:
        for door in (app.proxy_addresses[0], app.publish_address):
            assert (await post(door, {"topic": topic}, token=old_publisher(*publish))).status == status
    said = f"the token does not allow to publish to {topic}: it has dot segments, so that it takes a grant of"
    assert (said in caplog.text) is (status == 403)


@pytest.mark.parametrize(
    ("token", "status", "error"),
    [
        pytest.param("x" * 41, 401, "invalid_token", id="no token at all"),
        pytest.param("x" * 40, 400, "invalid_request", id="too short"),
        pytest.param(old_publisher("*"), 401, "invalid_token", id="of an older dialect"),
        pytest.param(publisher(exp=1), 401, "invalid_token", id="expired"),
    ],
)
async def test_a_bad_token_comes_before_everything_else(
    app: App, door: Address, token: str, status: int, error: str
) -> None:
    answer = await post(door, b"\xff;%", token=token, content_type="rubbish")
    texts = {400: b"Bad Request\n", 401: b"Unauthorized\n"}
    assert (answer.status, answer.body) == (status, texts[status])
    assert answer.values(b"www-authenticate") == ((CHALLENGE % error).encode(),)


async def test_the_scope_is_checked_behind_the_form_and_before_the_reserved_names(app: App, door: Address) -> None:
    """The order of reference 1.7: rows 5 to 9 before 10, rows 11 and later behind."""
    weak = publisher("a")
    assert (await post(door, "topic=b&retry=x", token=weak)).body.decode() == BAD_RETRY
    assert (await post(door, "topic=a%00", token=weak)).status == 400
    for later in ("topic=mercure", "topic=*", "topic=b&id=%23", "topic=b&type=mercure", "topic=b&data=%ff"):
        assert (await post(door, later, token=weak)).status == 403, later


async def test_p24_a_hub_without_a_publishers_key_takes_no_publications() -> None:
    async with hub("mercure.anonymous=true") as app:
        for door in (app.proxy_addresses[0], app.publish_address):
            answer = await post(door, "topic=a", bearer(publisher()))
            assert (answer.status, answer.body) == (405, b"")
