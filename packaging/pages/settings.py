"""What is generated from the table of keys: the shipped ``rolewatch.toml``, and the tables of the documentation.

What a setting means is its attribute docstring in `settings`, so that there is one place to say it.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from rolewatch import settings
from rolewatch.config.keys import KEYS, TABLES, Key
from rolewatch.config.sources import SDK_VARIABLES

SHIPPED_FILE = Path("packaging/rolewatch.toml")
DOCUMENTATION = Path("docs/configuration.md")
BEGIN, END = "<!-- generated: settings -->", "<!-- end of what is generated -->"
_WIDTH = 100
_TABLE = re.compile(r"``\[([\w.]+)\]``: (.*)", re.DOTALL)
_MARKUP = re.compile(r"([*\[\]<>_])")
_HEAD = """\
Settings of rolewatch. Each line has a default value, behind a #: remove the # to change the setting.

For automation, use a separate file, /etc/rolewatch/conf.d/50-site.toml: rolewatch reads such files after this one, \
in the order of their names, and an upgrade of the package never asks about them.

Durations are numbers of seconds, or texts such as "30s", "5m" and "1h30m".
After a change: `rolewatch config check`, then `systemctl reload rolewatch`."""


def meanings() -> dict[str, str]:
    """Return what each setting (``poll.interval``) and each table (``poll``) means, on one line."""
    found: dict[str, str] = {}
    for node in ast.parse(inspect.getsource(settings)).body:
        document = ast.get_docstring(node) if isinstance(node, ast.ClassDef) else None
        table = _TABLE.match(document or "")
        if isinstance(node, ast.ClassDef) and table:
            found[table[1]] = _on_one_line(table[2])
            for field, text in zip(node.body, node.body[1:]):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    found[f"{table[1]}.{field.target.id}"] = _on_one_line(_text_of(text))
    return found


def _text_of(node: ast.stmt) -> str:
    """Return the text of *node*; nothing where it is no text, and the attribute before it has no docstring."""
    value = getattr(node, "value", None)
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _on_one_line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def render_file() -> str:
    """Return ``rolewatch.toml`` as it is shipped."""
    explained = meanings()
    lines = [line for paragraph in _HEAD.splitlines() for line in _comment(paragraph)]
    for table in TABLES:
        lines += ["", "", *_comment(_sentence(explained[table])), f"[{table}]"]
        for key in _of(table):
            lines += ["", *_comment(explained[key.name]), *_comment(f"Accepts: {key.read.expects}.")]
            lines.append(f"#{key.field} = {key.to_toml(key.default)}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH - 2, break_on_hyphens=False)] or ["#"]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _of(table: str) -> Iterator[Key]:
    return (key for key in KEYS.values() if key.table == table)


def render_tables() -> str:
    """Return the tables of ``docs/configuration.md``: every setting, and every variable of the SDKs."""
    explained = meanings()
    lines: list[str] = []
    for table in TABLES:
        lines += [f"### `[{table}]`: {explained[table].rstrip('.')}", ""]
        lines += ["| key | accepts | default | environment variable | meaning |", "|---|---|---|---|---|"]
        for key in _of(table):
            default = f"`{key.to_toml(key.default)}`"
            cells = (
                f"`{key.field}`",
                _cell(key.read.expects),
                default,
                f"`{key.variable}`",
                _cell(explained[key.name]),
            )
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines += ["### Variables of the AWS SDKs", "", "| environment variable | is the default of |", "|---|---|"]
    lines += [f"| `{variable}` | `{name}` |" for variable, name in SDK_VARIABLES.items()]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return *text* as a cell of a Markdown table, in which no character outside of code means anything."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def renew(document: str) -> str:
    """Return *document* with its generated part as it should be."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{render_tables()}\n{END}{tail}"
