"""GRIP mode: what becomes of a backend's messages, however they are cut into frames (reference 5.2)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.protocol.ws_frames import Frame, Opcode
from handlers.protocol.ws_grip import Control, Dropped, GripReader, encode_extension, parse_extension

TEXT, BINARY, CONT, PING, PONG, CLOSE = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CONT,
    Opcode.PING,
    Opcode.PONG,
    Opcode.CLOSE,
)
LIMIT = 20
TOO_LONG = Dropped(reason="it is a control message of more than 20 bytes")

Found = Frame | Control | Dropped | None


def reader(prefix: bytes = b"m:") -> GripReader:
    return GripReader(prefix, control_limit=LIMIT)


def unprefixed(prefix: str = "m:") -> Dropped:
    return Dropped(reason=f"it does not begin with '{prefix}'")


def cut(opcode: Opcode, *parts: bytes) -> list[Frame]:
    """Make one message of fragments."""
    last = len(parts) - 1
    return [Frame(CONT if index else opcode, part, index == last) for index, part in enumerate(parts)]


def fed(grip: GripReader, frames: Iterable[Frame]) -> list[Found]:
    return [grip.feed(frame) for frame in frames]


# -- one frame ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "opcode", "data", "found"),
    [
        pytest.param(b"m:", TEXT, b"m:hello", Frame(TEXT, b"hello"), id="prefixed"),
        pytest.param(b"m:", BINARY, b"m:\x00\xff", Frame(BINARY, b"\x00\xff"), id="prefixed bytes"),
        pytest.param(b"m:", TEXT, b"m:", Frame(TEXT, b""), id="nothing but the prefix"),
        pytest.param(b"m:", TEXT, b"m:m:x", Frame(TEXT, b"m:x"), id="one prefix goes, not two"),
        pytest.param(b"m:", TEXT, b"m:c:{}", Frame(TEXT, b"c:{}"), id="control behind a prefix is none"),
        pytest.param(b"m:", TEXT, b"hello", unprefixed(), id="unprefixed"),
        pytest.param(b"m:", TEXT, b"M:hello", unprefixed(), id="letter case counts"),
        pytest.param(b"m:", TEXT, b"m", unprefixed(), id="half a prefix"),
        pytest.param(b"m:", TEXT, b"", unprefixed(), id="empty"),
        pytest.param(b"m:", TEXT, b"c", unprefixed(), id="half of control"),
        pytest.param(b"m:", TEXT, b"c:{}", Control(data=b"{}"), id="control"),
        pytest.param(b"m:", TEXT, b"c:", Control(data=b""), id="empty control"),
        pytest.param(b"m:", BINARY, b"c:{}", unprefixed(), id="bytes are never control"),
        pytest.param(b"m:", TEXT, b"c:" + b"x" * 20, Control(data=b"x" * 20), id="control at its limit"),
        pytest.param(b"m:", TEXT, b"c:" + b"x" * 21, TOO_LONG, id="control past its limit"),
        pytest.param(b"", TEXT, b"hello", Frame(TEXT, b"hello"), id="no prefix"),
        pytest.param(b"", TEXT, b"", Frame(TEXT, b""), id="no prefix, empty"),
        pytest.param(b"", TEXT, b"c", Frame(TEXT, b"c"), id="no prefix, half of control"),
        pytest.param(b"", TEXT, b"m:still", Frame(TEXT, b"m:still"), id="no prefix, the usual one is text"),
        pytest.param(b"", TEXT, b"c:hello", Control(data=b"hello"), id="no prefix, control"),
        pytest.param(b"", BINARY, b"c:hello", Frame(BINARY, b"c:hello"), id="no prefix, bytes"),
        pytest.param(b"zz:", TEXT, b"zz:hello", Frame(TEXT, b"hello"), id="another prefix"),
        pytest.param(b"zz:", TEXT, b"m:dropped?", unprefixed("zz:"), id="another prefix, the usual one drops"),
        pytest.param(b"c:", TEXT, b"c:x", Control(data=b"x"), id="control counts before its own prefix"),
        pytest.param(b"c:", BINARY, b"c:x", Frame(BINARY, b"x"), id="bytes with control's prefix"),
        pytest.param(b"c", TEXT, b"cx", Frame(TEXT, b"x"), id="a prefix of control's prefix"),
        pytest.param(
            b"\xff\n", BINARY, b"x", unprefixed("\N{REPLACEMENT CHARACTER}" * 2), id="a prefix that cannot be printed"
        ),
    ],
)
def test_a_whole_message_is_told_by_its_beginning(prefix: bytes, opcode: Opcode, data: bytes, found: Found) -> None:
    assert reader(prefix).feed(Frame(opcode, data)) == found


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("data", [b"", b"m:x", b"c:{}", b"\x03\xe8c:"])
def test_control_frames_pass_unchanged(opcode: Opcode, data: bytes) -> None:
    frame = Frame(opcode, data)
    assert reader().feed(frame) is frame


# -- fragments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "frames", "found"),
    [
        pytest.param(
            b"m:",
            cut(TEXT, b"m:a", b"m:b", b"c:c"),
            [Frame(TEXT, b"a", fin=False), Frame(CONT, b"m:b", fin=False), Frame(CONT, b"c:c")],
            id="the prefix goes from the first frame only",
        ),
        pytest.param(
            b"m:",
            cut(BINARY, b"", b"m", b":", b"", b"x"),
            [None, None, Frame(BINARY, b"", fin=False), Frame(CONT, b"", fin=False), Frame(CONT, b"x")],
            id="a prefix in pieces",
        ),
        pytest.param(b"m:", cut(TEXT, b"m", b":x"), [None, Frame(TEXT, b"x")], id="decided by the last frame"),
        pytest.param(b"m:", cut(TEXT, b"m", b""), [None, unprefixed()], id="over before it is decided"),
        pytest.param(b"m:", cut(TEXT, b"x", b"m:", b"y"), [unprefixed(), None, None], id="dropped, told once"),
        pytest.param(b"m:", cut(TEXT, b"c", b":", b"{", b"}"), [None, None, None, Control(data=b"{}")], id="control"),
        pytest.param(b"m:", cut(TEXT, b"c:", b""), [None, Control(data=b"")], id="empty control"),
        pytest.param(
            b"m:",
            cut(TEXT, b"c:", b"x" * 20, b"y", b"z"),
            [None, None, TOO_LONG, None],
            id="control past its limit, told once",
        ),
        pytest.param(b"", cut(TEXT, b"c", b"x"), [None, Frame(TEXT, b"cx")], id="no prefix, might have been control"),
        pytest.param(
            b"", cut(TEXT, b"c", b""), [None, Frame(TEXT, b"c")], id="no prefix, might have been until the end"
        ),
        pytest.param(b"", cut(TEXT, b"", b"c:x"), [None, Control(data=b"x")], id="no prefix, control"),
        pytest.param(
            b"", cut(BINARY, b"c", b":"), [Frame(BINARY, b"c", fin=False), Frame(CONT, b":")], id="no prefix, bytes"
        ),
        pytest.param(
            b"zz:zz:",
            cut(TEXT, b"zz:", b"zz:", b"x"),
            [None, Frame(TEXT, b"", fin=False), Frame(CONT, b"x")],
            id="long",
        ),
        pytest.param(b"zz:zz:", cut(TEXT, b"zz:", b"x", b"y"), [None, unprefixed("zz:zz:"), None], id="long, dropped"),
        pytest.param(
            b"cc", cut(TEXT, b"c", b"c", b"x"), [None, Frame(TEXT, b"", fin=False), Frame(CONT, b"x")], id="cc"
        ),
    ],
)
def test_a_message_in_fragments_is_told_as_soon_as_it_can_be(
    prefix: bytes, frames: list[Frame], found: list[Found]
) -> None:
    assert fed(reader(prefix), frames) == found


def test_pings_between_fragments_pass_and_change_nothing() -> None:
    grip, ping = reader(), Frame(PING, b"m:")
    held, rest = cut(TEXT, b"c", b":{}")
    assert fed(grip, [held, ping, rest]) == [None, ping, Control(data=b"{}")]
    first, last = cut(TEXT, b"m:a", b"b")
    assert fed(grip, [first, ping, last]) == [Frame(TEXT, b"a", fin=False), ping, Frame(CONT, b"b")]


def test_a_message_knows_nothing_of_those_before_it() -> None:
    grip = reader()
    for frames, last in [
        (cut(TEXT, b"c:", b"x" * 21, b"y"), None),
        (cut(TEXT, b"c:{", b"}"), Control(data=b"{}")),
        (cut(TEXT, b"nothing", b"m:"), None),
        (cut(BINARY, b"m:a", b"b"), Frame(CONT, b"b")),
        (cut(TEXT, b"m", b""), unprefixed()),
        (cut(TEXT, b":x"), unprefixed()),
        (cut(TEXT, b"m:x"), Frame(TEXT, b"x")),
    ]:
        assert fed(grip, frames)[-1] == last


MESSAGES = st.tuples(
    st.sampled_from((TEXT, BINARY)),
    st.builds(bytes.__add__, st.sampled_from((b"", b"m:", b"c:", b"c", b"m", b"zz:", b"cc")), st.binary(max_size=30)),
)
PREFIXES = st.sampled_from((b"m:", b"", b"c", b"cc", b"c:", b"c:x", b"zz:"))


@given(prefix=PREFIXES, messages=st.lists(st.tuples(MESSAGES, st.lists(st.integers(0, 33), max_size=6)), max_size=4))
@example(prefix=b"", messages=[((TEXT, b"c:"), [1, 1, 2])])
def test_fragments_come_to_the_same_as_the_whole(
    prefix: bytes, messages: list[tuple[tuple[Opcode, bytes], list[int]]]
) -> None:
    grip = reader(prefix)
    for (opcode, data), places in messages:
        whole = reader(prefix).feed(Frame(opcode, data))
        bounds = [0, *sorted(min(place, len(data)) for place in places), len(data)]
        parts = [data[start:end] for start, end in pairwise(bounds)]
        assert joined(fed(grip, cut(opcode, *parts))) == [whole]


def joined(found: list[Found]) -> list[Found]:
    """Return what was found, the frames of a message put together."""
    frames = [each for each in found if isinstance(each, Frame)]
    others: list[Found] = [each for each in found if each is not None and not isinstance(each, Frame)]
    if not frames:
        return others
    # The opcodes are those of one message, and only its last frame ends it.
    assert [frame.opcode is CONT for frame in frames] == [False, *[True] * (len(frames) - 1)]
    assert [frame.fin for frame in frames] == [*[False] * (len(frames) - 1), True]
    return [Frame(frames[0].opcode, b"".join(frame.data for frame in frames)), *others]


# -- the extension --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "prefix"),
    [
        ([], None),
        ([b""], None),
        ([b"permessage-deflate"], None),
        ([b"gripper; message-prefix=a"], None),
        ([b"x; y=grip"], None),
        ([b'x; y="a, grip"'], None),
        ([b"grip"], b"m:"),
        ([b"GRIP"], b"m:"),
        ([b"grip; other=1"], b"m:"),
        ([b'grip; message-prefix=""'], b""),
        ([b"grip; message-prefix="], b""),
        ([b"grip; message-prefix"], b""),
        ([b"grip; message-prefix=zz:"], b"zz:"),
        ([b'grip; message-prefix="zz:"'], b"zz:"),
        ([b'grip ;Message-Prefix = "a, \\"b\\"; "'], b'a, "b"; '),
        ([b"grip; message-prefix=\xff"], b"\xff"),
        ([b"permessage-deflate; client_max_window_bits, grip; message-prefix=a"], b"a"),
        ([b"permessage-deflate", b"x, grip"], b"m:"),
        ([b"grip; message-prefix=a, grip; message-prefix=b", b"grip"], b"a"),
    ],
)
def test_the_extension_tells_the_prefix(values: list[bytes], prefix: bytes | None) -> None:
    assert parse_extension(values) == prefix


@pytest.mark.parametrize(
    ("prefix", "value"),
    [
        (b"m:", b"grip; message-prefix=m:"),
        (b"", b'grip; message-prefix=""'),
        (b"zz:", b"grip; message-prefix=zz:"),
        (b'a"; ', b'grip; message-prefix="a\\"; "'),
    ],
)
def test_a_prefix_makes_the_extension(prefix: bytes, value: bytes) -> None:
    assert encode_extension(prefix) == value


@given(st.binary())
def test_an_encoded_extension_parses_back(prefix: bytes) -> None:
    assert parse_extension([b"x; y=1, " + encode_extension(prefix)]) == prefix


@given(st.lists(st.binary() | st.text('grip; message-prefix=",\\').map(str.encode)))
def test_any_values_give_a_prefix_or_none(values: list[bytes]) -> None:
    assert isinstance(parse_extension(values), bytes | None)
