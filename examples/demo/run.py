"""`make run`: Holdfast in front of the demo backend, started together and ended together."""

from __future__ import annotations

import sys
from pathlib import Path

from examples.running import Example, main

BACKEND = str(Path(__file__).with_name("backend.py"))

WHAT_NEXT = """
  Open {url}/, or in a second terminal:

      curl -N {url}/events
      curl -N '{url}/.well-known/mercure?match=demo'
      curl -d '{{"text": "Hello"}}' {url}/messages

  Ctrl-C ends it.

"""

DEMO = Example(
    description="Holdfast in front of the demo backend.",
    backend=lambda port, publish: (sys.executable, BACKEND, port, "--publish", f"http://{publish}"),
    condition="*,mercure_link",
    target="{address},over_http",
    # No history, so that no file is left behind: what was missed comes from the backend, on the other ways.
    settings=("mercure.anonymous=true", "mercure.history=", "mercure.bridge=public", "mercure.bridge_items=public"),
    what_next=WHAT_NEXT,
)

if __name__ == "__main__":
    sys.exit(main(DEMO))
