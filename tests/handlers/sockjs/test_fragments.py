"""A message in fragments, put together within a bound."""

from __future__ import annotations

from websockets.frames import Frame, Opcode

from handlers.sockjs.fragments import Fragments


def test_a_message_is_whole_with_its_last_fragment() -> None:
    fragments = Fragments(10)
    for _ in range(2):
        assert fragments.take(Frame(Opcode.TEXT, b"a\xc3", fin=False)) is None
        assert fragments.take(Frame(Opcode.CONT, b"", fin=False)) is None
        assert fragments.take(Frame(Opcode.CONT, b"\xa9")) == '"aé"'.encode()


def test_one_that_is_too_long_is_not_kept_and_the_next_is() -> None:
    fragments = Fragments(4)
    last = Frame(Opcode.CONT, b"c")
    assert fragments.take(Frame(Opcode.TEXT, b"aaa", fin=False)) is None
    assert fragments.take(Frame(Opcode.CONT, b"bbb", fin=False)) is None
    assert fragments.take(last) is last
    assert fragments.take(Frame(Opcode.TEXT, b"ok", fin=False)) is None
    assert fragments.take(Frame(Opcode.CONT, b"!")) == b'"ok!"'


def test_one_that_is_no_text_is_none() -> None:
    frame = Frame(Opcode.CONT, b"\xff")
    fragments = Fragments(4)
    assert fragments.take(Frame(Opcode.BINARY, b"", fin=False)) is None
    assert fragments.take(frame) is frame
