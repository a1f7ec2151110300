from __future__ import annotations

import logging
import os
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from proxy.errors import RoutesFileError
from proxy.protocol.grip_sig import GripKey, KeyFormatError
from proxy.protocol.routes import Proto, RouteNotice
from proxy.router import FileSource, LineSource, LoadedRoute, Router, RouteSource, choose_source
from tests.proxy.certificates import self_signed

GLOBAL_KEY = GripKey(algorithm="HS256", secret=b"global")
NOW = 1_700_000_000


def make_router(source: RouteSource, *, default_key: GripKey | None = GLOBAL_KEY) -> Router:
    return Router(source, default_iss="pushpin", default_key=default_key)


def lines(*texts: str, default_key: GripKey | None = GLOBAL_KEY) -> Router:
    return make_router(LineSource(lines=texts), default_key=default_key)


def select(router: Router, path: bytes = b"/") -> LoadedRoute | None:
    return router.select(host="h", proto=Proto.HTTP, ssl=False, path=path)


def target(router: Router, path: bytes = b"/") -> str | None:
    loaded = select(router, path)
    return loaded.route.targets[0].name if loaded else None


def issuer(router: Router, key: bytes | ec.EllipticCurvePublicKey, algorithm: str = "HS256") -> str:
    loaded = select(router)
    assert loaded is not None
    assert loaded.signer is not None
    claims = jwt.decode(loaded.signer.sign(NOW), key, algorithms=[algorithm], options={"verify_exp": False})
    iss = claims["iss"]
    assert isinstance(iss, str)
    return iss


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "routes"


def test_a_router_has_no_routes_until_it_has_loaded(path: Path) -> None:
    path.write_text("* b:80")
    router = make_router(FileSource(path=path))
    assert select(router) is None
    assert len(router.load().routes) == 1
    assert target(router) == "b:80"


def test_bad_lines_are_logged_with_file_and_line_and_the_others_load(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("* b:80\n* c:80\na.com,nope a:80\nbad\n")
    with caplog.at_level(logging.INFO, "holdfast.routes"):
        report = make_router(FileSource(path=path)).load()
    assert caplog.record_tuples == [
        ("holdfast.routes", logging.WARNING, f"{path}:2: skipping duplicate condition"),
        ("holdfast.routes", logging.WARNING, f"{path}:3: unknown option: nope"),
        ("holdfast.routes", logging.WARNING, f"{path}:4: must specify condition and at least one target"),
        ("holdfast.routes", logging.INFO, "routes loaded with 2 entries"),
    ]
    assert len(report.routes) == 2
    assert [problem.line for problem in report.problems] == [4]
    assert report.notices == (
        RouteNotice(line=2, text="skipping duplicate condition"),
        RouteNotice(line=3, text="unknown option: nope"),
    )


def test_an_examination_says_what_a_load_would_and_neither_logs_nor_changes_anything(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("* old:80")
    router = make_router(FileSource(path=path))
    router.load()
    loads: list[None] = []
    router.on_load = lambda: loads.append(None)
    path.write_text("* new:80\n* c:80\nbad\n")
    with caplog.at_level(logging.INFO, "holdfast.routes"):
        caplog.clear()
        report = router.examine()
        assert (caplog.records, loads) == ([], [])
    assert target(router) == "old:80"
    loaded = router.load()
    assert (report.routes, report.notices) == (loaded.routes, loaded.notices)
    assert list(map(str, report.problems)) == list(map(str, loaded.problems))
    assert [route.line for route in report.routes] == [1]


def test_routes_of_the_command_line_come_before_the_file() -> None:
    assert choose_source(lines=("* b:80",), file="f") == LineSource(lines=("* b:80",))
    assert choose_source(lines=(), file="d/f") == FileSource(path=Path("d/f"))


def test_an_optional_file_may_be_missing_and_comes_into_force_when_it_is_there(path: Path) -> None:
    router = make_router(choose_source(lines=(), file=str(path), is_optional=True))
    assert router.load().routes == ()
    path.write_text("* new:80\n")
    assert len(router.load().routes) == 1


def test_the_new_table_replaces_the_old_one(path: Path) -> None:
    path.write_text("* old:80\n*,path_beg=/gone gone:80")
    router = make_router(FileSource(path=path))
    router.load()
    before = select(router)
    path.write_text("* new:80")
    router.load()
    assert target(router) == "new:80"
    assert target(router, b"/gone") == "new:80"
    assert before is not None  # what a connection under way holds stays as it was
    assert before.route.targets[0].name == "old:80"


def test_a_file_that_cannot_be_read_leaves_the_routes_as_they_were(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("* b:80")
    router = make_router(FileSource(path=path))
    router.load()
    path.unlink()
    caplog.clear()
    with pytest.raises(RoutesFileError) as caught:
        router.load()
    assert str(caught.value) == f"unable to open routes file: {path} (No such file or directory)"
    assert caplog.records == []
    assert target(router) == "b:80"


def test_a_folder_in_the_place_of_the_file_is_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(RoutesFileError, match="Is a directory"):
        make_router(FileSource(path=tmp_path)).load()


def test_an_empty_file_is_a_table_without_routes(path: Path) -> None:
    path.write_bytes(b"")
    router = make_router(FileSource(path=path))
    assert len(router.load().routes) == 0
    assert select(router) is None


def test_a_file_from_a_windows_editor_is_read(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf* b:80\r\n")
    router = make_router(FileSource(path=path))
    assert router.load().problems == ()
    assert target(router) == "b:80"


def test_bytes_that_are_not_utf8_cost_their_line_only(path: Path) -> None:
    path.write_bytes(b"# caf\xe9\n* b:80\na.com,prefix=\xe9 b:80\n")
    report = make_router(FileSource(path=path)).load()
    assert len(report.routes) == 1
    assert [str(problem) for problem in report.problems] == [f"{path}:3: character not allowed: '\\udce9'"]


def test_lines_of_the_command_line_are_routes_of_their_own() -> None:
    router = lines("* b:80", "bad", "*,path_beg=/x c:80")
    assert [str(problem) for problem in router.load().problems] == [
        "<route>:2: must specify condition and at least one target"
    ]
    assert target(router, b"/x/y") == "c:80"


# -- keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "iss", "key"),
    [
        ("", "pushpin", b"global"),
        (",sig_iss=mine", "mine", b"global"),
        (",sig_key=own", "pushpin", b"own"),
        (",sig_iss=mine,sig_key=own", "mine", b"own"),
        (",sig_key=base64:b3du", "pushpin", b"own"),
    ],
)
@pytest.mark.filterwarnings("ignore:The HMAC key is")
def test_a_route_signs_with_what_it_names_and_with_the_global_rest(options: str, iss: str, key: bytes) -> None:
    router = lines(f"*{options} b:80")
    assert router.load().problems == ()
    assert issuer(router, key) == iss


@pytest.mark.parametrize("options", ["", ",sig_iss=mine"])
def test_without_a_global_key_a_route_without_a_key_is_not_signed(options: str) -> None:
    router = lines(f"*{options} b:80", default_key=None)
    router.load()
    loaded = select(router)
    assert loaded is not None
    assert loaded.signer is None


@pytest.mark.filterwarnings("ignore:The HMAC key is")
def test_without_a_global_key_a_route_may_have_its_own() -> None:
    router = lines("*,sig_key=own b:80", default_key=None)
    router.load()
    assert issuer(router, b"own") == "pushpin"


def test_a_no_grip_route_is_not_signed() -> None:
    router = lines("*,no_grip,sig_key=own b:80")
    router.load()
    loaded = select(router)
    assert loaded is not None
    assert loaded.signer is None


def test_a_key_file_is_found_beside_the_routes_file(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (path.parent / "keys").mkdir()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (path.parent / "keys" / "own.pem").write_bytes(pem)
    path.write_text("*,sig_key=file:keys/own.pem b:80")
    router = make_router(FileSource(path=path))
    assert router.load().problems == ()
    assert issuer(router, key.public_key(), "ES256") == "pushpin"


def test_a_key_file_of_a_command_line_route_is_found_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(b"a secret of more than 32 bytes......".hex())
    router = make_router(LineSource(lines=("*,sig_key=file:key b:80",), folder=tmp_path))
    assert router.load().problems == ()
    assert issuer(router, b"a secret of more than 32 bytes......") == "pushpin"


def test_a_line_whose_key_cannot_be_read_is_refused_rather_than_signed_with_another(path: Path) -> None:
    path.write_text("*,path_beg=/x,sig_key=file:lost b:80\n* c:80")
    router = make_router(FileSource(path=path))
    (problem,) = router.load().problems
    assert str(problem) == f"{path}:1: sig_key: cannot read key file lost: No such file or directory"
    assert target(router, b"/x") == "c:80"


def test_a_public_key_cannot_be_the_key_of_a_route(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key").write_bytes(public)
    router = make_router(LineSource(lines=("*,sig_key=file:key b:80",), folder=tmp_path))
    (problem,) = router.load().problems
    assert str(problem) == "<route>:1: sig_key: a public key cannot sign"
    with pytest.raises(KeyFormatError):
        lines(default_key=GripKey(algorithm="ES256", secret=public))


# -- client certificates --------------------------------------------------------------------------------------


def test_a_client_certificate_with_its_key_is_accepted(tmp_path: Path) -> None:
    assert lines(f"* b:443,ssl,client_cert={self_signed(tmp_path, 'client')}").load().problems == ()


def test_a_client_certificate_that_cannot_be_used_costs_the_line(tmp_path: Path) -> None:
    router = lines(f"* a:80 b:443,ssl,client_cert={tmp_path}/lost", "*,path_beg=/x c:80")
    (problem,) = router.load().problems
    assert str(problem) == f"<route>:1: client_cert {tmp_path}/lost: No such file or directory"
    assert target(router) is None
    assert target(router, b"/x") == "c:80"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_an_unreadable_file(path: Path) -> None:
    path.write_text("* b:80")
    path.chmod(0)
    with pytest.raises(RoutesFileError, match="Permission denied"):
        make_router(FileSource(path=path)).load()
