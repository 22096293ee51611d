"""What is made of the parser and of other files is on the disk as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("docutils", reason="docutils is not among these libraries; `make test` has it on the newest")
pytest.importorskip("shtab", reason="shtab is not among these libraries; `make test` has it on the newest")

import completions
import included
import manual

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {**manual.render(ROOT), **completions.render(), **included.render(ROOT)}


@pytest.mark.parametrize("path", GENERATED, ids=str)
def test_a_file_that_is_made_is_up_to_date(path: Path) -> None:
    """A change of a command, a setting or an example is followed by `make generate`, on every Python."""
    assert (ROOT / path).read_text(encoding="utf-8") == GENERATED[path], "run: make generate"
