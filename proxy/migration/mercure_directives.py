"""Directives of a Caddyfile's `mercure` block as settings of ours (reference 5.1).

Called for `MERCURE_EXTRA_DIRECTIVES`, in which users of the Mercure image put them; those of 0.x and of 1.0 are known.
One without an equivalent is named in a warning; one that is unknown is an error, as it is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from proxy.assignment import Assignment, Translation, suggest
from proxy.errors import SettingsError
from proxy.migration.mercure_transport import translate_transport, translate_transport_url
from proxy.protocol.caddyfile import Directive, parse_directives
from proxy.protocol.go_duration import parse_duration

_FLAGS: Final = {
    "anonymous": "anonymous",
    "subscriptions": "subscriptions",
    "debugger": "debugger",
    "ui": "debugger",
    "playground": "playground",
    "demo": "playground",
}
_LISTS: Final = ("cors_origins", "publish_origins", "public_urls")
_TEXTS: Final = {
    "resource_identifier": "resource_identifier",
    "cookie_name": "cookie_name",
    "publisher_jwks_url": "publisher_jwks",
    "subscriber_jwks_url": "subscriber_jwks",
}
_TIMES: Final = ("heartbeat", "write_timeout")
_IGNORED: Final = ("dispatch_timeout", "topic_selector_cache", "lru_cache", "subscriber_list_cache_size")
_UNLIMITED_BODY: Final = 2**31 - 1
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?([kmg]?)(i?)b?", re.IGNORECASE)
_FACTORS: Final = {"": 0, "k": 1, "m": 2, "g": 3}


class DirectiveReader:
    """Reads the directives of one block. Raises SettingsError, with their line, for what cannot be obeyed."""

    def __init__(self, origin: str, protocols: tuple[str, ...]) -> None:
        self._origin = origin
        self.protocols = protocols
        """Those that are spoken, with what `protocol_version_compatibility` adds."""
        self.issuers: list[dict[str, object]] = []
        """Tables of `[[mercure.issuers]]`."""
        self.has_playground = False
        self.result = Translation()

    def read(self, text: str, environ: Mapping[str, str]) -> None:
        """Read all of `text`."""
        try:
            directives = parse_directives(text, environ)
        except ValueError as error:
            raise SettingsError(f"{self._origin}: {error}") from error
        for directive in directives:
            self._read_one(directive)

    def _read_one(self, directive: Directive) -> None:
        name = directive.name
        if name in _IGNORED:
            warning = f"{self._where(directive)}: has no equivalent, and is not obeyed"
            self.result += Translation(warnings=(warning,))
        elif name in _FLAGS:
            self._expect(directive, 0)
            self.has_playground = self.has_playground or _FLAGS[name] == "playground"
            self._set(directive, _FLAGS[name], True)
        elif name in _LISTS:
            self._expect(directive, 1, None)
            self._set(directive, name, list(directive.arguments))
        elif name in _TEXTS:
            self._set(directive, _TEXTS[name], self._one(directive))
        elif name in _TIMES:
            self._set(directive, name, self._time(directive))
        else:
            self._handler(directive)(directive)

    def _handler(self, directive: Directive) -> Callable[[Directive], None]:
        handlers: dict[str, Callable[[Directive], None]] = {
            "publisher_jwt": self._read_key,
            "subscriber_jwt": self._read_key,
            "issuer": self._read_issuer,
            "transport": self._read_transport,
            "transport_url": self._read_transport_url,
            "max_request_body_size": self._read_body_size,
            "topic_matcher_cache": self._read_matcher_cache,
            "protocol_version_compatibility": self._read_compatibility,
        }
        found = handlers.get(directive.name)
        if found is None:
            known = (*handlers, *_FLAGS, *_LISTS, *_TEXTS, *_TIMES, *_IGNORED)
            raise SettingsError(f"{self._where(directive)}: unknown directive{suggest(directive.name, known)}")
        return found

    def _read_key(self, directive: Directive) -> None:
        self._expect(directive, 1, 2)
        role = directive.name.removesuffix("_jwt")
        self._set(directive, f"{role}_key", directive.arguments[0])
        self._set(directive, f"{role}_algorithm", (*directive.arguments, "HS256")[1])

    def _read_issuer(self, directive: Directive) -> None:
        table: dict[str, object] = {"id": self._one(directive, block=True)}
        for inner in directive.block:
            if inner.name == "authorization_server":
                self._expect(inner, 0)
                table["authorization_server"] = True
            elif inner.name in {"publisher", "subscriber"}:
                self._expect(inner, 0, block=True)
                for key in inner.block:
                    self._read_issuer_key(inner.name, key, table)
            else:
                raise SettingsError(f"{self._where(inner)}: an issuer has no such directive")
        self.issuers.append(table)

    def _read_issuer_key(self, role: str, directive: Directive, table: dict[str, object]) -> None:
        if directive.name == "jwt":
            self._expect(directive, 1, 2)
            table[f"{role}_key"] = directive.arguments[0]
            table[f"{role}_algorithm"] = (*directive.arguments, "HS256")[1]
        elif directive.name == "jwks_uri":
            self._expect(directive, 1, None)
            url, *algorithms = directive.arguments
            table[f"{role}_jwks"] = url
            named = table.get("jwks_algorithms", algorithms)
            if algorithms != named:
                raise SettingsError(f"{self._where(directive)}: an issuer's key sets have the same algorithms here")
            table["jwks_algorithms"] = algorithms
        else:
            raise SettingsError(f"{self._where(directive)}: expected jwt or jwks_uri")

    def _read_transport(self, directive: Directive) -> None:
        name = self._one(directive, block=True)
        options = {option.name: self._one(option) for option in directive.block}
        self.result += translate_transport(self._where(directive), name, options)

    def _read_transport_url(self, directive: Directive) -> None:
        self.result += translate_transport_url(self._where(directive), self._one(directive))

    def _read_body_size(self, directive: Directive) -> None:
        self._expect(directive, 1, 2)
        text = " ".join(directive.arguments)
        found = _SIZE.fullmatch(text)
        if found is None:
            raise SettingsError(f"{self._where(directive)}: expected a size, as '1MiB', got {text!r}")
        size = int(found[1]) * (1024 if found[3] else 1000) ** _FACTORS[found[2].lower()]
        self._set(directive, "body_limit", size or _UNLIMITED_BODY)

    def _read_matcher_cache(self, directive: Directive) -> None:
        text = self._one(directive)
        # Less than nothing turns it off, too.
        self._set(directive, "matcher_cache", "0" if re.fullmatch(r"-[0-9]+", text) else text)

    def _read_compatibility(self, directive: Directive) -> None:
        version = self._one(directive)
        if version not in {"7", "8"}:
            raise SettingsError(f"{self._where(directive)}: expected 7 or 8, got {version!r}")
        # 7 is 8 and more.
        added = ("8", "7") if version == "7" else ("8",)
        self.protocols = tuple(dict.fromkeys((*self.protocols, *added)))
        self._set(directive, "protocols", list(self.protocols))

    def _time(self, directive: Directive) -> float:
        try:
            return parse_duration(self._one(directive))
        except ValueError as error:
            raise SettingsError(f"{self._where(directive)}: {error}") from error

    def _one(self, directive: Directive, *, block: bool = False) -> str:
        self._expect(directive, 1, block=block)
        return directive.arguments[0]

    def _expect(self, directive: Directive, least: int, most: int | None = 0, *, block: bool = False) -> None:
        """Refuse a wrong number of arguments: less than `least`, more than that or `most`; None is any number."""
        number = len(directive.arguments)
        if number < least or (most is not None and number > max(least, most)):
            raise SettingsError(f"{self._where(directive)}: has {number} arguments, which are not what it takes")
        if directive.block and not block:
            raise SettingsError(f"{self._where(directive)}: has a block, which it does not take")

    def _set(self, directive: Directive, key: str, value: object) -> None:
        assignment = Assignment(
            name=f"mercure.{key}",
            value=value,
            origin=self._where(directive),
            is_text=isinstance(value, str),
            base=Path(),
        )
        self.result += Translation(assignments=(assignment,))

    def _where(self, directive: Directive) -> str:
        return f"{self._origin}, line {directive.line}: {directive.name}"
