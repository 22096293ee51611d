"""The pages that include a file: its content goes between the marks with its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pages.generate import fill

PAGES = (Path("docs/install.md"),)
_MARK = re.compile(r"^<!-- begin: (packaging/\S+), generated -->$", re.MULTILINE)


def render(root: Path) -> Mapping[Path, str]:
    """Return the text of each page with the included files, by its path below *root*."""
    return {page: _filled(root, (root / page).read_text(encoding="utf-8"), page.name) for page in PAGES}


def _filled(root: Path, text: str, name: str) -> str:
    for shown in _MARK.findall(text):
        content = (root / shown).read_text(encoding="utf-8").rstrip("\n")
        text = fill(text, shown, [f"```{Path(shown).suffix[1:]}", content, "```"], name=name)
    return text
