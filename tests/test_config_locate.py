"""The locator: the line of every key, table and item."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.config.toml_document import DEEPEST, KeyPath, locate

DOCUMENT = '''\
# [no table]
top = 1
[poll]   # [no] = table
interval = "30s"
"confirm_interval" = 5 # a = 1
a . b.'c d' = """x
[fake]
y = 1 \\"""
" = # still text"""
expect = { role = ["a", { q = 1 }, "b"], n = [] }
listen = [
  "one", # ] , [
  'two#]',
  [3,
   4],

]
f = 1.5
e = []
[[t]]
x = 1
[[t]]
x = 2
[t.sub]
k = 3
[ "q.r" . s ]
z = 1979-05-27 07:32:00
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("poll",), 3),
        (("poll", "interval"), 4),
        (("poll", "confirm_interval"), 5),
        (("poll", "a"), 6),
        (("poll", "a", "b"), 6),
        (("poll", "a", "b", "c d"), 6),
        (("poll", "expect"), 10),
        (("poll", "expect", "role"), 10),
        (("poll", "expect", "role", 1, "q"), 10),
        (("poll", "expect", "n"), 10),
        (("poll", "listen"), 11),
        (("poll", "listen", 0), 12),
        (("poll", "listen", 1), 13),
        (("poll", "listen", 2), 14),
        (("poll", "listen", 2, 1), 15),
        (("poll", "f"), 18),
        (("poll", "e"), 19),
        (("t",), 20),
        (("t", 0, "x"), 21),
        (("t", 1), 22),
        (("t", 1, "x"), 23),
        (("t", 1, "sub", "k"), 25),
        (("q.r", "s"), 26),
        (("q.r", "s", "z"), 27),
    ],
)
def test_the_line_of_a_key_is_found(path: KeyPath, line: int) -> None:
    """In tables, dotted keys, inline tables, arrays over several lines, arrays of tables; past texts and comments."""
    assert locate(DOCUMENT)[path] == line


def test_what_only_looks_like_a_key_has_no_line() -> None:
    """Nothing in a comment or a text is taken for a key."""
    found = {key for path in locate(DOCUMENT) for key in path}

    assert not found & {"no table", "no", "fake", "y", "still"}


def test_deep_nesting_takes_no_stack_and_no_time() -> None:
    """The locator does not recurse, and keeps only what a complaint can be about."""
    depth = 30_000

    assert len(locate("a = " + "[" * depth + "]" * depth)) == DEEPEST
    assert len(locate("a." * depth + "a = 1")) == DEEPEST


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of everything in the parsed document *value*."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


KEY = st.text(alphabet="abc_-1", min_size=1, max_size=4)
SCALAR = st.sampled_from(
    [
        "1",
        "1.5",
        "true",
        '"a#]"',
        "'{b'",
        '"""x\n[y]\nz = 1"""',
        "'''\n'a'\n'''",
        "1979-05-27 07:32:00",
        '"\\"="',
        '""""a"""',
    ]
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # [\n".join(items) + "\n]")
        | st.dictionaries(KEY, inner, max_size=3).map(
            lambda table: "{ " + ", ".join(f"{key} = {value}" for key, value in table.items()) + " }"
        )
    ),
    max_leaves=6,
)
TABLE = st.dictionaries(KEY, VALUE, max_size=4).map(lambda table: "".join(f"{k} = {v} # c\n" for k, v in table.items()))
TOML = st.dictionaries(KEY, TABLE, max_size=4).map(lambda tables: "\n".join(f"[{k}]\n{v}" for k, v in tables.items()))


@given(TOML)
def test_everything_in_a_valid_document_has_a_line(text: str) -> None:
    """Whatever tomllib finds, the locator finds, in a line that names its last key; and nothing else."""
    parsed: dict[str, Any] = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads(text)
    found, lines = locate(text), text.split("\n")

    assert set(found) == {path for path in paths(parsed) if len(path) <= DEEPEST}
    assert all(path[-1] in lines[line - 1] for path, line in found.items() if isinstance(path[-1], str))


@given(st.text(alphabet="[]{}=.,\"'#\\\n ab1"))
def test_any_text_is_scanned(text: str) -> None:
    """Also what is no TOML does not stop the locator, though it is never handed any."""
    assert all(1 <= line <= text.count("\n") + 1 for line in locate(text).values())
