"""Plays the recorded conversations of ../shared/golden with Holdfast, by the driver that recorded them.

Used by the tests and the recorder. The folder stands beside the checkout and is no part of the project. Most of a case
is waiting, so the cases are played in shards side by side, each with a Holdfast process and a backend of its own.
Nothing is compared here.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NewType

from tests.golden.transcript import without_farewell
from tests.interop.program import LOOPBACK, free_ports
from tests.support.app_process import ConsoleProcess

CaseName = NewType("CaseName", str)
"""`group.case`, with the configuration and a slash before it for all but the first one: `cfg2/hold.stream-basic`."""

GOLDEN: Final = Path(__file__).parents[3] / "shared" / "golden"
DRIVER: Final = GOLDEN / "drive.py"
GROUPS: Final = ("proxy", "route", "hold", "badgrip", "ws", "publish", "sockjs")
FAREWELL_IS_LATE: Final = frozenset({CaseName("ws.ws-unmasked")})
"""Ends as soon as we close, and so now before and now after the backend has been told of it."""
PLAY_LIMIT: Final = 240.0
"""Seconds that all shards together may take. They take 25."""

TOO_SLOW: Final = frozenset({CaseName("proxy.backend-slow")})
"""Waits 90 s to see that nothing happens. Played by the recorder alone."""


class PlayError(Exception):
    """The driver did not write what it was asked for; the text is what it said instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One way in which Pushpin was set up for its recording, and Holdfast is for playing it."""

    prefix: str
    recording: str
    """The folder of transcripts."""
    shards: int
    settings: tuple[str, ...]
    keys: tuple[str, ...]
    """What the driver tries Grip-Sig with."""


CONFIGURATIONS: Final = (
    Configuration(
        prefix="",
        recording="debian-pushpin-1.36",
        shards=5,
        settings=(
            "proxy.sig_key=changeme",
            "proxy.sockjs_url=http://cdn.jsdelivr.net/sockjs/0.3.4/sockjs.min.js",
        ),
        keys=("changeme", "rkey"),
    ),
    Configuration(
        prefix="cfg2/",
        recording="debian-pushpin-1.36-cfg2",
        shards=1,
        settings=(
            "proxy.debug=true",
            "proxy.auto_cross_origin=true",
            "proxy.accept_x_forwarded_proto=true",
            "proxy.set_x_forwarded_proto=true",
            "proxy.x_forwarded_for=truncate:0,append",
            "proxy.x_forwarded_for_trusted=append",
            "proxy.sig_iss=other",
            "proxy.sig_key=base64:c2VjcmV0IGtleSE=",
            "proxy.upstream_key=upkey",
        ),
        keys=("secret key!",),
    ),
)

# Seconds of the cases that take more than one, so that the shards end at about the same time.
_WEIGHTS: Final = {
    "proxy.backend-slow": 90.0,
    "ws.ws-keepalive-interval": 40.0,
    "hold.link-next-absolute": 17.0,
    "hold.link-next-last": 12.0,
    "hold.keepalive-interval": 10.0,
    "hold.link-next-response-hold": 7.5,
    "hold.first-sub-stream": 7.0,
    "hold.link-next-nohold": 6.0,
    "hold.stream-sequencer": 5.0,
    "hold.stream-sequencer-timeout": 5.0,
    "hold.longpoll-prev-id": 5.0,
    "publish.pub-ok": 4.0,
    "badgrip.bad-hold-no-channel": 3.0,
    "badgrip.bad-instruct-fields": 3.0,
    "badgrip.too-many-channels": 2.5,
    "hold.link-next-gap": 2.0,
}
_LIGHT: Final = 0.4


def recorded() -> dict[CaseName, str]:
    """Return the transcripts of Pushpin in canonical form, of the groups that are played. Empty without the folder."""
    return {case: path.read_text("utf-8") for each in CONFIGURATIONS for case, path in _transcripts(each)}


def play(cases: Sequence[CaseName]) -> dict[CaseName, str]:
    """Play these cases and return their transcripts in canonical form. Raises PlayError."""
    return asyncio.run(_play(cases))


async def _play(cases: Sequence[CaseName]) -> dict[CaseName, str]:
    shards = [
        (configuration, shard)
        for configuration in CONFIGURATIONS
        for shard in _shards([case for case in cases if _configuration(case) is configuration], configuration)
    ]
    # Asked for at once, because they are only free until somebody binds them.
    ports = free_ports(len(shards))
    async with asyncio.timeout(PLAY_LIMIT), asyncio.TaskGroup() as group:
        playing = [group.create_task(_play_shard(*shard, port)) for shard, port in zip(shards, ports, strict=True)]
    return {case: transcript for shard in playing for case, transcript in shard.result().items()}


async def _play_shard(configuration: Configuration, cases: Sequence[CaseName], backend: int) -> dict[CaseName, str]:
    """Play cases one after the other; `backend` is the port of the driver's backend."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        routes = folder / "routes"
        routes.write_text(await _drive("routes", "--backend-port", str(backend)), "utf-8")
        arguments = ["--config", os.devnull, "--routes", str(routes)]
        arguments += ["--listen", f"{LOOPBACK}:0", "--publish", f"{LOOPBACK}:0"]
        for setting in configuration.settings:
            arguments += ["--set", setting]
        async with ConsoleProcess("run", *arguments) as holdfast:
            said = await _drive(
                "run",
                *("--proxy", _address(holdfast.proxy_address), "--publish", _address(holdfast.publish_address)),
                *("--backend-port", str(backend), "--out", str(folder), "--only", *map(_pattern, cases)),
                *(argument for key in configuration.keys for argument in ("--sig-key", key)),
            )
        try:
            played = {case: (folder / "canon" / _file_name(case)).read_text("utf-8") for case in cases}
            return {case: without_farewell(text) if case in FAREWELL_IS_LATE else text for case, text in played.items()}
        except FileNotFoundError as error:
            raise PlayError(f"no {error.filename}; the driver said:\n{said}") from error


async def _drive(*arguments: str) -> str:
    """Run the driver and return what it said. Its exit status only counts what stands in the transcripts too."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, DRIVER, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode()


def _shards(cases: Sequence[CaseName], configuration: Configuration) -> list[list[CaseName]]:
    """Share the cases out, the longest first, each to whoever has least to do by then."""
    shards: list[list[CaseName]] = [[] for _ in range(configuration.shards)]
    loads = [0.0] * configuration.shards
    for case in sorted(cases, key=lambda case: -_weight(case)):
        least = loads.index(min(loads))
        shards[least].append(case)
        loads[least] += _weight(case)
    return [shard for shard in shards if shard]


def _weight(case: CaseName) -> float:
    return _WEIGHTS.get(case, _LIGHT)


def _transcripts(configuration: Configuration) -> Iterator[tuple[CaseName, Path]]:
    for path in sorted((GOLDEN / "transcripts" / configuration.recording / "canon").glob("*.txt")):
        if path.name.partition(".")[0] in GROUPS:
            yield CaseName(f"{configuration.prefix}{path.stem}"), path


def _configuration(case: CaseName) -> Configuration:
    (found,) = (each for each in CONFIGURATIONS if each.prefix.rstrip("/") == case.rpartition("/")[0])
    return found


def _file_name(case: CaseName) -> str:
    return f"{case.rpartition('/')[2]}.txt"


def _pattern(case: CaseName) -> str:
    return re.escape(case.partition(".")[2])


def _address(address: tuple[str, int]) -> str:
    return "{}:{}".format(*address)
