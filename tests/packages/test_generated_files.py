"""What is made of the parser, the manual pages and the completions, is on the disk as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("docutils", reason="docutils is not among these libraries; `make test` has it on the newest")
pytest.importorskip("shtab", reason="shtab is not among these libraries; `make test` has it on the newest")

import completions
import manual

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {**manual.render(ROOT), **completions.render()}


@pytest.mark.parametrize("path", GENERATED, ids=str)
def test_a_file_made_of_the_parser_is_up_to_date(path: Path) -> None:
    """A change of a command or of a setting is followed by `make generate`, in the same commit; on every Python."""
    assert (ROOT / path).read_text(encoding="utf-8") == GENERATED[path], "run: make generate"
