"""The OpenAPI document of the publish port: sound, complete, and what the port really answers."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.e2e.controlling import ask_port, held_on, told
from tests.e2e.holding import open_stream
from tests.e2e.hub_talking import open_events, published, query
from tests.support.answers import grip_stream
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.client import RawClient
from tests.support.http import Response
from tests.support.hub_site import HUB, MIXED, old_publisher, post
from tests.support.publisher import stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "publish_api" / "openapi.json").read_text(encoding="utf-8"))
REGISTRY: Registry[Any] = Registry().with_resource("urn:holdfast", DRAFT202012.create_resource(DOCUMENT))
METHODS = ("get", "head", "post", "put", "delete", "options", "patch")

ITEM = stream_item("openapi", "x")
MANY = {"channels": ["openapi", "b"], "id": "1", "formats": ITEM["formats"], "meta": {"a": "b"}}


@pytest.fixture(scope="module")
def settings() -> tuple[str, ...]:
    return (*MIXED, "mercure.anonymous=true")


@pytest_asyncio.fixture(loop_scope="module")
async def stream(client: RawClient, backend: ScriptedBackend) -> RawClient:
    """A client that is held on the channel `openapi`."""
    await open_stream(client, backend, "/openapi", grip_stream("openapi"))
    return client


def operations() -> Iterator[tuple[str, str]]:
    """Yield every method and path in the document."""
    for path, item in DOCUMENT["paths"].items():
        yield from ((method.upper(), path) for method in METHODS if method in item)


def resolve(value: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference within the document."""
    while "$ref" in value:
        found: Any = DOCUMENT
        for key in value["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        value = found
    return value


def check(response: Response, method: str, path: str) -> None:
    """Check an answer against what the document says of it."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    assert str(response.status) in responses, f"{method} {path} is not said to answer {response}"
    described = resolve(responses[str(response.status)])
    for name in described.get("headers", {}):
        assert response.values(name.lower().encode()), f"{method} {path}: no {name} in {response}"
    content = described.get("content", {})
    if not content:
        assert response.body == b""
        return
    [given] = response.values(b"content-type")
    kind = given.decode().partition(";")[0]
    assert kind in content, f"{method} {path} is not said to answer {kind}"
    value = json.loads(response.body) if kind == "application/json" else response.body.decode()
    schema = absolute(content[kind]["schema"])
    Draft202012Validator(schema, registry=REGISTRY, format_checker=FormatChecker()).validate(value)


def absolute(schema: Any) -> Any:
    """Return a schema outside of the document whose references lead into it."""
    match schema:
        case dict():
            return {key: f"urn:holdfast{value}" if key == "$ref" else absolute(value) for key, value in schema.items()}
        case list():
            return [absolute(each) for each in schema]
        case _:
            return schema


async def test_it_is_a_sound_document() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    ids = [DOCUMENT["paths"][path][method.lower()]["operationId"] for method, path in operations()]
    assert len(set(ids)) == len(ids)


async def test_it_is_what_the_port_answers(app: AppProcess) -> None:
    assert await told(app, "/openapi.json") == DOCUMENT


async def test_every_path_in_the_sources_is_in_it() -> None:
    """What a source compares a request's path with stands there as a literal that begins with a slash."""
    known = {path.rstrip("/") for path in DOCUMENT["paths"]}
    sources = ("plan.py", "site.py", "control.py", "mercure_port.py", "protocol/control_target.py")
    found = set()
    for source in sources:
        tree = ast.parse((ROOT / "publish_api" / source).read_text(encoding="utf-8"))
        constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        found |= {value.rstrip("/") for value in constants if isinstance(value, str) and value.startswith("/")}
    # Suffixes and prefixes of the hub's.
    found -= {"/live", "/mercure/health"}
    assert {"/publish", "/channels", "/readyz", "/mercure/health/live"} <= found
    assert found <= known


@pytest.mark.parametrize(("method", "path"), tuple(operations()))
async def test_every_operation_in_it_is_there(app: AppProcess, stream: RawClient, method: str, path: str) -> None:
    [connection] = await held_on(app, "openapi")
    target = path.replace("{channel}", "openapi").replace("{id}", connection["id"])
    body = b'{"items":[]}' if path == "/publish/" else None
    if path == HUB:
        response = await post(app.publish_address, {"topic": "a"}, token=old_publisher("*"))
    else:
        response = await ask_port(app, target, method=method, body=body)
    assert response.status == 200, response
    if method != "HEAD":
        check(response, method, path)
    for another in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        if path != "/" and another.lower() not in DOCUMENT["paths"][path]:
            refused = await ask_port(app, target, method=another, body=b"" if another in {"POST", "PUT"} else None)
            assert refused.status == 405, (another, path, refused)
            if method != "HEAD":
                check(refused, method, path)


@pytest.mark.parametrize(
    ("method", "path", "target", "status"),
    [
        ("GET", "/channels/", "/channels/?prefix=o&limit=1", 200),
        ("GET", "/channels/", "/channels/?limit=x", 400),
        ("GET", "/channels/{channel}/", "/channels/nobody/", 404),
        ("GET", "/channels/{channel}/", "/channels/openapi/?x=1", 400),
        ("GET", "/connections/", "/connections/?kind=stream&channel=openapi", 200),
        ("GET", "/connections/", "/connections/?kind=no", 400),
        ("GET", "/connections/{id}/", "/connections/1-0/", 404),
        ("DELETE", "/connections/{id}/", "/connections/1-0/", 404),
        ("DELETE", "/connections/{id}/", "/connections/1-0/?code=1", 400),
    ],
)
async def test_answers_are_what_it_says(
    app: AppProcess, stream: RawClient, method: str, path: str, target: str, status: int
) -> None:
    response = await ask_port(app, target, method=method)
    assert response.status == status
    check(response, method, path)


async def test_mercure_subscribers_are_described_as_it_says(app: AppProcess, client: RawClient) -> None:
    await open_events(client, query(("match", "https://x.example/openapi")))
    response = await ask_port(app, "/connections/")
    assert any(each["protocol"] == "mercure" for each in json.loads(response.body)["connections"])
    check(response, "GET", "/connections/")
    assert await published(app.publish_address, "https://x.example/openapi")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"items":[]}', (("Accept", "application/json"),), 200),
        (b"", (), 400),
        (b"[]", (), 400),
        (b'{"items":[{}]}', (), 400),
        (b'{"items":[]}', (("Accept", "text/html"),), 406),
        (None, (), 411),
    ],
)
async def test_answers_to_publishers_are_what_it_says(
    app: AppProcess, body: bytes | None, headers: tuple[tuple[str, str], ...], status: int
) -> None:
    response = await ask_port(app, "/publish/", *headers, method="POST", body=body)
    assert response.status == status
    check(response, "POST", "/publish/")


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_without_a_token_the_answers_are_what_it_says(token: str | None) -> None:
    headers = () if token is None else (("Authorization", f"Bearer {token}"),)
    async with AppProcess("* test", settings=("publish.token=secret",)) as app:
        for method, path in operations():
            if DOCUMENT["paths"][path][method.lower()]["security"] in ([], [{"mercure": []}]) or method == "HEAD":
                continue
            target = path.replace("{channel}", "c").replace("{id}", "1-0")
            body = b"{}" if method == "POST" else None
            response = await ask_port(app, target, *headers, method=method, body=body)
            assert response.status == 401, (path, response)
            check(response, method, path)


@pytest.mark.parametrize(
    ("body", "is_good"),
    [
        ({"items": [ITEM, MANY]}, True),
        (ITEM, True),
        (MANY, True),
        ({"items": []}, True),
        ({"items": [{"channel": "c", "formats": {"http-response": {"headers": [["A", "b"]], "body": "x"}}}]}, True),
        ({"items": [{**MANY, "channel": "c"}]}, False),
        ({"items": [{"formats": {}}]}, False),
        ({"items": [{**MANY, "channels": ["c"] * 1001}]}, False),
        ({"items": [{**MANY, "channels": "c"}]}, False),
        ({"items": [{**ITEM, "id": 5}]}, False),
        ({"items": "x"}, False),
        ([], False),
    ],
)
async def test_a_body_is_as_good_as_it_says(app: AppProcess, body: object, is_good: bool) -> None:
    [media] = DOCUMENT["paths"]["/publish/"]["post"]["requestBody"]["content"].values()
    validator = Draft202012Validator(absolute(media["schema"]), registry=REGISTRY)
    response = await ask_port(app, "/publish/", method="POST", body=json.dumps(body).encode())
    assert (response.status == 200, validator.is_valid(body)) == (is_good, is_good), response
