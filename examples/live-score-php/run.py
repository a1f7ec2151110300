"""Holdfast as the hub of a score board, and PHP behind it, started together and ended together. Needs PHP."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.running import Example, main

SCRIPT = str(Path(__file__).with_name("score.php"))

WHAT_NEXT = """
  Open {url}/ in two windows, and score with the form below the board, or from another terminal:

      php examples/live-score-php/goal.php 2 away "Ada Okafor" 23

  Close a window, score, and open it again.

  Ctrl-C ends it.

"""

SCORE = Example(
    description="A football score board on Holdfast's Mercure hub, with PHP.",
    # -q: Holdfast logs every request already.
    backend=lambda port, _: ("php", "-q", "-S", f"127.0.0.1:{port}", SCRIPT),
    listening=r"\(http://(\S+)\) started",
    settings=("mercure.publisher_key=a secret for this example, and for no other", "mercure.anonymous=true"),
    what_next=WHAT_NEXT,
)

if __name__ == "__main__":
    if shutil.which("php") is None:
        sys.exit("This example needs PHP: apt-get install php-cli")
    with TemporaryDirectory() as folder:
        status = main(replace(SCORE, settings=(*SCORE.settings, f"mercure.history={folder}/goals.db")))
    sys.exit(status)
