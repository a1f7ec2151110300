from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.protocol.names import Channel
from proxy.protocol.route import Target, TargetKind
from proxy.protocol.route_line import LineError, encode_sections, parse_sections
from proxy.protocol.route_options import OptionReader
from proxy.protocol.route_target import encode_target, parse_target

BACKEND = Target(kind=TargetKind.HOST, host="b", port=80)


def read(text: str) -> Target:
    (section,) = parse_sections(text)
    return parse_target(section, options=OptionReader(section))


@pytest.mark.parametrize(
    ("text", "target", "name"),
    [
        ("b:80", BACKEND, "b:80"),
        ("Back-end_1.x:65535", Target(kind=TargetKind.HOST, host="Back-end_1.x", port=65535), "Back-end_1.x:65535"),
        ("127.0.0.1:1", Target(kind=TargetKind.HOST, host="127.0.0.1", port=1), "127.0.0.1:1"),
        ("[::1]:80", Target(kind=TargetKind.HOST, host="::1", port=80), "[::1]:80"),
        ("[fe80::1%eth0]:80", Target(kind=TargetKind.HOST, host="fe80::1%eth0", port=80), "[fe80::1%eth0]:80"),
        ("test", Target(kind=TargetKind.TEST), "test"),
        ("zhttp/tcp://*:5000", Target(kind=TargetKind.ZHTTP, spec="tcp://*:5000"), "zhttp/tcp://*:5000"),
        ("zhttp/tcp://[::1]:5000", Target(kind=TargetKind.ZHTTP, spec="tcp://[::1]:5000"), "zhttp/tcp://[::1]:5000"),
        ("zhttp/ipc:///run/x", Target(kind=TargetKind.ZHTTP, spec="ipc:///run/x"), "zhttp/ipc:///run/x"),
        ("zhttpreq/tcp://h:65535", Target(kind=TargetKind.ZHTTPREQ, spec="tcp://h:65535"), "zhttpreq/tcp://h:65535"),
    ],
)
def test_each_form_of_target_is_read_and_keeps_its_name(text: str, target: Target, name: str) -> None:
    assert read(text) == target
    assert target.name == name
    assert read(encode_sections([encode_target(target)])) == target


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ("ssl", replace(BACKEND, ssl=True)),
        ("untrusted", replace(BACKEND, untrusted=True)),
        ("trust_connect_host", replace(BACKEND, trust_connect_host=True)),
        ("insecure", replace(BACKEND, insecure=True)),
        ("host=h:81", replace(BACKEND, host_override="h:81")),
        ("sub=a,sub=b", replace(BACKEND, subs=(Channel("a"), Channel("b")))),
        ("sub=,sub=b", replace(BACKEND, subs=(Channel("b"),))),
        ("over_http", replace(BACKEND, over_http=True)),
        ("one_event", replace(BACKEND, one_event=True)),
        ("ipc_file_mode=770", replace(BACKEND, ipc_file_mode=0o770)),
        ("client_cert=c.pem", replace(BACKEND, client_cert="c.pem")),
        ("client_cert=c.pem,client_key=k.pem", replace(BACKEND, client_cert="c.pem", client_key="k.pem")),
        ("connect_timeout=2.5", replace(BACKEND, connect_timeout=2.5)),
        ("timeout=30", replace(BACKEND, timeout=30.0)),
    ],
)
def test_each_target_option_sets_its_field(options: str, target: Target) -> None:
    assert read(f"b:80,{options}") == target
    assert read(encode_sections([encode_target(target)])) == target


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("b", "target bad format"),
        (",ssl", "target bad format"),
        (":80", "target bad format"),
        ("a/b:80", "target bad format"),
        ("[::1]", "target bad format"),
        ("[::g]:80", "target bad format"),
        ("[]:80", "target bad format"),
        ("::1:80", "target bad format"),
        ("b:", "target invalid port"),
        ("b:0", "target invalid port"),
        ("b:65536", "target invalid port"),
        ("b:-1", "target invalid port"),
        ("b:٣", "target invalid port"),
        ("b:80:80", "target invalid port"),
        ("[::1]:http", "target invalid port"),
        ("http://b:80", "target invalid port"),
        ("zhttp/", "zhttp spec must be tcp://HOST:PORT or ipc://PATH"),
        ("zhttp/localhost:5000", "zhttp spec must be tcp://HOST:PORT or ipc://PATH"),
        ("zhttp/tcp://h:x", "zhttp spec must be tcp://HOST:PORT or ipc://PATH"),
        ("zhttp/tcp://h", "zhttp spec must be tcp://HOST:PORT or ipc://PATH"),
        ("zhttp/tcp://h:65534", "zhttp spec must be tcp://HOST:PORT or ipc://PATH"),
        ("zhttp/ipc://", "zhttp spec must be tcp://HOST:PORT or ipc://PATH"),
        ("zhttpreq/tcp://h:65536", "zhttp spec must be tcp://HOST:PORT or ipc://PATH"),
        ("zhttpreq/udp://h:1", "zhttp spec must be tcp://HOST:PORT or ipc://PATH"),
        ("b:80,host=:80", "host must use format 'host[:port]'"),
        ("b:80,client_key=k.pem", "client_key needs client_cert"),
        ("b:80,ipc_file_mode=888", "ipc_file_mode must be an octal number up to 7777"),
        *(
            (f"b:80,{name}={bad}", f"{name} must be a number of seconds above 0, to three decimals and below 1000000")
            for name in ("connect_timeout", "timeout")
            for bad in ("0", "0.000", "-1", "1e3", "inf", "nan", "soon", "", "0.0001", "1000000")
        ),
    ],
)
def test_an_unusable_target_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(LineError) as caught:
        read(text)
    assert str(caught.value) == reason
