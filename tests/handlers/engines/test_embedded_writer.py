"""The thread that writes, on real disks that are slow, full or broken, and in processes that are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from handlers.engines.embedded import EmbeddedEngine
from handlers.engines.embedded_writer import (
    LARGEST_BATCH,
    LARGEST_SLICE,
    LONGEST_BATCH,
    LONGEST_SLICE,
    MOST_IN_SLICE,
)
from handlers.engines.engine import Limits
from handlers.errors import StorageError
from tests.handlers.engines.disk import compiled
from tests.handlers.engines.updates import NOW, History, ids, on, seqs, update
from tests.support.patience import bounded

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a child with a library that counts syncs and refuses writes."""
    return {**os.environ, "LD_PRELOAD": str(compiled(tmp_path_factory.mktemp("disk")))}


async def started(what: str, path: Path, environment: dict[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.handlers.engines.child", what, str(path), cwd=ROOT, stdout=PIPE, env=environment
    )


async def told(what: str, path: Path, environment: dict[str, str], *, status: int = 0) -> dict[str, Any]:
    """Run the child to its end; return what it found."""
    async with bounded():
        output, _ = await (process := await started(what, path, environment)).communicate()
    assert process.returncode == status
    found: dict[str, Any] = {}
    for line in output.splitlines():
        found |= json.loads(line)
    return found


async def test_updates_are_synced_before_their_publishers_are_answered_and_many_share_a_sync(
    path: Path, preload: dict[str, str]
) -> None:
    found = await told("syncs", path, preload)
    on_disk = found["disk"]
    assert len(on_disk["alone"]) == 50
    assert min(on_disk["alone"]) >= 1
    assert len(on_disk["together"]) == sum(on_disk["batches"]) == 64 * 20
    assert min(on_disk["together"]) >= 1
    assert 20 <= on_disk["syncs together"] < 64 * 20
    # What the setting is for, and proof that the counter counts. The first append begins a log.
    assert sum(found["process"]["alone"][1:]) == 0


FULL = "database or disk is full"
BROKEN = "disk I/O error"


@pytest.mark.parametrize(("disk", "reason"), [("full", FULL), ("broken", BROKEN), ("bounded", BROKEN)])
async def test_p28_what_a_failing_disk_refuses_is_neither_kept_nor_delivered(
    path: Path, disk: str, reason: str, request: pytest.FixtureRequest
) -> None:
    # The kernel bounds files itself.
    environment = dict(os.environ) if disk == "bounded" else request.getfixturevalue("preload")
    found = await told(disk, path, environment)
    before, after = [[f"urn:test:{number}" for number in numbers] for numbers in (range(3), range(3, 6))]
    assert found["refused"] == [f"StorageError: {reason}"] * 40
    assert found["kept while spoilt"] == before
    assert found["delivered"] == found["kept"] == before + after
    assert found["lines"]
    assert {line.split(" not stored: ")[1] for line in found["lines"]} == {reason}
    async with History(EmbeddedEngine(path)) as history:
        assert ids(await history.kept()) == before + after
        assert seqs(await history.kept()) == [1, 2, 3, 4, 5, 6]


async def test_p28_what_could_not_be_synced_is_not_there_after_a_crash_either(
    path: Path, preload: dict[str, str]
) -> None:
    found = await told("broken and killed", path, preload, status=-signal.SIGKILL)
    assert found == {"refused": ["StorageError"] * 50, "delivered": ["urn:test:1"]}
    async with History(EmbeddedEngine(path)) as history:
        assert ids(await history.kept()) == ["urn:test:1"]
        assert seqs(await history.append(update(2))) == [2]


async def test_a_process_that_is_killed_loses_nothing_that_it_acknowledged(path: Path) -> None:
    acknowledged: dict[int, list[int]] = {}
    for _ in range(5):
        async with bounded():
            process = await started("storm", path, dict(os.environ))
            assert process.stdout is not None
            # The lock went with the process before, and all that it acknowledged is there at once.
            assert json.loads(await process.stdout.readline())["begun with"] >= max(acknowledged, default=0)
            lines = [await process.stdout.readline() for _ in range(400)]
            process.kill()
            lines += (await process.stdout.read()).splitlines(keepends=True)
            await process.wait()
        for line in lines:
            if line.endswith(b"\n"):
                seq, *said = json.loads(line)
                assert seq not in acknowledged
                acknowledged[seq] = said
    assert len(acknowledged) >= 2000
    async with History(EmbeddedEngine(path)) as history:
        kept = await history.kept()
    assert seqs(kept) == list(range(1, len(kept) + 1))
    there = {each.seq: [int(each.update.id.removeprefix("urn:test:")), int(each.update.data)] for each in kept}
    assert there == there | acknowledged
    assert len({tuple(said) for said in there.values()}) == len(there)


async def test_a_batch_is_what_came_while_the_one_before_was_written(path: Path) -> None:
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*map(update, range(3 * LONGEST_BATCH)))
        assert sum(history.batches) == 3 * LONGEST_BATCH
        assert max(history.batches) <= LONGEST_BATCH
        assert len(history.batches) < LONGEST_BATCH


async def test_a_batch_is_bounded_in_bytes(path: Path) -> None:
    each = LARGEST_BATCH // 4
    async with History(EmbeddedEngine(path)) as history:
        await history.append(*(update(number, data="x" * each) for number in range(12)))
        assert sum(history.batches) == 12
        assert max(history.batches) <= 4


async def test_a_loop_that_ends_before_its_history_ends_the_thread_without_a_word(path: Path) -> None:
    engine = EmbeddedEngine(path)

    # The loop of another thread, closed before the commit can be told to it.
    def run() -> None:
        loop = asyncio.new_event_loop()

        async def leave() -> None:
            engine.open(lambda _: None, at=NOW)
            for number in range(500):
                engine.append(update(number), at=NOW)

        loop.run_until_complete(leave())
        loop.close()

    await asyncio.to_thread(run)
    await engine.close()
    async with History(EmbeddedEngine(path)) as history:
        assert history.opened.last_seq == 500


async def test_a_defect_in_the_thread_fails_the_batch_and_not_the_thread(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with History(EmbeddedEngine(path, limits=Limits(age=1))) as history:
        # A defect of a caller's: SQLite takes these digits for a number, the limit by age doesn't.
        with pytest.raises(StorageError, match="TypeError"):
            await history.append(update(1), at="1")  # type: ignore[arg-type]
        assert seqs(await history.append(update(2))) == [1]
    assert "history updates=1 not stored\nTraceback" in caplog.text


async def test_what_is_delivered_in_one_turn_is_bounded_in_runs_updates_and_bytes(path: Path) -> None:
    for name, updates, most in (
        ("runs", [on(number, str(number)) for number in range(100)], LONGEST_SLICE),
        ("updates", [on(number, "a") for number in range(300)], MOST_IN_SLICE),
        ("bytes", [update(number, data="x" * (LARGEST_SLICE // 4)) for number in range(30)], 4),
    ):
        async with History(EmbeddedEngine(path.with_name(name))) as history:
            # The first is a batch of its own, and the rest is there when that is written.
            await history.append(*updates)
            assert ids(history.delivered) == [each.id for each in updates]
            assert max(history.batches) == most
