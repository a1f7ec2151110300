from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.request_error import Refusal
from proxy.protocol.request_target import is_authority, refuse_target, split_target


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        (b"/", b"a", (b"a", b"/")),
        (b"/", None, (b"", b"/")),
        (b"/a/../b%2Fc%zz+d\xff?e=%20+&f?g", b"a:80", (b"a:80", b"/a/../b%2Fc%zz+d\xff?e=%20+&f?g")),
        (b"/a#b?c", b"a", (b"a", b"/a")),
        (b"/#", b"a", (b"a", b"/")),
        (b"//b/c", b"a", (b"a", b"//b/c")),
        (b"/http://b/", b"a", (b"a", b"/http://b/")),
        (b"http://b", b"a", (b"b", b"/")),
        (b"http://b", None, (b"b", b"/")),
        (b"http://b/", b"a", (b"b", b"/")),
        (b"HTTPS://B:8/c?d#e", b"a", (b"B:8", b"/c?d")),
        (b"http://b?c", b"a", (b"b", b"/?c")),
        (b"http://[::1]:80/c", b"a", (b"[::1]:80", b"/c")),
        (b"http://b/c:d@e", b"a", (b"b", b"/c:d@e")),
    ],
)
def test_a_target_is_split_byte_for_byte(target: bytes, host: bytes | None, expected: tuple[bytes, bytes]) -> None:
    assert split_target(b"GET", target, host) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"*", (b"a", b"*")),
        (b"http://b:8", (b"b:8", b"*")),
        (b"http://b/", (b"b", b"/")),
        (b"http://b?", (b"b", b"/?")),
        (b"/", (b"a", b"/")),
    ],
)
def test_options_without_path_and_query_is_server_wide(target: bytes, expected: tuple[bytes, bytes]) -> None:
    assert split_target(b"OPTIONS", target, b"a") == expected


@pytest.mark.parametrize("target", [b"", b"a", b"a:80", b"ftp://a/", b"http:/a", b"?a", b"#a"])
def test_what_is_no_target_is_not_split(target: bytes) -> None:
    assert refuse_target(b"GET", target) is Refusal.TARGET_FORM
    with pytest.raises(ValueError, match="not a request target"):
        split_target(b"GET", target, b"a")


@given(st.binary(max_size=12).map(lambda path: b"/" + path.replace(b"#", b"")))
def test_a_path_is_never_altered(path: bytes) -> None:
    for method in (b"GET", b"OPTIONS"):
        assert split_target(method, path, b"a") == (b"a", path)
        assert split_target(method, b"http://b" + path, b"a") == (b"b", path)


@pytest.mark.parametrize(
    "authority",
    [
        *(b"a", b"A-b_c.~", b"a:", b"a:0", b"a:65535", b"a:00080", b"%41", b"a%2eb", b"!$&'()*+,;=", b"1.2.3.4"),
        *(b"[::]:1", b"[2001:db8::1]", b"[::ffff:1.2.3.4]"),
    ],
)
def test_a_host_with_or_without_port_is_an_authority(authority: bytes) -> None:
    assert is_authority(authority)


@pytest.mark.parametrize(
    "authority",
    [
        *(b"", b":", b":80", b"a:b", b"a:-1", b"a:65536", b"a:000080", b"a:1:2", b"a b", b"a\t", b"a/", b"a?", b"a#"),
        *(b"u@a", b"a\\b", b"a%", b"a%4", b"a%zz", b'a"', b"<a>", b"\xc3\xa9", b"a\n", b"a\x00"),
        *(b"[", b"[]", b"[::1", b"::1", b"[a]", b"[:::]", b"[::1]a", b"[::1%25eth0]", b"[v1.a]", b"[1.2.3.4]"),
    ],
)
def test_anything_else_is_no_authority(authority: bytes) -> None:
    assert not is_authority(authority)


@pytest.mark.parametrize(
    ("method", "target", "refusal"),
    [
        (b"GET", b"/", None),
        (b"OPTIONS", b"*", None),
        (b"GET", b"*", Refusal.TARGET_FORM),
        (b"OPTIONS", b"**", Refusal.TARGET_FORM),
        (b"OPTIONS", b"http://a", None),
        (b"GET", b"http://a/#b", None),
        (b"GET", b"http://a#b", Refusal.TARGET_FORM),
        (b"GET", b"http://a#@b/", Refusal.TARGET_FORM),
        (b"GET", b"http://", Refusal.TARGET_HOST),
        (b"GET", b"http://:80/", Refusal.TARGET_HOST),
        (b"GET", b"http://u:p@a/", Refusal.TARGET_HOST),
    ],
)
def test_each_form_passes_where_it_belongs(method: bytes, target: bytes, refusal: Refusal | None) -> None:
    assert refuse_target(method, target) is refusal
