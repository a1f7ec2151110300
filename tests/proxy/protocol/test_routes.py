from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from proxy.errors import RoutesError
from proxy.protocol.route_line import Section, encode_sections
from proxy.protocol.routes import (
    JsonpMode,
    Proto,
    Route,
    RouteNotice,
    Target,
    TargetKind,
    encode_route,
    parse_line,
    parse_lines,
    parse_routes,
)

BACKEND = Target(kind=TargetKind.HOST, host="b", port=80)
PLAIN = Route(source="routes", line=7, host="*", targets=(BACKEND,))


def read(line: str) -> Route:
    route = parse_line(line, source="routes", line=7)
    assert route is not None
    return route


def texts(*lines: str) -> list[str]:
    return [notice.text for notice in parse_lines(lines, source="routes").notices]


@pytest.mark.parametrize("line", ["", "   ", "\t", "# x", "  # x", "\r\n", "\n"])
def test_a_blank_or_a_comment_is_no_route(line: str) -> None:
    assert parse_line(line, source="routes", line=1) is None


@pytest.mark.parametrize(
    ("condition", "host"),
    [
        ("*", "*"),
        ("example.com", "example.com"),
        ("Example.COM", "example.com"),
        ("[::1]", "::1"),
        ("[FE80::1]", "fe80::1"),
        ('""', ""),
        (",id=x", ""),
    ],
)
def test_a_condition_names_a_host(condition: str, host: str) -> None:
    assert read(f"{condition} b:80").host == host


@pytest.mark.parametrize(
    ("options", "route"),
    [
        ("proto=http", replace(PLAIN, proto=Proto.HTTP)),
        ("proto=ws", replace(PLAIN, proto=Proto.WS)),
        ("ssl=yes", replace(PLAIN, ssl=True)),
        ("ssl=no", replace(PLAIN, ssl=False)),
        ("path_beg=/x", replace(PLAIN, path_beg=b"/x")),
        ("path_beg=/é", replace(PLAIN, path_beg="/é".encode())),
        ("id=x", replace(PLAIN, id="x")),
        ("path_rem=4", replace(PLAIN, path_rem=4)),
        ("path_rem=no", replace(PLAIN, path_rem=0)),
        ("path_rem=-1", replace(PLAIN, path_rem=0)),
        ("path_rem=٣", replace(PLAIN, path_rem=0)),
        ("path_beg=/jj/,replace_beg=/w/", replace(PLAIN, path_beg=b"/jj/", path_rem=4, replace_beg=b"/w/")),
        ("replace_beg=/w/,path_beg=/jj/", replace(PLAIN, path_beg=b"/jj/", path_rem=4, replace_beg=b"/w/")),
        ("path_rem=1,path_beg=/jj/,replace_beg=/w/", replace(PLAIN, path_beg=b"/jj/", path_rem=4, replace_beg=b"/w/")),
        ("path_beg=/jj,replace_beg=", replace(PLAIN, path_beg=b"/jj", path_rem=3)),
        ("as_host=h", replace(PLAIN, as_host="h")),
        ("as_host=h:8080", replace(PLAIN, as_host="h:8080")),
        ("as_host=[::1]:8080", replace(PLAIN, as_host="[::1]:8080")),
        ("header=A:b", replace(PLAIN, headers=((b"A", b"b"),))),
        ('header="A:  b, c"', replace(PLAIN, headers=((b"A", b"b, c"),))),
        ("header=A:,header=B:c:d", replace(PLAIN, headers=((b"A", b""), (b"B", b"c:d")))),
        ("header=A:é", replace(PLAIN, headers=((b"A", "é".encode()),))),
        ("orig_headers", replace(PLAIN, orig_headers=True)),
        ("sig_iss=i", replace(PLAIN, sig_iss="i")),
        ("sig_key=base64:YQ==", replace(PLAIN, sig_key="base64:YQ==")),
        ("prefix=px-", replace(PLAIN, prefix="px-")),
        ("debug", replace(PLAIN, debug=True)),
        ("aco", replace(PLAIN, aco=True)),
        ("jsonp_mode=extended", replace(PLAIN, jsonp_mode=JsonpMode.EXTENDED, jsonp_defmethod="GET")),
        ("jsonp_mode=basic", replace(PLAIN, jsonp_mode=JsonpMode.BASIC, jsonp_defmethod="POST")),
        ("jsonp_cb=c", replace(PLAIN, jsonp_cb="c")),
        ("jsonp_body=b", replace(PLAIN, jsonp_body="b")),
        ("jsonp_defcb=d", replace(PLAIN, jsonp_defcb="d")),
        ("jsonp_defmethod=PUT", replace(PLAIN, jsonp_defmethod="PUT")),
        ("session", replace(PLAIN, session=True)),
        ("sockjs=/s", replace(PLAIN, sockjs="/s")),
        ("sockjs_as_path=/s", replace(PLAIN, sockjs_as_path="/s")),
        ("no_grip", replace(PLAIN, no_grip=True)),
        ("mercure_link", replace(PLAIN, mercure_link="")),
        ("mercure_link=", replace(PLAIN, mercure_link="")),
        ("mercure_link=https://h/hub?a=b", replace(PLAIN, mercure_link="https://h/hub?a=b")),
        ("log_level=3", replace(PLAIN, log_level=3)),
        ("log_level=high", replace(PLAIN, log_level=0)),
    ],
)
def test_each_condition_option_sets_its_field(options: str, route: Route) -> None:
    assert read(f"*,{options} b:80") == route


def test_targets_keep_their_order_and_their_own_options() -> None:
    first, second = read("* a:1,ssl b:2,host=h").targets
    assert (first.name, first.ssl, first.host_override) == ("a:1", True, "")
    assert (second.name, second.ssl, second.host_override) == ("b:2", False, "h")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('* "b:80', "unterminated quoted section"),
        ('* "b:80\\', "unterminated escape sequence"),
        ('* "b\\x:80"', "unexpected escape character: x"),
        ("*, b:80", "expecting prop"),
        ("*,=x b:80", "empty prop name"),
        ("*", "must specify condition and at least one target"),
        ("*,debug # b:80", "must specify condition and at least one target"),
        ("*,proto=https b:80", "proto must be set to 'http' or 'ws'"),
        ("*,proto b:80", "proto must be set to 'http' or 'ws'"),
        ("*,ssl=maybe b:80", "ssl must be set to 'yes' or 'no'"),
        ("*,ssl b:80", "ssl must be set to 'yes' or 'no'"),
        ("*,path_beg= b:80", "path_beg cannot be empty"),
        ("*,path_beg b:80", "path_beg cannot be empty"),
        ("*,header=A b:80", "header must use format 'name:value'"),
        ("*,header= b:80", "header must use format 'name:value'"),
        ("*,header=:a b:80", "header must use format 'name:value'"),
        ('*,header="A B:c" b:80', "header must use format 'name:value'"),
        ("*,jsonp_mode=plain b:80", "jsonp_mode must be set to 'basic' or 'extended'"),
        ("*,jsonp_defcb=a() b:80", "jsonp_defcb must be the name of a function"),
        ('*,jsonp_defmethod="A B" b:80', "jsonp_defmethod must be a method"),
        ("*,jsonp_defmethod=CONNECT b:80", "jsonp_defmethod must be a method"),
        ('*,as_host="a b" b:80', "as_host must use format 'host[:port]'"),
        ("*,as_host=a:0 b:80", "as_host must use format 'host[:port]'"),
        ('*,replace_beg="/a b" b:80', "replace_beg must be an encoded path"),
        ("*,replace_beg=/é b:80", "replace_beg must be an encoded path"),
        ("*,sockjs=s b:80", "sockjs must be an encoded path"),
        ('*,sockjs="/a b" b:80', "sockjs must be an encoded path"),
        ("*,sockjs=/s,sockjs_as_path=/é b:80", "sockjs_as_path must be an encoded path"),
        ("* b:80 c", "target bad format"),
        ("* b:80 c:x", "target invalid port"),
    ],
)
def test_an_unusable_line_is_refused_with_file_line_and_reason(line: str, reason: str) -> None:
    with pytest.raises(RoutesError) as caught:
        parse_line(line, source="routes", line=7)
    assert str(caught.value) == f"routes:7: {reason}"


@pytest.mark.parametrize(
    ("line", "notices"),
    [
        ("* b:80", []),
        ("*,path_add=/x b:80,trusted", ["unknown option: path_add", "unknown option: trusted"]),
        ("*,path_beg=x b:80", ["path_beg does not start with '/' and so never matches"]),
        ("*,path_rem=x b:80", ["not a number, taken as 0: path_rem"]),
        (
            "*,log_level=x b:80",
            [
                "not a number, taken as 0: log_level",
            ],
        ),
        (",id=a b:80", ["route without host is reached by Pushpin-Route alone (proxy.accept_pushpin_route)"]),
        ("*,id= b:80,sub", ["option without a value is ignored: id", "option without a value is ignored: sub"]),
        ("*,id=a,id=b b:80", ["option is repeated, the last one counts: id"]),
        ("*,mercure_link,mercure_link=/x b:80", ["option is repeated, the last one counts: mercure_link"]),
        ("* b:80,insecure=no", ["option takes no value and is on all the same: insecure"]),
        ("*.a.com b:80", ["condition never matches: '*' stands for every host and not for a part of one"]),
        ("a.com:80 b:80", ["condition never matches: hosts are compared without their port"]),
        ("[::1]:80 b:80", ["condition never matches: hosts are compared without their port"]),
        (",debug b:80", ["route without host and id is never reached"]),
        ("*,session zhttp/ipc://x,ipc_file_mode=600", []),
        ("* zhttpreq/ipc://x", []),
    ],
)
def test_what_is_odd_about_a_line_is_told_and_the_line_still_loads(line: str, notices: list[str]) -> None:
    parsed = parse_lines([line], source="routes")
    assert len(parsed.routes) == 1
    assert [notice.text for notice in parsed.notices] == notices


def test_a_bad_line_costs_no_other_line() -> None:
    parsed = parse_routes("# routes\r\n* b:80\r\nx bad\r\n\r\na.com,nope test\n", source="routes")
    assert [(route.line, route.host) for route in parsed.routes] == [(2, "*"), (5, "a.com")]
    assert [str(problem) for problem in parsed.problems] == ["routes:3: target bad format"]
    assert parsed.notices == (RouteNotice(line=5, text="unknown option: nope"),)


def test_lines_end_only_where_editors_end_them() -> None:
    # str.splitlines also splits at these, and the line numbers of everything after would be wrong.
    parsed = parse_routes("# a\u2028b\x85c\n* b:80", source="routes")
    assert [route.line for route in parsed.routes] == [2]


def test_a_key_never_shows_in_an_error() -> None:
    with pytest.raises(RoutesError) as caught:
        parse_line("*,sig_key=secret b", source="routes", line=1)
    assert "secret" not in str(caught.value)


anything = st.text(st.characters())
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
hosts = st.sampled_from(["h", "h:81", "[::1]", "[::1]:443"])
numbers = st.integers(0, 999_999_999).map(str)
seconds = st.integers(1, 999_999_999).map(lambda millis: f"{millis // 1000}.{millis % 1000:03}")
paths = st.from_regex("/[!-~]*", fullmatch=True)
flag = st.just("")


def options(kinds: dict[str, st.SearchStrategy[str]]) -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    pairs = [st.tuples(st.just(name), values) for name, values in kinds.items()]
    return st.lists(st.one_of(pairs), max_size=8).map(tuple)


conditions = st.builds(
    Section,
    value=words.filter(lambda text: "=" not in text) | st.sampled_from(["*", "Example.com", "[::1]", ""]),
    options=options(
        {
            "proto": st.sampled_from(["http", "ws"]),
            "ssl": st.sampled_from(["yes", "no"]),
            "path_beg": words.map("/".__add__),
            "path_rem": numbers,
            "replace_beg": paths,
            "as_host": hosts,
            "header": words.map("Name:".__add__),
            "jsonp_mode": st.sampled_from(["basic", "extended"]),
            "log_level": numbers,
            **dict.fromkeys(("id", "sig_iss", "sig_key", "prefix", "mercure_link"), words),
            **dict.fromkeys(("sockjs", "sockjs_as_path"), paths),
            "jsonp_defcb": st.sampled_from(["cb", "a.b[0]"]),
            "jsonp_defmethod": st.sampled_from(["GET", "PUT", "x-own"]),
            **dict.fromkeys(("jsonp_cb", "jsonp_body"), words),
            **dict.fromkeys(("orig_headers", "debug", "aco", "session", "no_grip"), flag),
        }
    ),
)
targets = st.builds(
    Section,
    value=st.sampled_from(["b:80", "[::1]:1", "[fe80::1%eth0]:1", "test", "zhttp/tcp://*:1", "zhttpreq/ipc:///x,y"]),
    options=options(
        {
            "host": hosts,
            "sub": words,
            "ipc_file_mode": st.integers(0, 0o7777).map("{:o}".format),
            "client_cert": words,
            "client_key": words,
            "connect_timeout": seconds,
            "timeout": seconds,
            **dict.fromkeys(("ssl", "untrusted", "trust_connect_host", "insecure", "over_http", "one_event"), flag),
        }
    ),
)


@given(conditions, st.lists(targets, min_size=1, max_size=3))
def test_an_encoded_route_reads_as_the_same_route(condition: Section, places: list[Section]) -> None:
    try:
        route = parse_line(encode_sections((condition, *places)), source="routes", line=1)
    except RoutesError:
        route = reject()
    assert route is not None
    assert parse_line(encode_route(route), source="routes", line=1) == route


@given(anything | st.builds("{} {}".format, anything, anything))
def test_any_text_gives_routes_and_the_documented_errors(text: str) -> None:
    parsed = parse_routes(text, source="routes")
    assert len(parsed.routes) + len(parsed.problems) <= text.count("\n") + 1


@given(st.text(st.sampled_from('*a:80,=#" \t\\/[]x\n')))
def test_any_text_made_of_the_grammars_own_characters_is_read_or_refused(text: str) -> None:
    for route in parse_routes(text, source="routes").routes:
        assert parse_line(encode_route(route), source="routes", line=route.line) == route
