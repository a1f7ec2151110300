"""Workers are kept alive: started, replaced, replaced more slowly, killed when stuck, and ended in good order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest

from proxy.errors import SettingsError
from proxy.workers.child import Child
from proxy.workers.supervisor import START_SECONDS, YOUNG_SECONDS
from tests.proxy.workers.crew import OBEY, SERVE, STICK, Manned, manned
from tests.support.turns import settle, until

GOOD = SERVE + OBEY


def pids(made: Manned) -> list[int]:
    return [child.pid for child in made.supervisor.children]


def kill(child: Child) -> None:
    assert child.pid, "0 would be everybody"
    os.kill(child.pid, signal.SIGKILL)


async def replaced(made: Manned, child: Child) -> Child:
    """Wait until another worker serves in the place of `child`, and return it."""
    number = child.link.number

    def follower() -> Child | None:
        found = [each for each in made.supervisor.children if each.link.number == number and each is not child]
        return found[0] if found and found[0].link.is_ready else None

    await until(follower)
    made_now = follower()
    assert made_now is not None
    return made_now


async def test_all_serve_when_it_has_started_and_none_is_left_when_it_has_drained() -> None:
    async with manned(GOOD) as made:
        await made.supervisor.start()
        assert len(made.crew.fan.workers) == made.crew.counters.workers_alive == 2
        assert [child.link.number for child in made.supervisor.children] == [1, 2]
        await made.supervisor.drain()
        assert (pids(made), made.crew.fan.workers, made.crew.counters.workers_alive) == ([], [], 0)
        assert made.crew.counters.worker_restarts == 0


async def test_one_that_dies_is_replaced_and_what_it_has_counted_stays(caplog: pytest.LogCaptureFixture) -> None:
    async with manned(GOOD) as made:
        await made.supervisor.start()
        victim, other = made.supervisor.children
        made.clock.advance(YOUNG_SECONDS)
        kill(victim)
        await replaced(made, victim)
        assert f"worker 1 (process {victim.pid}) has ended by SIGKILL; replaced in 0 seconds" in caplog.text
        assert (made.crew.counters.worker_restarts, made.crew.counters.workers_alive) == (1, 2)
        assert other in made.supervisor.children
        assert sum(counts.get("requests", 0) for counts in made.supervisor.counts()) == 1 + 1 + 2


async def test_one_that_dies_young_again_and_again_is_replaced_more_and_more_slowly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with manned(GOOD, workers=1) as made:
        await made.supervisor.start()
        [child] = made.supervisor.children
        for pause in (0, 1, 2, 4):
            kill(child)
            await until(lambda pause=pause: f"replaced in {pause} seconds" in caplog.text)  # type: ignore[misc]
            if pause:
                made.clock.advance(pause - 0.1)
                await settle()
                assert made.supervisor.children == ()
                made.clock.advance(0.2)
            child = await replaced(made, child)
        made.clock.advance(YOUNG_SECONDS)
        caplog.clear()
        kill(child)
        await replaced(made, child)
        assert "replaced in 0 seconds" in caplog.text


async def test_one_that_ends_as_it_was_told_to_is_replaced_and_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with manned(SERVE + "hear(); say(Bye()); hear()\n", workers=1) as made:
        await made.supervisor.start()
        [child] = made.supervisor.children
        made.crew.fan.recover()
        await replaced(made, child)
        told = [(each.levelname, each.message) for each in caplog.records if f"process {child.pid}" in each.message]
        assert told == [("INFO", f"worker 1 (process {child.pid}) has ended as it was told to; replaced")]
        assert made.crew.counters.worker_restarts == 0


async def test_one_that_ends_by_itself_is_an_alarm_whatever_its_status(caplog: pytest.LogCaptureFixture) -> None:
    async with manned(SERVE + "hear()\n", workers=1) as made:
        await made.supervisor.start()
        [child] = made.supervisor.children
        made.crew.fan.recover()
        await replaced(made, child)
        assert f"worker 1 (process {child.pid}) has ended with status 0; replaced in 0 seconds" in caplog.text
        assert made.crew.counters.worker_restarts == 1


async def test_one_that_waits_to_be_replaced_does_not_hold_up_the_end() -> None:
    async with manned(GOOD, workers=1) as made:
        await made.supervisor.start()
        [child] = made.supervisor.children
        kill(child)
        kill(await replaced(made, child))
        await until(lambda: not made.supervisor.children and made.clock.next_due() is not None)
        await made.supervisor.drain()
        assert made.supervisor.children == ()


async def test_one_that_is_stuck_is_killed_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async with manned(SERVE + STICK, "proxy.worker_timeout=10", workers=1) as made:
        await made.supervisor.start()
        [stuck] = made.supervisor.children
        made.crew.fan.recover()
        made.clock.advance(10)
        await replaced(made, stuck)
        assert "has acknowledged nothing for 10 seconds, and is 1 messages" in caplog.text
        assert "has ended by SIGKILL" in caplog.text


async def test_one_that_cannot_start_says_why_and_none_is_left() -> None:
    failing = "if start.number == 2: say(Failed('no such file')); hear(); sys.exit(1)\n" + SERVE + OBEY
    async with manned(failing) as made:
        with pytest.raises(SettingsError, match=r"^no such file$"):
            await made.supervisor.start()
        assert made.supervisor.children == ()


async def test_one_that_ends_at_its_start_keeps_the_others_from_starting() -> None:
    async with manned("sys.exit(3)") as made:
        with pytest.raises(SettingsError, match="worker 1 ended at its start"):
            await made.supervisor.start()
        assert made.supervisor.children == ()


async def test_one_that_serves_and_dies_while_another_starts_is_replaced(tmp_path: Path) -> None:
    """The other waits for it to have died, and it dies in its first life only."""
    (died := tmp_path / "died").mkdir()
    first = f"""
import os
if start.number == 1 and not os.path.exists({str(died / "1")!r}):
    {SERVE.strip()}
    hear()
    open({str(died / "1")!r}, "w").close()
    sys.exit(5)
while start.number == 2 and not os.path.exists({str(died / "2")!r}):
    time.sleep(0.01)
"""
    async with manned(first + SERVE + OBEY) as made:
        starting = asyncio.create_task(made.supervisor.start())
        await until(lambda: made.crew.counters.workers_alive == 1)
        made.crew.fan.recover()
        await until((died / "1").exists)
        await until(lambda: made.crew.counters.worker_restarts == 1)
        (died / "2").touch()
        await starting
        await until(lambda: made.crew.counters.workers_alive == 2)
        assert [child.link.number for child in made.supervisor.children] == [1, 2]


async def test_a_replacement_that_hangs_before_its_first_word_is_killed_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lives = tmp_path / "lives"
    second = f"open({str(lives)!r}, 'a').write('x')\nif open({str(lives)!r}).read() == 'xx': sys.stdin.buffer.read()\n"
    async with manned(second + GOOD, workers=1) as made:
        await made.supervisor.start()
        [child] = made.supervisor.children
        made.clock.advance(YOUNG_SECONDS)
        kill(child)
        await until(lambda: lives.read_text() == "xx" and made.supervisor.children)
        [hanging] = made.supervisor.children
        made.clock.advance(START_SECONDS)
        await replaced(made, hanging)
        assert f"worker 1 (process {hanging.pid}) does not serve 60 seconds after its start: killed" in caplog.text
        assert made.crew.counters.worker_restarts == 2
        made.clock.advance(START_SECONDS)
        await settle()


async def test_one_that_is_stuck_is_noticed_while_nothing_is_published(caplog: pytest.LogCaptureFixture) -> None:
    async with manned(SERVE + STICK, "proxy.worker_timeout=9", workers=1) as made:
        await made.supervisor.start()
        [stuck] = made.supervisor.children
        await until(lambda: not len(stuck.link.outstanding))
        made.clock.advance(3)
        made.clock.advance(9)
        await replaced(made, stuck)
        assert "has acknowledged nothing for 9 seconds, and is 1 messages" in caplog.text


async def test_one_that_takes_too_long_to_start_is_not_waited_for() -> None:
    async with manned(STICK, workers=1) as made:
        starting = asyncio.create_task(made.supervisor.start())
        await until(lambda: made.clock.next_due() is not None)
        made.clock.advance(START_SECONDS)
        with pytest.raises(SettingsError, match="did not start within 60 seconds"):
            await starting
        assert made.supervisor.children == ()


async def test_one_that_does_not_end_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    async with manned(SERVE + STICK, "proxy.drain_timeout=5", workers=1) as made:
        await made.supervisor.start()
        draining = asyncio.create_task(made.supervisor.drain())
        await settle()
        made.clock.advance(5)
        await settle()
        assert not draining.done()
        made.clock.advance(10)
        await draining
        assert "stopping: 1 workers killed, they took too long" in caplog.text


async def test_a_reload_is_done_when_all_have_done_it() -> None:
    async with manned(GOOD) as made:
        await made.supervisor.start()
        done: list[str] = []
        made.supervisor.reload(lambda: done.append("reloaded"))
        assert done == []
        await until(lambda: done)
        assert done == ["reloaded"]


async def test_a_reload_does_not_wait_for_one_that_dies() -> None:
    deaf = SERVE + "hear()\nsys.exit(1) if start.number == 1 else say(Reloaded())\n" + OBEY
    async with manned(deaf) as made:
        await made.supervisor.start()
        done: list[str] = []
        made.supervisor.reload(lambda: done.append("reloaded"))
        await until(lambda: done)


async def test_a_program_that_is_not_there_ends_the_start() -> None:
    async with manned(GOOD) as made:
        object.__setattr__(made.crew, "command", ("/nonexistent/program",))
        with pytest.raises(OSError, match="No such file"):
            await made.supervisor.start()
        assert made.supervisor.children == ()
