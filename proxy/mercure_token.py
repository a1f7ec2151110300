"""`holdfast mercure-token`: make a token for the hub (reference 1.9, 2.1, 5.2).

Called by the console script with options of `mercure_commands`. What the hub would refuse is refused here, before it is
signed. A key is never printed.
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
import warnings
from dataclasses import dataclass, field
from typing import Final, TextIO

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.warnings import InsecureKeyLengthWarning

from handlers.errors import InvalidSetting
from handlers.hub.settings import DEVELOPMENT_ISSUER, DEVELOPMENT_KEY, HubSettings, IssuerSettings
from handlers.protocol.mercure.claims import DETAILS_CLAIM, LEGACY_CLAIM, TokenError, parse_grants
from handlers.protocol.mercure.grants import TokenDialect
from handlers.protocol.mercure.identity import DETAIL_TYPE
from handlers.protocol.mercure.matching import NO_ORIGIN, Matching
from handlers.secret import read_secret
from proxy.errors import SettingsError
from proxy.protocol.go_duration import parse_duration

_DEFAULT_ALGORITHM: Final = "HS256"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """What a token is signed with, and on whose behalf."""

    value: bytes = field(repr=False)
    algorithm: str
    issuer: str


def run_token(args: argparse.Namespace, settings: HubSettings, out: TextIO) -> int:
    """Write the token that `args` ask for to `out`; raises SettingsError when there is no such token."""
    protocol = args.protocol or default_protocol(settings, dev=args.dev, names_parties=bool(args.iss or args.aud))
    if args.dev and not _asks_for_topics(args):
        args.publish_topics, args.subscribe_topics = ["*"], ["*"]
    is_current = protocol == "1.0"
    key = find_key(args, settings, is_current=is_current)
    claims = _make_claims(args, settings, key.issuer, is_current=is_current, is_2019=protocol == "2019")
    _check(claims, is_current=is_current)
    header = {"typ": "at+jwt" if is_current else "JWT"} | ({"kid": args.kid} if args.kid else {})
    out.write(f"{sign(claims, key, header)}\n")
    if args.pretty:
        shown = {"header": {"alg": key.algorithm, **header}, "claims": claims}
        out.write(f"{json.dumps(shown, indent=2, ensure_ascii=False)}\n")
    return 0


def default_protocol(settings: HubSettings, *, dev: bool = False, names_parties: bool = False) -> str:
    """Return the newest dialect that the settings have keys for, or else that they speak.

    `names_parties`: an issuer or an audience is asked for, which only tokens of 1.0 need.
    """
    has_legacy_keys = bool(settings.publisher_key or settings.subscriber_key)
    if settings.speaks_current and (settings.issuers or dev or names_parties or not has_legacy_keys):
        return "1.0"
    return "2019" if settings.protocols == ("2019",) else "8"


def find_key(args: argparse.Namespace, settings: HubSettings, *, is_current: bool) -> SigningKey:
    """Return the key of the command line, or that of the settings for what is asked for; raises SettingsError."""
    issuer = _find_issuer(args, settings) if is_current else None
    name = args.iss or (DEVELOPMENT_ISSUER if args.dev and is_current else issuer.id if issuer else "")
    if is_current and not name:
        raise SettingsError("--iss is needed: mercure.issuers has not exactly one issuer")
    text, algorithm = args.key, args.alg
    if not text and args.dev:
        text = DEVELOPMENT_KEY
    if not text:
        holder = issuer if is_current else settings
        text, its_algorithm = _key_of_settings(args, holder)
        algorithm = algorithm or its_algorithm
    return SigningKey(value=read_key(text), algorithm=algorithm or _DEFAULT_ALGORITHM, issuer=name)


def sign(claims: dict[str, object], key: SigningKey, header: dict[str, str]) -> str:
    """Return the token; raises SettingsError when the key does not go with its algorithm."""
    try:
        with warnings.catch_warnings():
            # The hub's own key may be as short as its operator likes; `holdfast check` says so.
            warnings.simplefilter("ignore", InsecureKeyLengthWarning)
            return jwt.encode(claims, key.value, algorithm=key.algorithm, headers=header)
    except (jwt.PyJWTError, ValueError, TypeError, NotImplementedError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"the key does not go with the algorithm {key.algorithm}") from error


def _find_issuer(args: argparse.Namespace, settings: HubSettings) -> IssuerSettings | None:
    if args.iss:
        return next((issuer for issuer in settings.issuers if issuer.id == args.iss), None)
    return settings.issuers[0] if len(settings.issuers) == 1 else None


def _key_of_settings(args: argparse.Namespace, holder: HubSettings | IssuerSettings | None) -> tuple[str, str]:
    """Return the one key for all that is asked for, and its algorithm."""
    publishes = bool(args.publish_topics or args.publish_patterns)
    subscribes = bool(args.subscribe_topics or args.subscribe_patterns) or not publishes
    found: set[tuple[str, str]] = set()
    if holder is not None and publishes:
        found.add((holder.publisher_key, holder.publisher_algorithm))
    if holder is not None and subscribes:
        found.add((holder.subscriber_key, holder.subscriber_algorithm))
    if len(found) > 1:
        raise SettingsError("publishers and subscribers have different keys: make a token for each, or give --key")
    key, algorithm = found.pop() if found else ("", "")
    if not key:
        raise SettingsError("--key is needed: the settings have no key to sign with (a key set only verifies)")
    return key, algorithm


def read_key(text: str) -> bytes:
    """Return the key that a setting or an option holds or names; raises SettingsError when it cannot sign."""
    try:
        value = read_secret("--key", text)
    except InvalidSetting as error:
        raise SettingsError(str(error)) from error
    if not value:
        raise SettingsError("--key: holds no key")
    heading = value.lstrip().split(b"\n", 1)[0]
    if heading.startswith(b"-----BEGIN ") and b"PRIVATE KEY" not in heading:
        raise SettingsError("--key is needed: what the settings have only verifies; give the private key, as file:PATH")
    return value


def _asks_for_topics(args: argparse.Namespace) -> bool:
    return bool(args.publish_topics or args.publish_patterns or args.subscribe_topics or args.subscribe_patterns)


# -- claims ---------------------------------------------------------------------------------------------------------


def _make_claims(
    args: argparse.Namespace, settings: HubSettings, issuer: str, *, is_current: bool, is_2019: bool
) -> dict[str, object]:
    now = int(time.time())
    ttl = _read_ttl(args.ttl)
    if is_current and not ttl:
        raise SettingsError("--ttl: a token of 1.0 has to expire")
    audience = args.aud or settings.resource_identifier
    if is_current and not audience:
        if not args.dev:
            raise SettingsError("--aud is needed: mercure.resource_identifier is empty")
        audience = DEVELOPMENT_ISSUER + settings.path
    registered: dict[str, object] = {
        "iss": issuer,
        "aud": audience if is_current else args.aud,
        "sub": args.sub or (args.client_id if is_current else ""),
        "client_id": args.client_id if is_current else "",
        "iat": now,
        "exp": now + ttl if ttl else "",
        "jti": str(uuid.uuid4()) if is_current else "",
    }
    claims = {name: value for name, value in registered.items() if value != ""}
    payload = _read_payload(args)
    if is_current:
        return claims | {DETAILS_CLAIM: _make_details(args, payload)}
    if is_2019 and (args.publish_patterns or args.subscribe_patterns):
        raise SettingsError("--publish-urlpattern and --subscribe-urlpattern: targets of 2019 are no patterns")
    return claims | {LEGACY_CLAIM: _make_legacy_claim(args, payload)}


def _make_details(args: argparse.Namespace, payload: dict[str, object]) -> list[dict[str, object]]:
    details: list[dict[str, object]] = []
    for action, topics, patterns, more in (
        ("publish", args.publish_topics, args.publish_patterns, {}),
        ("subscribe", args.subscribe_topics, args.subscribe_patterns, payload),
    ):
        matchers = [*({"match": topic} for topic in topics), *map(_pattern, patterns)]
        if matchers:
            details.append({"type": DETAIL_TYPE, "actions": [action], "topics": matchers, **more})
    return details


def _make_legacy_claim(args: argparse.Namespace, payload: dict[str, object]) -> dict[str, object]:
    granted = {
        "publish": [*args.publish_topics, *map(_pattern, args.publish_patterns)],
        "subscribe": [*args.subscribe_topics, *map(_pattern, args.subscribe_patterns)],
    }
    return {name: topics for name, topics in granted.items() if topics} | payload


def _pattern(value: str) -> dict[str, str]:
    return {"match": value, "match_type": "urlpattern"}


def _read_payload(args: argparse.Namespace) -> dict[str, object]:
    if args.payload is None:
        return {}
    if not (args.subscribe_topics or args.subscribe_patterns):
        raise SettingsError("--payload: goes with --subscribe or --subscribe-urlpattern")
    try:
        return {"payload": msgspec.json.decode(args.payload)}
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise SettingsError(f"--payload: is not JSON: {error}") from error


def _read_ttl(text: str) -> int:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise SettingsError(f"--ttl: {error}") from error
    if 0 < seconds < 1:
        raise SettingsError("--ttl: is less than a second")
    return int(seconds)


def _check(claims: dict[str, object], *, is_current: bool) -> None:
    """Raise SettingsError for what the hub would refuse."""
    dialect = TokenDialect.CURRENT if is_current else TokenDialect.LEGACY
    try:
        parse_grants(claims, dialect, speaks_2019=False, check=Matching(NO_ORIGIN, 0).check)
    except TokenError as error:
        raise SettingsError(f"no hub would accept that: {error}") from error
