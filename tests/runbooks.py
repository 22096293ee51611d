"""The runbooks as a person reads them: their parts, and the commands in them."""

from __future__ import annotations

import re
from pathlib import Path

HOME = Path(__file__).parents[1] / "docs" / "runbooks"
_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)


def text(name: str) -> str:
    """Return the page *name*."""
    return (HOME / f"{name}.md").read_text(encoding="utf-8")


def part(name: str, heading: str) -> str:
    """Return the text under *heading* of the page *name*."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text(name), flags=re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name}.md has no part {heading!r}"
    return found.group(1)


def fenced(page: str, language: str) -> list[str]:
    """Return every block of *language* in *page*, without the indentation that a list gives it."""
    blocks = []
    for indent, kind, body in _FENCE.findall(page):
        if kind == language:
            blocks.append("".join(line.removeprefix(indent) for line in body.splitlines(keepends=True)))
    return blocks
