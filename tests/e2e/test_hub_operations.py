"""The hub as who runs it sees it: metrics, start and stop, and what stops the start (reference 4.4, 5.3)."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path

import jwt
import pytest

from proxy.app import App
from tests.handlers.hub.signing import private_key, public_pem
from tests.support.app_process import ConsoleProcess, console
from tests.support.client import RawClient
from tests.support.hub_site import (
    HOST,
    HUB,
    OLD_PUBLISHER_KEY,
    STRICT,
    ask,
    hub,
    post,
    publisher,
    subscribed,
)
from tests.support.turns import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ON_FREE_PORTS = ("--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0", "--route", "* test")
KEY = "a key that somebody has set in 2019"


# -- metrics --------------------------------------------------------------------------------------------------------


async def test_o07_three_metrics_move_with_subscribers_and_updates() -> None:
    async with hub(*STRICT, "mercure.anonymous=true", "mercure.subscriptions=true") as app:
        assert await metrics_of(app) == {"connected": 0, "subscribers": 0, "updates": 0}
        async with subscribed(app, "match=a"), subscribed(app, "match=b"):
            assert await metrics_of(app) == {"connected": 2, "subscribers": 2, "updates": 0}
            for address in (app.proxy_addresses[0], app.publish_address):
                assert (await post(address, "topic=a", token=publisher())).status == 200
            assert (await post(app.publish_address, "topic=b")).status == 401
            assert await metrics_of(app) == {"connected": 2, "subscribers": 2, "updates": 2}
        await until(lambda: app.counters.mercure_subscribers == 0)
        assert await metrics_of(app) == {"connected": 0, "subscribers": 2, "updates": 2}


async def metrics_of(app: App) -> dict[str, float]:
    """Return the three, read as Prometheus does."""
    page = (await ask(app.publish_address, "/metrics")).body.decode()
    names = {"connected": "subscribers_connected", "subscribers": "subscribers_total", "updates": "updates_total"}
    found = {short: re.findall(rf"^mercure_{name} (\S+)$", page, re.MULTILINE) for short, name in names.items()}
    assert all(len(values) == 1 for values in found.values()), found
    return {short: float(values[0]) for short, values in found.items()}


# -- from start to stop ---------------------------------------------------------------------------------------------


async def test_a_hub_starts_serves_and_ends_its_streams_in_good_order(tmp_path: Path) -> None:
    """The console script on a settings file: E14, and H11 in passing."""
    (tmp_path / "holdfast.toml").write_text(
        f"[mercure]\npublisher_key = '{OLD_PUBLISHER_KEY}'\nanonymous = true\nhistory = 'updates.db'\n"
        "[proxy]\ndrain_timeout = 1\n"
    )
    token = jwt.encode({"mercure": {"publish": ["*"]}}, OLD_PUBLISHER_KEY)
    arguments = (*ON_FREE_PORTS, "--config", str(tmp_path / "holdfast.toml"))
    async with ConsoleProcess(*arguments) as app, await RawClient.connect(app.proxy_address) as client:
        await client.send_request(f"{HUB}?topic=a", host=HOST)
        await client.read_until(b":\n")
        assert (await post(app.proxy_address, "topic=a&id=1&data=x", token=token)).body == b"1"
        assert b"id: 1\ndata: x\n\n" in await client.read_until(b"\n\n")
        app.signal(signal.SIGTERM)
        assert (await client.until_closed()).endswith(b"0\r\n\r\n")
        assert await app.exit_status() == 0
        assert app.log_lines(rf"Mercure hub on {HUB}, protocols 1\.0, 8, history in {tmp_path}/updates\.db")
        assert app.log_lines(r"update id=1 topic=a (receivers=1|workers=2)$")
    assert (tmp_path / "updates.db").exists()
    async with ConsoleProcess(*arguments) as app, await RawClient.connect(app.proxy_address) as client:
        await client.send_request(f"{HUB}?topic=a&last_event_id=earliest", host=HOST)
        assert b"id: 1\ndata: x\n\n" in await client.read_until(b"x\n\n")


# -- what stops the start -------------------------------------------------------------------------------------------


PUBLIC_PEM = public_pem(private_key("ES256"))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (("mercure.heartbeet=1",), "mercure.heartbeet"),
        (("mercure.cors_origins=app.example",), "mercure.cors_origins: 'app.example' is not an origin"),
        (("mercure.publish_origins=https://a.example/x",), "mercure.publish_origins: 'https://a.example/x' is not"),
        ((f"mercure.publisher_key={PUBLIC_PEM}",), "mercure.publisher_key: is PEM"),
        (("mercure.publisher_key=file:/nonexistent/key",), "mercure.publisher_key: /nonexistent/key cannot be read"),
        (("mercure.publisher_key=x", "mercure.publisher_algorithm=RS256"), "mercure.publisher_key: is not PEM"),
        (("mercure.protocols=1.0", "mercure.publisher_key=x"), "mercure.publisher_key: is for protocols"),
        (("mercure.history=/nonexistent/x.db", "mercure.anonymous=true"), "mercure.history: "),
    ],
)
async def test_o11_what_cannot_be_obeyed_stops_the_start_with_one_line(settings: tuple[str, ...], text: str) -> None:
    arguments = [part for setting in settings for part in ("--set", setting)]
    status, output, errors = await console("run", *ON_FREE_PORTS, *arguments, "--log-level", "error")
    assert (status, output) == (1, "")
    assert errors.startswith("holdfast: ")
    assert errors.count("\n") == 1
    assert text in errors
    assert "BEGIN" not in errors


async def test_o11_two_hubs_do_not_share_a_history(tmp_path: Path) -> None:
    settings = ("--set", "mercure.anonymous=true", "--set", f"mercure.history={tmp_path / 'updates.db'}")
    async with ConsoleProcess(*ON_FREE_PORTS, *settings):
        status, _, errors = await console("run", *ON_FREE_PORTS, *settings, "--log-level", "error")
        assert (status, errors.count("\n")) == (1, 1)
        assert "mercure.history: " in errors


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"MERCURE_EXTRA_DIRECTIVES": "cors_originz *"}, "cors_originz"),
        ({"MERCURE_EXTRA_DIRECTIVES": "anonymous\ncors_origins example.com"}, "'example.com' is not an origin"),
        ({"MERCURE_PUBLISHER_JWT_KEY": public_pem(private_key("RS256"))}, "is PEM"),
    ],
)
async def test_o11_neither_does_an_unknown_directive_or_a_bad_value_of_the_reference_hubs_variables(
    environment: Mapping[str, str], text: str
) -> None:
    status, _, errors = await console(*ON_FREE_PORTS, "--log-level", "error", environment=environment)
    assert (status, errors.count("\n")) == (1, 1)
    assert next(iter(environment)) in errors
    assert text in errors


# -- 2019's variables -----------------------------------------------------------------------------------------------


async def test_o12_a_hub_of_2019_starts_on_its_variables(tmp_path: Path) -> None:
    environment = {
        "JWT_KEY": KEY,
        "ALLOW_ANONYMOUS": "1",
        "CORS_ALLOWED_ORIGINS": "https://a.example,https://b.example",
        "PUBLISH_ALLOWED_ORIGINS": "https://a.example",
        "DB_PATH": str(tmp_path / "updates.db"),
        "HEARTBEAT_INTERVAL": "15s",
        "COMPRESS": "0",
        "ADDR": "127.0.0.1:0",
    }
    arguments = ("--publish", "127.0.0.1:0", "--route", "* test", "--set", "mercure.protocols=2019")
    async with ConsoleProcess(*arguments, environment=environment) as app:
        async with await RawClient.connect(app.proxy_address) as client:
            await client.send_request("/hub?topic=a", headers=[("Origin", "https://b.example")])
            head = await client.head()
            assert (head.status, head.values(b"access-control-allow-origin")) == (200, (b"https://b.example",))
            await client.read_until(b":\n")
            token = jwt.encode({"mercure": {"publish": []}}, KEY)
            found = await post(app.proxy_address, "topic=a&data=x&id=1", token=token, target="/hub")
            assert (found.status, found.body) == (200, b"1")
            assert b"id: 1\ndata: x\n\n" in await client.read_until(b"\n\n")
            cookie = ("Cookie", f"mercureAuthorization={token}")
            for origin, status in (("https://a.example", 200), ("https://b.example", 401)):
                found = await post(app.proxy_address, "topic=a&data=x", cookie, ("Origin", origin), target="/hub")
                assert found.status == status
        assert KEY not in "\n".join(app.log)


async def test_o12_a_missing_key_is_told_with_the_names_of_its_variables() -> None:
    arguments = ("--publish", "127.0.0.1:0", "--route", "* test", "--set", "mercure.protocols=2019")
    status, _, errors = await console(*arguments, "--log-level", "error", environment={"ADDR": "127.0.0.1:0"})
    assert (status, errors.count("\n")) == (1, 1)
    assert "JWT_KEY" in errors


async def test_o12_without_its_dialect_the_variables_mean_nothing() -> None:
    async with ConsoleProcess(*ON_FREE_PORTS, environment={"JWT_KEY": KEY, "ALLOW_ANONYMOUS": "1"}) as app:
        assert (await ask(app.proxy_address, f"{HUB}?topic=a")).body == b"no such test resource\n"


# -- the other way to make tokens -----------------------------------------------------------------------------------


async def test_a_token_of_the_command_publishes() -> None:
    """`holdfast mercure-token` and the hub agree on what a token is."""
    settings = ("--set", f"mercure.publisher_key={OLD_PUBLISHER_KEY}", "--set", "mercure.history=")
    status, token, errors = await console("mercure-token", "--legacy", "--publish", "a", *settings)
    assert (status, errors) == (0, "")
    async with ConsoleProcess(*ON_FREE_PORTS, *settings) as app:
        answers = [await post(app.proxy_address, f"topic={topic}", token=token.strip()) for topic in ("a", "b")]
        assert [answer.status for answer in answers] == [200, 403]
