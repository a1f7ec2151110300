"""Holdfast in front of the chat, started together and ended together. Needs Flask and gripcontrol."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.running import Example, main

BACKEND = str(Path(__file__).with_name("backend.py"))

WHAT_NEXT = """
  Open {url}/ in two windows, and talk.

  Ctrl-C ends it.

"""

CHAT = Example(
    description="Holdfast in front of a chat.",
    backend=lambda port, _: (sys.executable, BACKEND, port),
    target="{address},over_http",
    what_next=WHAT_NEXT,
)

if __name__ == "__main__":
    if not all(importlib.util.find_spec(module) for module in ("flask", "gripcontrol")):
        sys.exit("This example needs Flask and gripcontrol: .venv/bin/pip install --editable '.[interop]'")
    with TemporaryDirectory(prefix="holdfast-chat-") as folder:
        os.environ["CHAT_DATABASE"] = f"{folder}/chat.sqlite"
        sys.exit(main(CHAT))
