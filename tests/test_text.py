"""Text from outside is safe to print: nothing in it moves a cursor, hides, or reorders what a person reads."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.text import is_printable, printable, shortened

OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that a terminal obeys, that reorder text, or that have no form of their own."""


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("web-server", "web-server"),
        ("Zürich 東京 é", "Zürich 東京 é"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31mred", "\\x9b31mred"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("safe\u202egnp.exe", "safe\\u202egnp.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("ro\u200ble", "ro\\u200ble"),
        ("ro\ufeffle", "ro\\ufeffle"),
        ("ro\u3164le", "ro\\u3164le"),
        ("ro\u034fle", "ro\\u034fle"),
        ("ro\ufe0fle", "ro\\ufe0fle"),
        ("a\u2028b\x85c", "a\\u2028b\\x85c"),
        ("\U000e0041", "\\U000e0041"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_what_a_terminal_obeys_or_hides_is_escaped(raw: str, shown: str) -> None:
    """C0, C1, bidirectional and invisible characters become their escapes; letters of any script stay."""
    assert printable(raw) == shown
    assert is_printable(raw) is (raw == shown)


def test_no_character_of_unicode_gets_through() -> None:
    """Every code point was tried: none that a terminal obeys is left, and what is printed is printable."""
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        shown = printable(character)

        assert is_printable(shown)
        assert shown.isascii() or unicodedata.category(character) not in OBEYED


@given(st.text(alphabet=st.characters(), max_size=40), st.integers(2, 30))
def test_what_is_cut_says_so(raw: str, longest: int) -> None:
    """A text in bounds is whole; a longer one ends with an ellipsis, after escaping."""
    shown = shortened(raw, longest)

    assert is_printable(shown)
    assert len(shown) <= longest
    assert shown == printable(raw) or shown.endswith("…")
