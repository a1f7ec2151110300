"""The table of keys in docs/migrating-from-pushpin.md, made of the rows by which a pushpin.conf is read.

`python -m tests.support.pushpin_reference` writes it anew after a row has changed; tests/proxy/migration/
test_pushpin_keys.py fails until that is done.
"""

from __future__ import annotations

from itertools import groupby

from proxy.migration.pushpin_keys import INTERNAL, ROWS, KeyRow
from tests.support.app_process import ROOT

DOCUMENT_FILE = ROOT / "docs" / "migrating-from-pushpin.md"

BEGIN = "<!-- begin: written by tests/support/pushpin_reference.py -->\n"
END = "<!-- end -->\n"


def document_text(document: str) -> str:
    """Return the page with the part between the marks written anew."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = (_table(section, tuple(rows)) for section, rows in groupby(ROWS, lambda row: row.name.partition(".")[0]))
    internal = f"Besides these, {len(INTERNAL)} keys of `internal.conf` have no effect: {INTERNAL[0].note}.\n\n"
    return f"{before}{BEGIN}\n{''.join(tables)}{internal}{END}{after}"


def _table(section: str, rows: tuple[KeyRow, ...]) -> str:
    lines = [f"**`[{section}]`**\n\n| key | here | |\n|---|---|---|\n"]
    lines.extend(f"| `{row.name.partition('.')[2]}` | {_place(row)} | {row.note} |\n" for row in rows)
    return "".join((*lines, "\n"))


def _place(row: KeyRow) -> str:
    if row.reader is not None:
        return ", ".join(f"`{name}`" for name in row.reader.names)
    return "obeyed" if row.is_used else "no effect"


if __name__ == "__main__":
    DOCUMENT_FILE.write_text(document_text(DOCUMENT_FILE.read_text("utf-8")), "utf-8")
