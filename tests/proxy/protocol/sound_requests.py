"""Hypothesis strategies: sound requests of every shape the framer lets pass, and ones with damage done to them."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from handlers.protocol.http1 import Headers

TOKEN_BYTES = b"!#$%&'*+-.^_`|~09azAZ"
VALUE_BYTES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
PATH_BYTES = bytes(byte for byte in range(0x21, 0x7F))

METHODS = st.sampled_from(
    [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"M-SEARCH", b"BREW", b"get", b"CONNECTED", b"!"]
)
OWS = st.sampled_from([b"", b" ", b"\t", b" \t "])
HOSTS = st.sampled_from([b"a.example", b"A_b", b"a:", b"a:65535", b"[::1]", b"[2001:db8::1]:80", b"10.0.0.1", b"%41.b"])
ABSOLUTES = st.sampled_from([b"http://b", b"HTTPS://b:1/", b"http://[::1]/a?b#c", b"http://b?x", b"http://a%41,b/"])
NAMES = st.one_of(
    st.sampled_from(
        [b"Accept", b"Cookie", b"TE", b"Trailer", b"Keep-Alive", b"Content-Type", b"User-Agent", b"Sec-WebSocket-Key1"]
    ),
    st.text(TOKEN_BYTES.decode(), min_size=1, max_size=6).map(lambda name: b"X-" + name.encode()),
)
OPTIONS = st.sampled_from(
    [b"close", b"keep-alive", b"Keep-Alive, x", b"Upgrade", b"CLOSE ,y", b",", b"closed", b"x close"]
)
UPGRADES = st.sampled_from([b"websocket", b"h2c", b"WebSocket/13", b"h2c, websocket", b"", b","])
EXPECTATIONS = st.sampled_from([b"100-continue", b"100-Continue", b", 100-continue,", b""])
EXTENSIONS = st.sampled_from([b"", b"", b"", b";a", b";a=b", b';a="b;\t\\"c"', b";a;b=c"])
DAMAGES = st.one_of(
    st.sampled_from([b"", b" ", b"\t", b"\n", b"\r", b"\r\n", b"\r\n ", b"\x00", b"\x0b", b"\x7f", b"\xff"]),
    st.sampled_from([b":", b",", b";", b'"', b"#", b"@", b"/", b"[", b"+", b"-", b"0", b"5", b"a", b"0x"]),
    st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b" HTTP/1.1\r\n", b"HTTP/1.0", b"CONNECT ", b"Host", b"TE", b", 5"]),
    st.sampled_from([b"chunked", b", chunked", b"gzip, ", b"identity", b"Transfer-Encoding"]),
    st.sampled_from([b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Host: b", b"Upgrade: websocket"]).map(
        b"\r\n%b\r\n".__mod__
    ),
    st.sampled_from([b"Connection: close, Upgrade", b"Proxy-Connection: close", b"expect: 100-continue"]).map(
        b"\r\n%b\r\n".__mod__
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A request as the client sends it, and what it means."""

    sent: bytes
    head_bytes: bytes
    method: bytes
    target: bytes
    version: bytes
    host: bytes
    headers: Headers
    body: bytes
    chunked: bool


@st.composite
def sound_requests(draw: st.DrawFn) -> Sound:
    """Draw one request; about a third each without body, with Content-Length and chunked."""
    method = draw(METHODS)
    path = draw(st.text(PATH_BYTES.decode(), max_size=8))
    target = draw(st.one_of(st.just(b"/" + path.encode()), ABSOLUTES))
    if method == b"OPTIONS" and draw(st.booleans()):
        target = b"*"
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    version = b"1.1" if framing == "chunked" else draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    host = draw(HOSTS)
    fields = [(b"Host", host), *draw(_other_fields())]
    skipped = draw(st.sampled_from([b"", b"", b"\r\n", b"\r\n\r\n"]))
    body = raw_body = b""
    if framing == "length":
        body = raw_body = draw(st.binary(max_size=12))
        fields.append((b"content-length", draw(st.sampled_from([b"%d", b"0%d"])) % len(body)))
    elif framing == "chunked":
        fields.append((b"Transfer-ENCODING", draw(st.sampled_from([b"chunked", b"Chunked"]))))
        body, raw_body = draw(_chunked_bodies())
    head = b"%b %b HTTP/%b\r\n" % (method, target, version)
    headers = tuple(draw(st.permutations(fields)))
    head += b"".join(b"%b:%b%b%b\r\n" % (name, draw(OWS), value, draw(OWS)) for name, value in headers) + b"\r\n"
    return Sound(
        sent=skipped + head + raw_body,
        head_bytes=head,
        method=method,
        target=target,
        version=version,
        host=host,
        headers=headers,
        body=body,
        chunked=framing == "chunked",
    )


@st.composite
def damaged_streams(draw: st.DrawFn) -> bytes:
    """Draw some sound requests in a row, with up to three pieces cut out or put in."""
    stream = b"".join(sound.sent for sound in draw(st.lists(sound_requests(), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(stream)))
        stream = stream[:place] + draw(DAMAGES) + stream[place + draw(st.integers(0, 2)) :]
    return stream


@st.composite
def _other_fields(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    values = st.lists(st.sampled_from(VALUE_BYTES), max_size=6).map(lambda value: bytes(value).strip(b" \t"))
    fields = draw(st.lists(st.tuples(NAMES, values), max_size=4))
    if draw(st.booleans()):
        fields.append((b"Connection", draw(OPTIONS)))
    if draw(st.booleans()):
        fields.append((draw(st.sampled_from([b"CONNECTION", b"Proxy-Connection"])), draw(OPTIONS)))
    fields.extend((b"Upgrade", upgrade) for upgrade in draw(st.lists(UPGRADES, max_size=2)))
    fields.extend((b"expect", expectation) for expectation in draw(st.lists(EXPECTATIONS, max_size=2)))
    return fields


@st.composite
def _chunked_bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw (decoded, sent)."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3))
    sized = b"".join(b"%b%x%b\r\n%b\r\n" % (draw(_ZEROS), len(c), draw(EXTENSIONS), c) for c in chunks)
    trailers = b"".join(b"%b: late\r\n" % name for name in draw(st.lists(NAMES, max_size=2)))
    return b"".join(chunks), sized + b"%b0%b\r\n%b\r\n" % (draw(_ZEROS), draw(EXTENSIONS), trailers)


_ZEROS = st.sampled_from([b"", b"", b"000"])
