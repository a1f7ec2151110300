"""Holdfast in front of the signalling script, started together and ended together. Needs PHP."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from examples.running import Example, main

SCRIPT = str(Path(__file__).with_name("signal.php"))

WHAT_NEXT = """
  Open {url}/?room=tea in two windows.

  Ctrl-C ends it.

"""

SIGNALLING = Example(
    description="Holdfast in front of WebRTC signalling in PHP.",
    # -q: Holdfast logs every request already.
    backend=lambda port, _: ("php", "-q", "-S", f"127.0.0.1:{port}", SCRIPT),
    listening=r"\(http://(\S+)\) started",
    target="{address},over_http",
    what_next=WHAT_NEXT,
)

if __name__ == "__main__":
    if shutil.which("php") is None:
        sys.exit("This example needs PHP: apt-get install php-cli")
    sys.exit(main(SIGNALLING))
