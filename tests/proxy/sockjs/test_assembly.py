"""When connections are passed between workers: where there are several, and they have a place to meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errands import Errands
from proxy.sockjs.assembly import make_passing
from tests.support.settings import settings_from


@pytest.mark.parametrize(("workers", "has_folder", "passes"), [(1, True, False), (2, False, False), (2, True, True)])
def test_only_where_there_are_several(tmp_path: Path, workers: int, has_folder: bool, passes: bool) -> None:
    settings = settings_from((f"proxy.workers={workers}",), routes=())
    folder = tmp_path if has_folder else None
    assert (make_passing(settings, folder=folder, worker=1, errands=Errands()) is not None) is passes
