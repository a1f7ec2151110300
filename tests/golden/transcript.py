"""One recorded conversation against the same one played with Holdfast: which lines differ.

Used by the tests and the recorder. Takes and gives text; nothing is read or run here. What the golden folder's README
calls volatile, or not Pushpin's own, is evened out, and nothing else is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from difflib import SequenceMatcher
from typing import Final

# zurl, the HTTP client of Pushpin 1.36, adds both to requests that have none. `Accept: */*` is also what some clients
# of the driver send, so there it stands in ours too.
_ZURL: Final = frozenset({"  < accept: */*", "  < accept-encoding: deflate, gzip, br, zstd"})
_ALSO_OURS: Final = frozenset({"  < accept: */*"})

# The driver's remark on itself; it comes too late for the transcript when the client is quick.
_DRIVER: Final = frozenset({"  # backend closes"})

_FEATURE: Final = "  < grip-feature: "
_FEATURE_SINCE_1_41: Final = " link:gone,"

# The reference measured whole seconds, or nothing.
_AT_ONCE: Final = re.compile(r"(?<=  # delivered after )0\.[0-9] s")


def difference(recorded: str, ours: str) -> tuple[str, ...]:
    """Return the lines in which two canonical transcripts differ: `-` and a recorded line, or `+` and one of ours.

    Empty when they are equal. Blank lines only part messages, and don't count.
    """
    before = list(_comparable(recorded, without=_ZURL | _DRIVER))
    after = list(_comparable(ours, without=_ALSO_OURS | _DRIVER))
    lines: list[str] = []
    for tag, start, end, our_start, our_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            lines += [f"-{line}" for line in before[start:end]]
            lines += [f"+{line}" for line in after[our_start:our_end]]
    return tuple(lines)


def tidy(transcript: str) -> str:
    """Return a transcript as it is kept: what varies from run to run made even, no blanks at the ends of lines."""
    return "".join(f"{_AT_ONCE.sub('less than 1 s', line.rstrip())}\n" for line in transcript.splitlines())


def without_farewell(transcript: str) -> str:
    """Leave out the request by which a backend is told of a DISCONNECT, and its answer."""
    blocks = transcript.split("\n\n")
    told = next((number for number, block in enumerate(blocks) if r"] DISCONNECT\r\n" in block), None)
    return transcript if told is None else "\n\n".join(blocks[:told] + blocks[told + 2 :])


def _comparable(transcript: str, *, without: Set[str]) -> Iterator[str]:
    for line in tidy(transcript).splitlines():
        if line and line not in without:
            yield line.replace(_FEATURE_SINCE_1_41, "") if line.startswith(_FEATURE) else line
