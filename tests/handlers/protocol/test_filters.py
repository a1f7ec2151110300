"""Filters at delivery: who gets an item, and with what content (reference 6.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.filters import (
    DELIVERY_FILTERS,
    HTTP_FILTERS,
    IN_TURN,
    OBEYED,
    apply_content,
    needs_look,
    passes,
)
from handlers.protocol.percent_template import RESULT_LIMIT, FilterError
from handlers.protocol.subscribing import CONTENT_FILTERS

VAR_SUBST = ("var-subst",)
ALL_DELIVERY = ("skip-self", "skip-users", "require-sub")


def nowhere(name: str) -> str | None:
    """Of a session that has no ids."""
    return None


def goes_through(
    *filters: str, user: str | None = "alice", item_meta: Mapping[str, str], channels: tuple[str, ...] = ()
) -> bool:
    meta = {} if user is None else {"user": user}
    return passes(filters, meta=meta, item_meta=item_meta, is_subscribed=lambda channel: channel in channels)


# -- which filters there are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "needed"),
    [
        ((), False),
        (("skip-self",), True),
        (("skip-users",), True),
        (("require-sub",), True),
        (("var-subst",), True),
        (("build-id",), True),
        (("http-check",), True),
        (("http-modify",), True),
        ((IN_TURN,), True),
        (("Skip-Self", "Http-Check", ""), False),
        (("nope", "skip-self"), True),
    ],
)
def test_items_are_looked_at_for_filters_with_an_effect(filters: tuple[str, ...], needed: bool) -> None:
    assert needs_look(filters) is needed


def test_a_filter_drops_or_changes_and_never_both() -> None:
    assert DELIVERY_FILTERS.isdisjoint(CONTENT_FILTERS)
    assert OBEYED <= DELIVERY_FILTERS | CONTENT_FILTERS | HTTP_FILTERS


# -- delivery -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "item_meta", "through"),
    [
        pytest.param("alice", {"sender": "alice"}, False, id="the sender"),
        pytest.param("alice", {"sender": "bob"}, True, id="somebody else"),
        pytest.param("alice", {"sender": "Alice"}, True, id="letter case counts"),
        pytest.param("alice", {}, True, id="no sender"),
        pytest.param("", {"sender": ""}, True, id="nobody sent to nobody"),
        pytest.param(None, {"sender": "alice"}, True, id="no user"),
        pytest.param(None, {}, True, id="neither"),
        pytest.param("alice", {"skip_users": "alice", "require_sub": "a"}, True, id="other filters' meta"),
    ],
)
def test_skip_self_drops_what_the_user_sent(user: str | None, item_meta: dict[str, str], through: bool) -> None:
    assert goes_through("skip-self", user=user, item_meta=item_meta) is through


@pytest.mark.parametrize(
    ("user", "skip_users", "through"),
    [
        ("alice", "alice", False),
        ("alice", "bob, alice ,carol", False),
        ("alice", "bob,\talice", False),
        ("alice", "bob,carol", True),
        ("alice", "alice bob", True),
        ("alice", "malice", True),
        ("alice", "", True),
        ("", "", True),
        ("", "a,,b", True),
        (None, "alice", True),
    ],
)
def test_skip_users_drops_for_the_users_listed(user: str | None, skip_users: str, through: bool) -> None:
    assert goes_through("skip-users", user=user, item_meta={"skip_users": skip_users}) is through


@pytest.mark.parametrize(
    ("item_meta", "channels", "through"),
    [
        ({"require_sub": "a"}, ("a", "b"), True),
        ({"require_sub": "a"}, ("b",), False),
        ({"require_sub": "a"}, (), False),
        ({"require_sub": ""}, (), True),
        ({}, (), True),
    ],
)
def test_require_sub_drops_without_the_other_channel(
    item_meta: dict[str, str], channels: tuple[str, ...], through: bool
) -> None:
    assert goes_through("require-sub", item_meta=item_meta, channels=channels) is through


@pytest.mark.parametrize("filters", [(), ("nope",), ("Skip-Self",), ("build-id", "var-subst", "http-check")])
def test_other_filters_drop_nothing(filters: tuple[str, ...]) -> None:
    item_meta = {"sender": "alice", "skip_users": "alice", "require_sub": "a"}
    assert goes_through(*filters, item_meta=item_meta)


@given(
    filters=st.lists(st.sampled_from((*ALL_DELIVERY, "nope", "var-subst")), max_size=5).map(tuple),
    user=st.none() | st.sampled_from(("", "alice", "bob")),
    item_meta=st.dictionaries(
        st.sampled_from(("sender", "skip_users", "require_sub")), st.sampled_from(("", "alice", "bob,alice", "a"))
    ),
    channels=st.sampled_from(((), ("a",))),
)
def test_an_item_passes_a_list_of_filters_if_it_passes_each(
    filters: tuple[str, ...], user: str | None, item_meta: dict[str, str], channels: tuple[str, ...]
) -> None:
    alone = [goes_through(name, user=user, item_meta=item_meta, channels=channels) for name in filters]
    assert goes_through(*filters, user=user, item_meta=item_meta, channels=channels) is all(alone)


# -- content --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "content"),
    [
        (b"", b""),
        (b"plain \xff\x00", b"plain \xff\x00"),
        (b"hi %(user)s %(n)s 100%%\n", 'hi al"ice é 5 100%\n'.encode()),
        (b"%(n)s%(n)s", b"55"),
        (b"%%(n)s", b"%(n)s"),
        (b"%%%(n)s%%", b"%5%"),
        (b"[%(empty)s]", b"[]"),
        (b"%()s", b"no name"),
        (b"%(template)s", b"%(n)s"),
        (rb"%(a\)b)s", b"bracket"),
        (rb"%(a\\)s", b"backslash"),
        (rb"%(\n)s", b"5"),
        ("%(é)s".encode(), b"accent"),
        (b"\xff%(n)s\xff", b"\xff5\xff"),
        (b"%(line\nbreak)s", b"two lines"),
        (b"%(line\\\nbreak)s", b"two lines"),
    ],
)
def test_var_subst_fills_in_the_sessions_meta(template: bytes, content: bytes) -> None:
    meta = {
        "user": 'al"ice é',
        "n": "5",
        "empty": "",
        "": "no name",
        "template": "%(n)s",
        "a)b": "bracket",
        "a\\": "backslash",
        "é": "accent",
        "line\nbreak": "two lines",
    }
    assert apply_content(VAR_SUBST, template, meta=meta, id_on=nowhere) == content


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (b"%(nope)s", "var-subst: no meta 'nope'"),
        (b"%(a\nb)s", "var-subst: no meta 'a\N{REPLACEMENT CHARACTER}b'"),
        (b"%(\xff)s", "var-subst: no meta '\N{REPLACEMENT CHARACTER}'"),
        (b"100%", "var-subst: '%' at byte 3 begins neither '%(name)s' nor '%%'"),
        (b"%%%", "var-subst: '%' at byte 2 begins neither '%(name)s' nor '%%'"),
        (b"%s", "var-subst: '%' at byte 0 begins neither '%(name)s' nor '%%'"),
        (b"%I", "var-subst: '%' at byte 0 begins neither '%(name)s' nor '%%'"),
        (b"%(n)", "var-subst: '%' at byte 0 begins neither '%(name)s' nor '%%'"),
        (b"%(n)d", "var-subst: '%' at byte 0 begins neither '%(name)s' nor '%%'"),
        (b"%(n)s %(n", "var-subst: '%' at byte 6 begins neither '%(name)s' nor '%%'"),
        (b"%(n\\)s", "var-subst: '%' at byte 0 begins neither '%(name)s' nor '%%'"),
        (b"%(n\\", "var-subst: '%' at byte 0 begins neither '%(name)s' nor '%%'"),
        (b"%(bytes)s", "var-subst: meta 'bytes' is not UTF-8"),
    ],
)
def test_a_template_that_does_not_fit_is_an_error(template: bytes, reason: str) -> None:
    with pytest.raises(FilterError) as caught:
        apply_content(VAR_SUBST, template, meta={"n": "5", "bytes": "\udcff"}, id_on=nowhere)
    assert str(caught.value) == caught.value.reason == reason


@pytest.mark.parametrize("filters", [(), ("skip-self", "nope", "http-check")])
def test_without_content_filters_content_stays_as_it_is(filters: tuple[str, ...]) -> None:
    assert apply_content(filters, b"%I %(nope)s 100%", meta={}, id_on=nowhere) == b"%I %(nope)s 100%"


def test_a_filter_named_twice_runs_twice() -> None:
    assert (
        apply_content(
            ("var-subst", "skip-self", "var-subst"), b"%(t)s %%%%", meta={"t": "%(n)s", "n": "5"}, id_on=nowhere
        )
        == b"5 %"
    )


@pytest.mark.parametrize(
    ("filters", "content"),
    [
        (("build-id",), b"7 %s"),
        (("var-subst", "build-id"), b"7 five"),
        (("skip-self", "build-id"), b"7 %s"),
    ],
)
def test_build_id_takes_its_turn_among_content_filters(filters: tuple[str, ...], content: bytes) -> None:
    meta = {"id_format": "%(room)s", "n": "five"}
    template = b"%%I %(n)s" if "var-subst" in filters else b"%I %%s"
    assert apply_content(filters, template, meta=meta, id_on={"room": "7"}.get) == content


def test_content_that_grows_past_the_limit_is_an_error() -> None:
    meta = {"a": "x" * (RESULT_LIMIT // 10)}
    assert len(apply_content(VAR_SUBST, b"%(a)s" * 10, meta=meta, id_on=nowhere)) == RESULT_LIMIT
    with pytest.raises(FilterError, match=f"^var-subst: more than {RESULT_LIMIT} bytes of content$"):
        apply_content(VAR_SUBST, b"%(a)s" * 11, meta=meta, id_on=nowhere)


def test_content_that_was_longer_to_begin_with_may_stay_so() -> None:
    content = b"x" * (RESULT_LIMIT + 1)
    assert apply_content(VAR_SUBST, content + b"%%", meta={}, id_on=nowhere) == content + b"%"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("template", [b"%(" * 500_000, b"%(" + b"\\a" * 500_000, b"%()" * 500_000])
def test_a_long_template_that_never_closes_is_soon_refused(template: bytes) -> None:
    with pytest.raises(FilterError):
        apply_content(VAR_SUBST, template, meta={}, id_on=nowhere)


def directive(name: str) -> bytes:
    return b"%%(%b)s" % re.sub(r"([\\)])", r"\\\1", name).encode()


@given(st.binary(), st.dictionaries(st.text(), st.text()))
def test_content_with_its_percent_signs_doubled_comes_out_as_it_was(content: bytes, meta: dict[str, str]) -> None:
    assert apply_content(VAR_SUBST, content.replace(b"%", b"%%"), meta=meta, id_on=nowhere) == content


@given(st.lists(st.tuples(st.binary(max_size=10), st.text(st.sampled_from("a)(\\%s é\n"))), max_size=5), st.data())
def test_any_names_and_any_text_between_them_come_out(pieces: list[tuple[bytes, str]], data: st.DataObject) -> None:
    meta = {name: data.draw(st.text()) for _, name in pieces}
    template = b"".join(text.replace(b"%", b"%%") + directive(name) for text, name in pieces)
    assert apply_content(VAR_SUBST, template, meta=meta, id_on=nowhere) == b"".join(
        text + meta[name].encode() for text, name in pieces
    )


@given(
    st.text("%()s\\ab\n").map(str.encode) | st.binary(),
    st.dictionaries(st.sampled_from(("", "a", "b", "ab", "a)")), st.text("%()sé")),
)
def test_any_template_gives_content_or_the_error_and_text_stays_text(template: bytes, meta: dict[str, str]) -> None:
    try:
        content = apply_content(VAR_SUBST, template, meta=meta, id_on=nowhere)
    except FilterError:
        assert b"%" in template
    else:
        assert is_text(content) or not is_text(template)


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
