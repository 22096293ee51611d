r"""Make text from outside safe to print: one line, no control characters, nothing invisible.

Whatever a request, IMDS, AWS, a file, the journal or the command line supplied goes through `printable` before a
person sees it. A terminal obeys C0 and C1 control characters, and bidirectional overrides and invisible characters
make one name look like another (Unicode Technical Report 36). They are escaped as Python writes them: ``\x1b``,
``\u202e``.
"""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that `str.isprintable` accepts and that show nothing: those with the property Default_Ignorable_Code_Point
that are letters or marks (Unicode 16, DerivedCoreProperties.txt), and the blank Braille pattern."""


def is_printable(value: str) -> bool:
    """Return whether *value* stays on one line and holds only characters that a person can see, or plain spaces."""
    return value.isprintable() and (value.isascii() or not _INVISIBLE.search(value))


def printable(value: str) -> str:
    """Return *value* on one line, with every character escaped that `is_printable` rejects."""
    if is_printable(value):
        return value
    return "".join(each if is_printable(each) else each.encode("unicode_escape").decode("ascii") for each in value)


def shortened(value: str, longest: int) -> str:
    """Return `printable` of *value* in at most *longest* characters; an ellipsis marks that it was cut."""
    shown = printable(value[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
