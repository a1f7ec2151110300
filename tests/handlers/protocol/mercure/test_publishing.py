"""What publishers ask for, in forms, and the texts they are refused with (reference 1.7, 1.8, 2.1, 3)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import HubRefusal
from handlers.hub.settings import HubSettings
from handlers.protocol.mercure.publishing import PublishRequest, is_2019, is_form, make_update, read_publication
from handlers.protocol.mercure.target import target_topic
from handlers.protocol.mercure.update import Update
from handlers.protocol.names import EventId, Topic

FORM = b"application/x-www-form-urlencoded"
HUB = "/.well-known/mercure"
STRICT = HubSettings(protocols=("1.0",))
BOTH = HubSettings()
RELAXED = HubSettings(relaxed_ids=True)
M19 = HubSettings(protocols=("2019",))
ALL = HubSettings(protocols=("1.0", "8", "7", "2019"))

MISSING = 'Missing "topic" parameter'
BAD_ID = (
    '"id" field contains a forbidden control character or invalid UTF-8, starts with "#", '
    'or is the reserved value "earliest"'
)
BAD_TYPE = '"type" field contains a forbidden control character or invalid UTF-8'


def read(body: bytes, settings: HubSettings = STRICT, content_type: bytes | None = FORM) -> PublishRequest:
    (request,) = read_publication(content_type, body, settings)
    return request


def made(body: bytes, settings: HubSettings = STRICT, *, legacy_token: bool = False, path: str = HUB) -> Update:
    """Publish as the publishers' door does, but for the token's scope."""
    request = read(body, settings)
    in_2019 = is_2019(request, settings, is_old_path=False)
    return make_update(request, hub_path=path, settings=settings, legacy_token=legacy_token, is_2019=in_2019)


def published(**fields: Any) -> Update:
    return Update(**{"topics": (Topic("a"),), "id": EventId(""), **fields})


def refusal_of_reading(body: bytes, settings: HubSettings = STRICT, content_type: bytes | None = FORM) -> str:
    with pytest.raises(HubRefusal) as caught:
        read_publication(content_type, body, settings)
    assert caught.value.status == 400
    return caught.value.text


def refusal_of_making(body: bytes, settings: HubSettings = STRICT, *, legacy_token: bool = False) -> str:
    """Return the text of what is refused only after the token's scope was found good (row 10 of 1.7)."""
    request = read(body, settings)
    in_2019 = is_2019(request, settings, is_old_path=False)
    with pytest.raises(HubRefusal) as caught:
        make_update(request, hub_path=HUB, settings=settings, legacy_token=legacy_token, is_2019=in_2019)
    assert caught.value.status == 400
    return caught.value.text


# -- what is published ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "update"),
    [
        pytest.param(b"topic=a", published(), id="a topic is enough"),
        pytest.param(b"topic=a&topic=b&topic=a", published(topics=("a", "b", "a")), id="topics in order"),
        pytest.param(b"topic=a&data=", published(), id="empty data"),
        pytest.param(b"topic=a&data=x%0d%0a%00%c2%85", published(data="x\r\n\0\x85"), id="any text is data"),
        pytest.param(
            b"topic=a&id=my+id+%C3%A9%22x", published(id='my id \N{LATIN SMALL LETTER E WITH ACUTE}"x'), id="P02"
        ),
        pytest.param(b"topic=a&id=", published(), id="P03"),
        pytest.param(b"topic=a&id=Earliest", published(id="Earliest"), id="P04 another letter case"),
        pytest.param(b"topic=a&id=a%23", published(id="a#"), id="P04 not at its beginning"),
        pytest.param(b"topic=a&id=" + b"a" * 4096, published(id="a" * 4096), id="the longest id"),
        pytest.param(b"topic=a&type=Mercure", published(type="Mercure"), id="P05"),
        pytest.param(b"topic=a&type=", published(), id="empty type"),
        pytest.param(b"topic=a&retry=", published(), id="P06 empty"),
        pytest.param(b"topic=a&retry=0", published(), id="P06 zero"),
        pytest.param(b"topic=a&retry=007", published(retry=7), id="P06 leading zeros"),
        pytest.param(b"topic=a&retry=18446744073709551615", published(retry=2**64 - 1), id="P06 most"),
        pytest.param(b"topic=a&private=", published(private=True), id="P20 empty"),
        pytest.param(b"topic=a&private=off", published(private=True), id="P20 off"),
        pytest.param(b"topic=a&private=0", published(private=True), id="P20 zero"),
        pytest.param(b"topic=a&private", published(private=True), id="P20 bare"),
        pytest.param(b"topic=a&foo=1&Private=1&target=t", published(), id="P21"),
        pytest.param(
            b"topic=a&data=1&data=2&id=3&id=4&type=5&type=6&retry=7&retry=x",
            published(data="1", id="3", type="5", retry=7),
            id="P22",
        ),
        pytest.param(b"topic=a&id=&id=4", published(), id="P22 the first, though empty"),
        pytest.param(b"topic=" + b"&topic=".join([b"a"] * 1000), published(topics=("a",) * 1000), id="P14 1000"),
        pytest.param("topic=\U0001f4a9+\xa0\u2028\u3000".encode(),
                     published(topics=("\U0001f4a9 \xa0\u2028\u3000",)), id="P09 blanks and emoji"),
    ],
)  # fmt: skip
def test_a_form_makes_an_update(body: bytes, update: Update) -> None:
    assert made(body) == update
    assert made(body, BOTH, legacy_token=True) == update


# -- before the scope is looked at ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        pytest.param(FORM, b"", MISSING, id="P12 empty"),
        pytest.param(FORM, b"data=x&Topic=a", MISSING, id="P12 other fields"),
        pytest.param(None, b"topic=a", MISSING, id="P12 no Content-Type"),
        pytest.param(b"", b"topic=a", MISSING, id="P12 empty Content-Type"),
        pytest.param(b"multipart/form-data; boundary=x", b"topic=a", MISSING, id="P12 multipart"),
        pytest.param(b"application/json", b'{"topic":"a"}', MISSING, id="P12 JSON"),
        pytest.param(b"text", b"topic=a", MISSING, id="P12 a type without a slash"),
        pytest.param(b"application/", b"topic=a", "Bad Request", id="P11 no subtype"),
        pytest.param(b"a/b/c", b"topic=a", "Bad Request", id="P11 two slashes"),
        pytest.param(b";x=y", b"topic=a", "Bad Request", id="P11 no type"),
        pytest.param(FORM + b"; charset", b"topic=a", "Bad Request", id="P11 a parameter without a value"),
        pytest.param(FORM + b'; charset="a', b"topic=a", "Bad Request", id="P11 an open quote"),
        pytest.param(FORM + b"\xff", b"topic=a", "Bad Request", id="P11 not ASCII"),
        pytest.param(FORM, b"topic=a&data=%zz", "Bad Request", id="P11 escape"),
        pytest.param(FORM, b"topic=a;data=b", "Bad Request", id="P11 semicolon"),
        pytest.param(FORM, b"topic=a&" * 1001, "too many topics in update", id="P14 1001"),
        *[
            pytest.param(FORM, b"topic=ok&topic=a" + escaped + b"b&retry=x",
                         f'"a{quoted}b": topic contains a forbidden control character or invalid UTF-8',
                         id=f"P09 {quoted}")
            for escaped, quoted in [(b"%00", "\\x00"), (b"%0a", "\\n"), (b"%7f", "\\x7f"), (b"%c2%85", "\\u0085"),
                                    (b"%e2%80%8b", "\\u200b"), (b"%ff", "\\xff"), (b"%22%1f", '\\"\\x1f')]
        ],
        *[
            pytest.param(FORM, b"topic=*&retry=" + value, 'Invalid "retry" parameter', id=f"P06 {value!r}")
            for value in (b"abc", b"-1", b"%2b5", b"+5", b"%205", b"1.5", b"18446744073709551616", b"9" * 5000)
        ],
    ],
)  # fmt: skip
def test_rows_5_to_9_are_refused_before_the_scope_is_known(content_type: bytes | None, body: bytes, text: str) -> None:
    assert refusal_of_reading(body, content_type=content_type) == text


@pytest.mark.parametrize(
    ("content_type", "is_one"),
    [
        (FORM, True),
        (FORM.upper(), True),
        (b" " + FORM + b" ; charset=utf-8", True),
        (FORM + b';a="\\"; b";', True),
        (b"application/json", False),
        (b"", False),
        (FORM + b"; a", False),
        (None, False),
    ],
)
def test_a_form_is_told_by_its_content_type(content_type: bytes | None, is_one: bool) -> None:
    assert is_form(content_type) is is_one
    if is_one:
        assert read(b"topic=a", content_type=content_type).topics == ("a",)


# -- after the scope was found good ---------------------------------------------------------------------------------


def reserved(topic: str) -> str:
    return f'"{topic}": topic value resolves into the reserved "/.well-known/mercure" namespace'


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        pytest.param(b"topic=", reserved(""), id="P08 empty"),
        pytest.param(b"topic=a&topic=mercure&id=%23", reserved("mercure"), id="P08 alternate"),
        pytest.param(b"topic=https://other/.well-known/mercure/x", reserved("https://other/.well-known/mercure/x"),
                     id="P08 elsewhere"),
        pytest.param(b"topic=a&topic=*&id=%23",
                     '"*": topic value "*" is reserved for the wildcard matcher and cannot be published', id="P07"),
        *[
            pytest.param(b"topic=a&type=mercure&id=" + value, BAD_ID, id=f"P04 {value!r}")
            for value in (b"%231", b"earliest", b"a%0ab", b"a%00", b"%e2%80%8b", b"%ff")
        ],
        pytest.param(b"topic=a&id=" + b"a" * 4097, '"id" field too long (max 4096 bytes)', id="B19"),
        pytest.param(b"topic=a&id=" + b"%c3%a9" * 2049, '"id" field too long (max 4096 bytes)', id="B19 bytes"),
        *[
            pytest.param(b"topic=a&data=%ff&type=" + value, BAD_TYPE, id=f"P05 {value!r}")
            for value in (b"a%0ab", b"a%00", b"%e2%80%8b", b"%ff")
        ],
        pytest.param(b"topic=a&data=%ff&type=mercure", '"type" field uses the reserved value "mercure"', id="P05"),
        pytest.param(b"topic=a&data=x%ff", '"data" field is not valid UTF-8', id="P10"),
    ],
)  # fmt: skip
def test_rows_11_to_16_are_refused_after_the_scope_is_known(fields: bytes, text: str) -> None:
    assert refusal_of_making(fields) == text
    assert refusal_of_making(fields, BOTH, legacy_token=True) == text


def test_p08_the_reserved_topics_are_those_of_the_hubs_own_path() -> None:
    assert made(b"topic=/.well-known/mercure/x", path="/hub").topics == ("/.well-known/mercure/x",)
    with pytest.raises(HubRefusal, match='resolves into the reserved "/hub" namespace'):
        made(b"topic=/hub/x", path="/hub")


def test_older_publishers_may_use_fragments_as_ids_if_the_operator_says_so() -> None:
    body = b"topic=a&id=%231"
    assert made(body, RELAXED, legacy_token=True).id == "#1"
    assert refusal_of_making(body, RELAXED) == BAD_ID
    assert refusal_of_making(body, BOTH, legacy_token=True) == BAD_ID
    assert refusal_of_making(b"topic=a&id=%23%0a", RELAXED, legacy_token=True) == BAD_ID


# -- 2019 -----------------------------------------------------------------------------------------------------------


def test_targets_make_an_update_private_and_are_topics_of_it() -> None:
    update = made(b"topic=a&data=x&target=u&target=https://e.com/g", M19)
    assert update.private
    assert update.topics == ("a", target_topic("u"), target_topic("https://e.com/g"))
    assert made(b"topic=a&data=x", M19) == published(data="x")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b"retry=x&target=%00", MISSING, id="topic first"),
        pytest.param(b"topic=a&retry=x&target=%00", 'Missing "data" parameter', id="P25 then data"),
        pytest.param(b"topic=a&data=&target=u", 'Missing "data" parameter', id="P25 empty"),
        pytest.param(
            b"topic=a&data=x&retry=x&target=%00",
            '"\\x00": target contains a forbidden control character or invalid UTF-8',
            id="then targets",
        ),
        pytest.param(b"topic=a&data=x" + b"&target=u" * 1001, "too many targets in update", id="1001 targets"),
        pytest.param(b"topic=%00https://[/u&data=x", '"\\x00https://[/u": topic contains a forbidden control '
                     "character or invalid UTF-8", id="nobody names a target"),
    ],
)  # fmt: skip
def test_2019_looks_at_topics_then_data_then_targets(body: bytes, text: str) -> None:
    assert refusal_of_reading(body, M19) == text


def test_2019_looks_at_retry_last() -> None:
    assert refusal_of_making(b"topic=a&data=x&target=u&retry=x", M19) == 'Invalid "retry" parameter'


@pytest.mark.parametrize(
    ("settings", "targets", "is_old_path", "is_it"),
    [
        (STRICT, (), True, False),
        (BOTH, ("u",), True, False),
        (M19, (), False, True),
        (ALL, (), False, False),
        (ALL, ("u",), False, True),
        (ALL, (), True, True),
    ],
)
def test_2019_is_told_by_path_by_targets_or_by_nothing_else_being_spoken(
    settings: HubSettings, targets: tuple[str, ...], is_old_path: bool, is_it: bool
) -> None:
    request = PublishRequest(topics=(Topic("a"),), targets=targets)
    assert is_2019(request, settings, is_old_path=is_old_path) is is_it


def test_p25_what_comes_to_the_old_path_must_have_data() -> None:
    assert read_publication(FORM, b"topic=a", ALL)[0].data is None
    with pytest.raises(HubRefusal, match='Missing "data" parameter'):
        read_publication(FORM, b"topic=a", ALL, is_old_path=True)
    with pytest.raises(HubRefusal, match='Missing "data" parameter'):
        make_update(read(b"topic=a", ALL), hub_path=HUB, settings=ALL, legacy_token=True, is_2019=True)


def test_targets_are_never_lost_on_the_way_to_an_update() -> None:
    request = PublishRequest(topics=(Topic("a"),), targets=("u",))
    update = make_update(request, hub_path=HUB, settings=ALL, legacy_token=False, is_2019=False)
    assert (update.private, update.topics) == (True, ("a", target_topic("u")))


FIELDS = st.sampled_from(["topic", "data", "private", "id", "type", "retry", "target", "x"])


@given(
    fields=st.lists(st.tuples(FIELDS, st.text(max_size=4) | st.sampled_from(["*", "#1", "mercure", "5"])), max_size=6),
    settings=st.sampled_from([STRICT, BOTH, RELAXED, M19, ALL]),
)
def test_any_form_makes_an_update_that_can_be_stored_and_sent_or_is_refused(
    fields: list[tuple[str, str]], settings: HubSettings
) -> None:
    body = "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name, value in fields)
    try:
        update = made(body.encode(), settings, legacy_token=True)
    except HubRefusal as refusal:
        refusal.text.encode()
    else:
        for text in (*update.topics, update.id, update.type, update.data):
            text.encode()
        assert not {*"\0\r\n"} & {*update.id, *update.type}
