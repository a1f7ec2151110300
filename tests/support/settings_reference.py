"""What operators read about settings, made of the docstrings beside the fields: holdfast.toml and a part of the docs.

`python -m tests.support.settings_reference` writes both anew after a setting has changed; tests/proxy/test_config.py
fails until that is done.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from dataclasses import MISSING, fields
from pathlib import Path

from handlers.hub.settings import IssuerSettings
from proxy.config import SECTIONS

ROOT = Path(__file__).parents[2]
EXAMPLE_FILE = ROOT / "holdfast.toml"
DOCUMENT_FILE = ROOT / "docs" / "configuration.md"

EXAMPLES = {"id": '"https://issuer.example"'}
"""Values for what has no default."""

BEGIN = "<!-- begin: written by tests/support/settings_reference.py from the docstrings -->\n"
END = "<!-- end -->\n"

_EXAMPLE_HEAD = """\
# Settings of Holdfast. Read from the working directory, or else from /etc/holdfast, or from --config FILE.
# What is commented out is the default. HOLDFAST_<SECTION>_<KEY> in the environment goes before this file, and
# options of the command line go before both. `holdfast check` says what is wrong. More: docs/configuration.md.
"""


TABLES: dict[str, type] = {"mercure.issuers": IssuerSettings}
"""Settings that are tables, of which there may be several."""


def sections() -> dict[str, type]:
    """Return the settings class of each section."""
    return dict(SECTIONS)


def field_docstrings(settings: type) -> dict[str, str]:
    """Return the docstring under each field, on one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(settings))).body
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
            case _:
                pass
    return texts


def toml_value(value: object) -> str:
    """Write a default as TOML. Whole seconds are written without a fraction."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


def example_text() -> str:
    """Return holdfast.toml: every setting, commented out, at its default."""
    parts = [_EXAMPLE_HEAD]
    for section, settings in sections().items():
        texts = field_docstrings(settings)
        parts.append(f"\n[{section}]\n")
        for each in fields(settings):
            comment = textwrap.fill(
                texts[each.name], 110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
            )
            parts.append(f"\n{comment}\n#{each.name} = {toml_value(each.default)}\n")
        parts.extend(_example_table(name, each) for name, each in TABLES.items() if name.startswith(f"{section}."))
    return "".join(parts)


def _example_table(name: str, settings: type) -> str:
    """Return what a table of such settings looks like, as a comment: behind the section, whose end it is in TOML."""
    about = f"\n# {inspect.getdoc(settings)}\n# Such tables stand behind the section's other settings.\n#\n"
    lines = [
        f"# {each.name} = {EXAMPLES[each.name] if each.default is MISSING else toml_value(each.default)}\n"
        for each in fields(settings)
    ]
    return "".join((about, f"# [[{name}]]\n", *lines))


def document_text(document: str) -> str:
    """Return docs/configuration.md with the part between the marks written anew."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    written: list[str] = []
    for section, settings in sections().items():
        written.append(_table(f"[{section}]", settings))
        written.extend(_table(f"[[{name}]]", each) for name, each in TABLES.items() if name.startswith(f"{section}."))
    return f"{before}{BEGIN}{''.join(written)}{END}{after}"


def _table(heading: str, settings: type) -> str:
    texts = field_docstrings(settings)
    lines = [f"\n### `{heading}`\n\n{inspect.getdoc(settings)}\n\n| Key | Default | Meaning |\n|---|---|---|\n"]
    for each in fields(settings):
        meaning = texts[each.name].replace("|", r"\|")
        lines.append(f"| `{each.name}` | `{_default(each.default)}` | {meaning} |\n")
    return "".join((*lines, "\n"))


def _default(value: object) -> str:
    return "required" if value is MISSING else toml_value(value)


if __name__ == "__main__":
    EXAMPLE_FILE.write_text(example_text(), "utf-8")
    DOCUMENT_FILE.write_text(document_text(DOCUMENT_FILE.read_text("utf-8")), "utf-8")
