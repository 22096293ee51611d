"""Every file that is generated from the tables is up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages.generate import fill, generate

ROOT = Path(__file__).resolve().parents[1]
GENERATED = generate(ROOT)
BEGIN, END = "<!-- begin: beans, generated -->", "<!-- end: beans, generated -->"


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_generated_file_is_up_to_date(path: Path) -> None:
    """A change of a table is followed by `make generate`, in the same commit."""
    assert path.read_text(encoding="utf-8") == GENERATED[path], "run: make generate"


def test_a_page_keeps_what_was_written_by_hand() -> None:
    """Only the text between the marks is replaced."""
    page = fill(f"before\n{BEGIN}\nstale words\n{END}\nafter\n", "beans", ["new words"], name="page.md")

    assert page == f"before\n{BEGIN}\nnew words\n{END}\nafter\n"


@pytest.mark.parametrize("page", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_page_without_its_marks_is_refused(page: str) -> None:
    """A lost mark is an error; otherwise the table would be lost."""
    with pytest.raises(ValueError, match=r"page\.md must hold"):
        fill(page, "beans", [], name="page.md")
