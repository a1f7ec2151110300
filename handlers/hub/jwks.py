"""Sources of keys that can change while the process runs: a file, and a URL (reference 1.9.2, row A28).

Made by `key_ring`. A new key is accepted without a restart, and a source that fails keeps the keys it had. What a token
says about where its key is to be found (`jwk`, `jku`, `x5u`) is never looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import aiohttp

from handlers.errors import HubRefusal, InvalidSetting
from handlers.hub.jwk import parse_key_set
from handlers.hub.keys import Candidates, Key
from handlers.timers import Clock

SIZE_LIMIT: Final = 262_144
"""Bytes of a key set. A hundred large keys with their certificates fit."""
FETCH_TIMEOUT: Final = 5.0
"""Seconds a server may take. The requests that need the keys wait that long."""
REFRESH_AFTER: Final = 300.0
"""Seconds after which a set is fetched anew, so that a key that was withdrawn is not accepted for ever."""
RETRY_AFTER: Final = 10.0
"""Seconds between two fetches, however many unknown keys tokens name: anybody can name one."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_log = logging.getLogger("holdfast.hub")


class FileKeySet:
    """A key set in a file, read again when it has changed. Raises InvalidSetting when it cannot be used at first."""

    def __init__(self, name: str, path: Path, *, algorithms: Sequence[str]) -> None:
        self._path = path
        self._algorithms = algorithms
        self._seen: tuple[int, ...] | None = None
        self._keys: tuple[Key, ...] = ()
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise InvalidSetting(name, f"{path} cannot be used: {error_text(error)}") from error

    async def candidates(self, algorithm: str, kid: str | None) -> Candidates:
        """Return the keys for this header, as the file is now."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            _log.warning("key set %s: %s; its former keys stay in use", self._path, error_text(error))
        return Candidates(select(self._keys, algorithm, kid, str(self._path)))

    def _read(self) -> None:
        """Read the file unless it is as it was last seen, so that an unusable one is complained of once."""
        try:
            status = self._path.stat()
        except OSError:
            vanished, self._seen = self._seen != (), ()
            if vanished:
                raise
            return
        # With the time of its last change of rights, too: it may have been unreadable.
        seen = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        if seen == self._seen:
            return
        self._seen = seen
        with self._path.open("rb") as file:
            text = file.read(SIZE_LIMIT + 1)
        check_size(text)
        self._keys = parse_key_set(text, self._algorithms)


class KeyFetcher:
    """The HTTP client of all key sets of a process. `close` it at the end."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str) -> bytes:
        """Return what stands at `url`. Raises aiohttp.ClientError, TimeoutError, OSError or ValueError."""
        if self._session is None:
            # Made when it is first needed, because that is when a loop runs.
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
            )
        # A redirect could lead to where nothing is encrypted.
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"the answer's status is {answer.status}")
            text = bytearray()
            async for chunk in answer.content.iter_any():
                text += chunk
                check_size(text)
            return bytes(text)

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()


class RemoteKeySet:
    """A key set at a URL, fetched when it is needed: not before the first token.

    All requests that need it share one fetch, which is a task of its own, because the client whose request began it
    may go away. `close` ends it.
    """

    def __init__(self, url: str, *, algorithms: Sequence[str], clock: Clock, fetcher: KeyFetcher) -> None:
        self._url = url
        self._algorithms = algorithms
        self._clock = clock
        self._fetcher = fetcher
        self._keys: tuple[Key, ...] = ()
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def candidates(self, algorithm: str, kid: str | None) -> Candidates:
        """Return the keys for this header, from a set that is not too old."""
        is_looked_up = self._knows(kid)
        if self._fetching is None and self._is_due(kid):
            self._fetching = asyncio.create_task(self._fetch(), name=f"key set {self._url}")
        if self._fetching is not None and self._must_wait(kid):
            await asyncio.shield(self._fetching)
            is_looked_up = self._fetched_at == self._tried_at
        keys = select(self._keys, algorithm, kid, self._url)
        return Candidates(keys, retry_after=0.0 if is_looked_up else self._pause())

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait((self._fetching,))

    def _knows(self, kid: str | None) -> bool:
        if kid is None:
            return bool(self._keys)
        return any(key.kid == kid for key in self._keys)

    def _is_due(self, kid: str | None) -> bool:
        if self._tried_at is not None and self._clock.now() - self._tried_at < RETRY_AFTER:
            return False
        return self._is_old() or not self._knows(kid)

    def _pause(self) -> float:
        """Return the seconds until a fetch may be due again."""
        return 0.0 if self._tried_at is None else max(0.0, self._tried_at + RETRY_AFTER - self._clock.now())

    def _is_old(self) -> bool:
        return self._fetched_at is None or self._clock.now() - self._fetched_at >= REFRESH_AFTER

    def _must_wait(self, kid: str | None) -> bool:
        """Whether what there is won't do. With a server that fails, nobody who knows the key waits for it again."""
        is_failing = self._fetched_at != self._tried_at
        return not self._knows(kid) or (self._is_old() and not is_failing)

    async def _fetch(self) -> None:
        fetched = False
        try:
            self._keys = parse_key_set(await self._fetcher.fetch(self._url), self._algorithms)
            fetched = True
        except (aiohttp.ClientError, OSError, ValueError) as error:
            kept = "its former keys stay in use" if self._keys else "there are no keys"
            _log.warning("key set %s: %s; %s", self._url, error_text(error), kept)
        finally:
            self._tried_at = self._clock.now()
            self._fetched_at = self._tried_at if fetched else self._fetched_at
            self._fetching = None


def make_key_set(
    name: str, url: str, *, algorithms: Sequence[str], clock: Clock, fetcher: KeyFetcher
) -> FileKeySet | RemoteKeySet:
    """Return the source that the setting `name` gives the URL of; raises InvalidSetting."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise InvalidSetting(name, "is not a URL") from error
    if parts.scheme == "file" and not host and parts.path.startswith("/"):
        return FileKeySet(name, Path(unquote(parts.path)), algorithms=algorithms)
    if host and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)):
        return RemoteKeySet(url, algorithms=algorithms, clock=clock, fetcher=fetcher)
    raise InvalidSetting(name, "must be https://... or file:///..., or http:// to this machine")


def select(keys: Sequence[Key], algorithm: str, kid: str | None, source: str) -> Sequence[Key]:
    """Return the keys for a header: those that `kid` names, all if it names none. Raises HubRefusal without any key."""
    if not keys:
        raise HubRefusal(503, "Service Unavailable", reason=f"key set {source} has no keys to verify a token with")
    named = [key for key in keys if kid is not None and key.kid == kid]
    return [key for key in named or keys if key.algorithm == algorithm]


def check_size(text: bytes | bytearray) -> None:
    """Raise ValueError when `text` is too long for a key set."""
    if len(text) > SIZE_LIMIT:
        raise ValueError(f"it is longer than {SIZE_LIMIT} bytes")


def error_text(error: Exception) -> str:
    """Return what went wrong; a timeout says nothing of itself."""
    return str(error) or type(error).__name__
