"""`holdfast mercure-check`: what a token is, what it lets its bearer do, and why the hub would refuse it.

Called by the console script with options of `mercure_commands`. The hub's own `Authority` judges, with the keys of the
settings, so what is said here is what would happen. Neither the token nor a key is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
from collections.abc import Iterable, Iterator
from typing import Final, TextIO

from handlers.errors import HubRefusal, InvalidSetting
from handlers.hub.auth import Authority, Role, Shown
from handlers.hub.settings import HubSettings
from handlers.hub.signed import SignedToken, open_token
from handlers.protocol.mercure.claims import TokenError, find_dialect
from handlers.protocol.mercure.grants import Grants, Token, TokenDialect
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.matching import NO_ORIGIN, Matching
from handlers.protocol.mercure.target import is_target, target_of
from handlers.timers import LoopClock
from proxy.errors import SettingsError

_METHODS: Final = {Role.PUBLISHER: "POST", Role.SUBSCRIBER: "GET"}
_KINDS: Final = {MatcherKind.URLPATTERN: "URL pattern ", MatcherKind.SELECTOR: "selector "}


def run_check(args: argparse.Namespace, settings: HubSettings, stdin: TextIO, out: TextIO) -> int:
    """Write what the token is to `out`. Return 0 if the hub would accept it, 1 if not; raises SettingsError."""
    is_piped = args.token == "-"  # noqa: S105  # stands for stdin
    text = (stdin.read() if is_piped else args.token).strip().encode("utf-8", "replace")
    if not (settings.takes_publishers or settings.takes_subscribers):
        raise SettingsError("there is no key to check a token with: see mercure.issuers and mercure.publisher_key")
    try:
        signed = open_token(text)
    except TokenError as error:
        out.write(f"refused: {error}\n")
        return 1
    resource = args.aud or settings.resource_identifier
    out.writelines(f"{line}\n" for line in _describe(signed, settings, knows_resource=bool(resource)))
    roles = (Role(args.role),) if args.role else tuple(Role)
    verdicts = asyncio.run(_judge(text, settings, roles, resource or _audience_of(signed)))
    for role, verdict in verdicts.items():
        out.writelines(f"{line}\n" for line in _describe_verdict(role, verdict, settings))
    return 0 if any(isinstance(verdict, Token) for verdict in verdicts.values()) else 1


def find_key_problems(settings: HubSettings) -> tuple[str, ...]:
    """Return what is wrong with the keys of the settings, for `holdfast check`; reads those in files."""
    try:
        asyncio.run(_judge(b"", settings, (), ""))
    except SettingsError as error:
        return (str(error),)
    return ()


async def _judge(
    text: bytes, settings: HubSettings, roles: Iterable[Role], resource: str
) -> dict[Role, Token | HubRefusal | None]:
    """Return of each role what the hub makes of the token: None where it has no keys."""
    clock = LoopClock(asyncio.get_running_loop())
    try:
        authority = Authority(settings, clock=clock, matching_check=Matching(NO_ORIGIN, 0).check)
    except InvalidSetting as error:
        raise SettingsError(f"mercure.{error}") from error
    verdicts: dict[Role, Token | HubRefusal | None] = {}
    try:
        for role in roles:
            shown = Shown(method=_METHODS[role], authorization=(b"Bearer " + text,))
            try:
                verdicts[role] = await authority.check(shown, role, resource=resource)
            except HubRefusal as refused:
                verdicts[role] = refused
    finally:
        await authority.close()
    return verdicts


def _audience_of(signed: SignedToken) -> str:
    """Return an audience of the token: the hub's own is taken from each request, which there is none of here."""
    audience = signed.claims.get("aud")
    if isinstance(audience, list) and audience:
        audience = audience[0]
    return audience if isinstance(audience, str) else "the hub's URL"


def _describe(signed: SignedToken, settings: HubSettings, *, knows_resource: bool) -> Iterator[str]:
    try:
        dialect = find_dialect(
            signed.claims,
            typ=signed.header.get("typ"),
            speaks_current=settings.speaks_current,
            speaks_legacy=settings.speaks_selectors,
        ).value
    except TokenError as error:
        dialect = f"none that is spoken: {error}"
    yield f"dialect: {dialect}{' or before' if dialect == '8' else ''}"
    yield f"header: {_shown(signed.header)}"
    yield f"claims: {_shown(signed.claims, indent=2)}"
    yield f"expires: {_describe_expiry(signed.claims.get('exp'))}"
    if dialect == "1.0" and not knows_resource:
        yield "audience: not checked, since mercure.resource_identifier is empty; give the hub's URL with --aud"


def _describe_verdict(role: Role, verdict: Token | HubRefusal | None, settings: HubSettings) -> Iterator[str]:
    if verdict is None:
        let_in = role is Role.SUBSCRIBER and settings.anonymous
        means = "anybody may read public updates" if let_in else "nobody is let in"
        yield f"{role.value}: not looked at, since there is no key for this role: {means}"
        return
    if isinstance(verdict, HubRefusal):
        yield f"{role.value}: refused: {str(verdict).removeprefix(f'{role.value}' + chr(39) + 's token refused: ')}"
        return
    yield f"{role.value}: accepted"
    if role is Role.PUBLISHER:
        yield from _describe_publisher(verdict.grants, settings)
        return
    readable = verdict.grants.readable
    if settings.speaks_2019:
        yield f"  may read updates for the targets: {_describe_targets(readable)}"
    yield f"  may read private updates of: {_describe_topics(readable) or 'nothing, public updates only'}"


def _describe_publisher(grants: Grants, settings: HubSettings) -> Iterator[str]:
    """Say what `publish_api.mercure` would let the bearer do: dialects before 8 leave more to every token."""
    publish = grants.publish or ()
    topics = _describe_topics(publish) or "nothing"
    is_legacy = grants.dialect is TokenDialect.LEGACY
    if is_legacy and "7" in settings.protocols:
        yield "  may publish: public updates to every topic"
        yield f"  may publish private updates to: {topics}"
    elif is_legacy and "8" not in settings.protocols:
        yield "  may publish: public and private updates to every topic"
    else:
        yield f"  may publish: {topics}"
    if settings.speaks_2019:
        yield f"  may publish for the targets: {_describe_targets(publish)}"


def _describe_topics(matchers: Iterable[Matcher]) -> str:
    texts = [_describe_matcher(matcher) for matcher in matchers if not is_target(matcher.value)]
    return ", ".join(dict.fromkeys(texts))


def _describe_targets(matchers: Iterable[Matcher]) -> str:
    """Return the targets. Those of a token that may do everything with topics are every target, too."""
    if any(matcher.is_wildcard for matcher in matchers):
        return "every target"
    targets = [target for matcher in matchers if (target := target_of(matcher.value)) is not None]
    return ", ".join(map(_shown, dict.fromkeys(targets))) or "none"


def _describe_matcher(matcher: Matcher) -> str:
    return "every topic" if matcher.is_wildcard else f"{_KINDS.get(matcher.kind, '')}{_shown(matcher.value)}"


def _describe_expiry(moment: object) -> str:
    if moment is None:
        return "never"
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        return "not a time"
    try:
        return datetime.datetime.fromtimestamp(moment, tz=datetime.UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return "not a time that there is"


def _shown(value: object, *, indent: int | None = None) -> str:
    """Return JSON in ASCII, which no terminal obeys."""
    return json.dumps(value, indent=indent)
