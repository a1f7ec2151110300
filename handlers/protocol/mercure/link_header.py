"""`Link` headers that name a hub (reference 1.2, 1.12).

`encode_hub_link` is for whoever tells clients where the hub is: the playground, and routes that advertise it. The
subscription API adds to it the cursor to begin with. Links of others are not parsed here.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

# RFC 3986 sections 2.2 and 2.3: everything else, angle brackets, quotes, spaces and line ends among it, is escaped.
# The percent sign is not: what is escaped already must not be escaped again.
_URI_CHARACTERS: Final = ":/?#[]@!$&'()*+,;=-._~%"


def encode_hub_link(url: str) -> bytes:
    """Encode the value of a `Link` header that names the hub at `url`, a whole URL or a path."""
    return b'<%b>; rel="mercure"' % quote(url, safe=_URI_CHARACTERS).encode()


def encode_attribute(name: bytes, value: bytes) -> bytes:
    """Encode one attribute, to be appended to a link's value, as a quoted string (RFC 9110 section 5.6.4)."""
    return b'; %b="%b"' % (name, value.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
