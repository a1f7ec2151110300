"""The rules of the house that no linter knows: where tests stand, how long a file may be, what a test must not do.

Import directions are contracts of import-linter, docstrings and complexity are ruff's (pyproject.toml).
"""

from __future__ import annotations

import ast
import asyncio
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LOOP_FACTORIES, chosen_loop

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("handlers", "proxy", "publish_api")
LONGEST_FILE = 400

# Sources without a test module of their own, each with the reason. A test module always has its source.
UNMIRRORED = {
    "proxy/errors.py": "values without behaviour; the tests of whoever raises them read their texts",
    "handlers/errors.py": "as above",
    "publish_api/errors.py": "as above",
    "handlers/door.py": "a typing.Protocol",
    "proxy/connection_owner.py": "a typing.Protocol and plain values",
    "handlers/protocol/names.py": "types without run-time behaviour",
    "handlers/protocol/instruct.py": "plain values, tested through grip",
    "handlers/protocol/items.py": "plain values, tested through item_json",
    "handlers/protocol/mercure/grants.py": "plain values, tested through claims",
    "handlers/protocol/mercure/update.py": "plain values, tested through event and subscription",
}

SOURCES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted(
    path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts
)  # fmt: skip


def mirror_of(source: Path) -> Path:
    """Return where the tests of `source` belong; those of `__main__` are in `test_main`."""
    return Path("tests", *source.parts[:-1], f"test_{source.stem.strip('_')}.py")


def name_of(path: Path) -> str:
    return path.as_posix()


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a plain name or attribute, otherwise an empty string."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{dotted(value)}.{attribute}"
        case _:
            return ""


# -- where files stand ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [path for path in SOURCES if path.name != "__init__.py"], ids=name_of)
def test_every_source_has_its_test_module_or_a_reason(source: Path) -> None:
    test = mirror_of(source)

    if source.as_posix() in UNMIRRORED:
        assert not (ROOT / test).exists(), f"{test} is there: take {source} out of UNMIRRORED"
    else:
        assert (ROOT / test).exists(), f"{source} wants {test}, or a reason in UNMIRRORED"


@pytest.mark.parametrize(
    "test", [path for path in TESTS if path.parts[1] in PACKAGES and path.name.startswith("test_")], ids=name_of
)
def test_every_test_module_has_its_source(test: Path) -> None:
    # One source may have further test modules, each named for its aspect: test_framing_against_aiohttp.
    folder = [mirror_of(source) for source in SOURCES if mirror_of(source).parent == test.parent]
    assert any(test.stem == mirror.stem or test.stem.startswith(f"{mirror.stem}_") for mirror in folder)


@pytest.mark.parametrize("source", sorted(UNMIRRORED))
def test_every_exception_to_the_mirror_is_still_needed(source: str) -> None:
    assert (ROOT / source).exists()


@pytest.mark.parametrize("folder", sorted({path.parent for path in (*SOURCES, *TESTS)}), ids=name_of)
def test_every_folder_of_python_is_a_package(folder: Path) -> None:
    # Without tests/proxy/__init__.py, tests/proxy shadows proxy.
    assert (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_no_file_is_longer_than_the_limit(path: Path) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


# -- what code must not do --------------------------------------------------------------------------------------


def naps(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that sleep. `asyncio.sleep(0)`, one turn of the loop, is not a sleep."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="sleep") | ast.Attribute(attr="sleep"), args=[ast.Constant(value=0)]):
                pass
            case ast.Call(func=ast.Name(id="sleep") | ast.Attribute(attr="sleep")):
                yield node.lineno
            case _:
                pass


def swallowed(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that catch every exception and do nothing about it."""
    every = {"", "Exception", "BaseException"}
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=caught, body=[ast.Pass() | ast.Continue() | ast.Expr(value=ast.Constant())]):
                kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
                if any(kind is None or dotted(kind) in every for kind in kinds):
                    yield node.lineno
            case ast.Call(func=called, args=kinds) if dotted(called).rpartition(".")[2] == "suppress":
                if any(dotted(kind) in every for kind in kinds):
                    yield node.lineno
            case _:
                pass


@pytest.mark.parametrize("test", TESTS, ids=name_of)
def test_no_test_sleeps(test: Path) -> None:
    assert list(naps(parsed(test))) == [], "wait on readiness, or turn the test clock"


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_no_error_is_swallowed(path: Path) -> None:
    assert list(swallowed(parsed(path))) == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("time.sleep(1)", [1]),
        ("async def f():\n    await asyncio.sleep(0.1)", [2]),
        ("sleep(delay)", [1]),
        ("asyncio.sleep(0)", []),
        ("clock.advance(1)", []),
    ],
)
def test_a_nap_is_found(code: str, lines: list[int]) -> None:
    assert list(naps(ast.parse(code))) == lines


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("try:\n    f()\nexcept Exception:\n    pass", [3]),
        ("try:\n    f()\nexcept:\n    ...", [3]),
        ("for x in y:\n    try:\n        f()\n    except (KeyError, BaseException):\n        continue", [4]),
        ("with contextlib.suppress(Exception):\n    f()", [1]),
        ("with suppress(KeyError):\n    f()", []),
        ("try:\n    f()\nexcept KeyError:\n    pass", []),
        ("try:\n    f()\nexcept Exception:\n    log()", []),
    ],
)
def test_a_swallowed_error_is_found(code: str, lines: list[int]) -> None:
    assert list(swallowed(ast.parse(code))) == lines


# -- what the suite runs on -------------------------------------------------------------------------------------


async def test_the_suite_runs_on_the_chosen_loop() -> None:
    expected = LOOP_FACTORIES[chosen_loop()]()
    try:
        assert type(asyncio.get_running_loop()) is type(expected)
    finally:
        expected.close()
