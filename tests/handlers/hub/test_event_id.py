"""Random ids are UUIDs of version 4, and never come twice, not in a process that was forked either."""

from __future__ import annotations

import os
import uuid

from handlers.hub.event_id import MOST, RandomIds


def test_ids_are_uuids_of_version_4() -> None:
    ids = RandomIds()
    found = [ids.take() for _ in range(4 * MOST)]
    assert len(set(found)) == len(found)
    assert all(str(uuid.UUID(each)) == each and uuid.UUID(each).version == 4 for each in found)
    assert {uuid.UUID(each).variant for each in found} == {uuid.RFC_4122}


def test_all_other_bits_are_random() -> None:
    ids = RandomIds()
    numbers = [uuid.UUID(ids.take()).int for _ in range(4 * MOST)]
    ever, always = 0, -1
    for number in numbers:
        ever, always = ever | number, always & number
    fixed = (0xF << 76) | (0b11 << 62)
    assert (ever & ~always).bit_count() == 122
    assert ever & ~always & fixed == 0


def test_a_forked_process_makes_others() -> None:
    ids = RandomIds()
    ids.take()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, ids.take().encode())
        os._exit(0)
    os.close(writing)
    theirs = os.read(reading, 100).decode()
    os.close(reading)
    os.waitpid(child, 0)
    assert uuid.UUID(theirs).version == 4
    assert theirs != ids.take()
