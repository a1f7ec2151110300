"""Messages of the stats socket: what they tell of, a blank, and `T` or `J` with a map (reference 7.1).

Called by `publish_api.zeromq.stats`. Their first word is what subscribers choose by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from handlers.protocol.tnetstring import encode_tnetstring

Kind = Literal["activity", "message", "conn", "sub", "report", "counts", "conn-max"]
Field = str | int | bool
StatsFormat = Literal["tnetstring", "json"]

_JSON = msgspec.json.Encoder(order="sorted")


def encode_stats(kind: Kind, fields: Mapping[str, Field], form: StatsFormat) -> bytes:
    """Encode one message."""
    if form == "json":
        return kind.encode() + b" J" + _JSON.encode(fields)
    return kind.encode() + b" T" + encode_tnetstring(dict(fields))
