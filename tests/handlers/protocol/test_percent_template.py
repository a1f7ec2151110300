"""Templates: what stands for a percent sign, whole and in pieces."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.percent_template import OPEN_LIMIT, RESULT_LIMIT, FilterError, Rendering, render


def shown(kind: bytes, argument: bytes | None) -> bytes | None:
    """Stand for `%A` and `%(x)A` with what was understood, and for nothing else."""
    return None if kind != b"A" else b"<none>" if argument is None else b"<%b>" % argument


def rendered(template: bytes) -> bytes:
    return render("test", "'%A'", shown, template)


def in_pieces(*pieces: bytes) -> bytes:
    rendering = Rendering("test", "'%A'", shown)
    return b"".join([rendering.feed(piece) for piece in pieces]) + rendering.end()


TABLE = [
    (b"", b""),
    (b"plain \xff\x00", b"plain \xff\x00"),
    (b"100%%", b"100%"),
    (b"%%A", b"%A"),
    (b"%A", b"<none>"),
    (b"%AA%A", b"<none>A<none>"),
    (b"%()A", b"<>"),
    (b"%(x y)A.", b"<x y>."),
    (b"%(%)A", b"<%>"),
    (b"%((x)A", b"<(x>"),
    (rb"%(a\)b)A", b"<a)b>"),
    (rb"%(a\\)A", b"<a\\>"),
    (rb"%(a\b)A", b"<ab>"),
    (b"%(two\nlines)A", b"<two\nlines>"),
    (b"\xff%(\xff)A\xff", b"\xff<\xff>\xff"),
]

STRAY = [
    (b"%", 0),
    (b"100%", 3),
    (b"%%%", 2),
    (b"%B", 0),
    (b"x%(y)B", 1),
    (b"% A", 0),
    (b"%2", 0),
    (b"%(x", 0),
    (b"%(x)", 0),
    (b"%(x)1", 0),
    (b"%(x\\", 0),
    (b"%(x\\)A", 0),
    (b"%A%(x) A", 2),
]


@pytest.mark.parametrize(("template", "content"), TABLE)
def test_directives_are_replaced(template: bytes, content: bytes) -> None:
    assert rendered(template) == content


@pytest.mark.parametrize(("template", "content"), TABLE)
def test_directives_are_replaced_byte_by_byte(template: bytes, content: bytes) -> None:
    assert in_pieces(*[bytes([byte]) for byte in template]) == content


@pytest.mark.parametrize(("template", "at"), STRAY)
def test_a_percent_sign_that_begins_nothing_is_an_error(template: bytes, at: int) -> None:
    reason = f"test: '%' at byte {at} begins neither '%A' nor '%%'"
    with pytest.raises(FilterError) as whole:
        rendered(template)
    with pytest.raises(FilterError) as pieces:
        in_pieces(*[bytes([byte]) for byte in template])
    assert whole.value.reason == pieces.value.reason == str(whole.value) == reason


def test_a_piece_gives_all_but_a_directive_that_may_go_on() -> None:
    rendering = Rendering("test", "'%A'", shown)
    assert [rendering.feed(piece) for piece in (b"a%", b"%b%", b"(x", b")", b"Ac", b"")] == [
        b"a",
        b"%b",
        b"",
        b"",
        b"<x>c",
        b"",
    ]
    assert rendering.end() == b""


def test_a_directive_that_goes_on_for_too_long_is_an_error() -> None:
    rendering = Rendering("test", "'%A'", shown)
    assert rendering.feed(b"%(" + b"x" * (OPEN_LIMIT - 2)) == b""
    with pytest.raises(FilterError, match=r"^test: '%' at byte 0 begins neither"):
        rendering.feed(b"x")


def test_content_that_grows_past_the_limit_is_an_error() -> None:
    def long(kind: bytes, argument: bytes | None) -> bytes:
        return b"x" * (RESULT_LIMIT // 10)

    assert len(render("test", "", long, b"%A" * 10)) == RESULT_LIMIT
    with pytest.raises(FilterError, match=f"^test: more than {RESULT_LIMIT} bytes of content$"):
        render("test", "", long, b"%A" * 11)


@given(st.lists(st.sampled_from((b"%", b"%%", b"%A", b"%(x)A", b"(", b")", b"\\", b"x", b"A"))), st.data())
def test_pieces_come_to_what_the_whole_comes_to(parts: list[bytes], data: st.DataObject) -> None:
    template = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(template)), max_size=5)))
    pieces = [template[start:end] for start, end in zip([0, *cuts], [*cuts, len(template)], strict=True)]
    try:
        whole = rendered(template)
    except FilterError as error:
        with pytest.raises(FilterError, match=f"^{re.escape(error.reason)}$"):
            in_pieces(*pieces)
    else:
        assert in_pieces(*pieces) == whole
