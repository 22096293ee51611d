"""The architecture: which room imports which, reads a clock, or prints. Read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "agent" / "rolewatch"

GROUND = {"authority", "aws_names", "errors", "files", "observation", "settings", "shell", "text", "vocabulary"}
"""Closed sets, values and helpers, which every room may use. No prose, no I/O but files."""

MAY_IMPORT = {
    # The ground floor.
    "vocabulary": set(),
    "text": set(),
    "shell": set(),
    "files": set(),
    "aws_names": set(),
    "authority": set(),
    "observation": {"vocabulary"},
    "errors": {"observation"},
    "settings": set(),
    # What each fault is, in prose. No decision.
    "faults": {"aws_names", "shell", "text", "vocabulary"},
    # Asks IMDS, never judges.
    "imds": GROUND,
    # Reports, and one module for each publisher.
    "publish": {"faults"} | GROUND,
    # Serves the last report.
    "http": {"faults", "publish"} | GROUND,
    # Judges, remembers, and turns the loop.
    "monitor": {"faults", "imds", "publish"} | GROUND,
    # The settings as people write them.
    "config": {"authority", "aws_names", "errors", "files", "settings", "text"},
    # Rules for Prometheus, from the table of faults.
    "alerts": {"faults", "vocabulary"},
    # An IMDS of its own, which shares no code with the client that it tests.
    "simulator": {"authority", "errors", "faults", "vocabulary"},
    # Asks AWS. Only commands import these three.
    "aws": {"faults", "imds"} | GROUND,
    "aws.diagnose": {"aws", "faults", "imds", "monitor", "publish"} | GROUND,
    "aws.preflight": {"aws", "faults"} | GROUND,
    # The composition root.
    "cli": {
        "__init__",
        "alerts",
        "aws",
        "aws.diagnose",
        "aws.preflight",
        "config",
        "faults",
        "http",
        "imds",
        "monitor",
        "publish",
        "simulator",
    }
    | GROUND,
    "__main__": {"cli"},
    "__init__": set(),
}
"""Which rooms each room may import, besides itself. A room is a package, or a module of the ground floor."""

ROOMS_IN_ROOMS = {"aws": {"diagnose", "preflight"}}
"""Packages inside a package that are rooms of their own."""

ONLY_IN = {
    "requests": {"imds"},
    "urllib3": {"imds"},
    "structlog": {"publish"},
    "prometheus_client": {"publish"},
    "systemd": {"publish", "cli"},
    "boto3": {"aws"},
    "botocore": {"aws"},
    "rich": {"cli"},
    "time": {"monitor", "cli"},
}
"""The only rooms that import what is heavy, dangerous, or a clock."""

MAY_OPEN_FILES = {
    "files.py": "it is the one that does",
    "__init__.py": "its own metadata, beside the package",
    "imds/host.py": "files of the kernel",
    "aws/diagnose/programs.py": "a namespace of the kernel, and its own pipe",
    "cli/__init__.py": "/dev/null",
    "cli/output.py": "/dev/null",
    "cli/poll_once.py": "a file of the kernel",
    "cli/run.py": "a file of the kernel",
    "http/__init__.py": "/etc/hosts, which root alone writes, and which may be longer than what is read",
}
"""The modules that open files, and which."""

OPENS_FILES = {"open", "fdopen", "read_bytes", "read_text", "write_bytes", "write_text", "mkstemp"}
"""The functions and methods that open a file."""

CLOCKS = {"now", "utcnow", "today"}
"""What reads a clock in `datetime`."""


class Import(NamedTuple):
    """One imported module, ours or not, and the line that asks for it."""

    name: str
    line: str


def modules() -> Iterator[Path]:
    """Yield every module of the package."""
    return iter(sorted(PACKAGE.rglob("*.py")))


def home(path: Path) -> str:
    """Return the room that *path* belongs to."""
    return room(path.relative_to(PACKAGE).with_suffix("").parts)


def room(parts: Sequence[str]) -> str:
    """Return the room of the module whose name below ``rolewatch`` has these *parts*."""
    first, second = parts[0], parts[1] if len(parts) > 1 else ""
    return f"{first}.{second}" if second in ROOMS_IN_ROOMS.get(first, ()) else first


def where(path: Path, node: ast.AST) -> str:
    """Return the place of *node*, as an editor understands it."""
    return f"{path.relative_to(PACKAGE.parent)}:{getattr(node, 'lineno', 0)}"


@cache
def tree(path: Path) -> ast.AST:
    """Return the syntax tree of *path*."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[Import]:
    """Yield what *path* imports, anywhere in it; ``from rolewatch import x`` counts as ``rolewatch.x``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, where(path, node)) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "rolewatch" else [base]
            yield from (Import(name, where(path, node)) for name in names)


def ours() -> Iterator[tuple[str, str, str]]:
    """Yield who imports which of our modules, and where."""
    for path in modules():
        for name, line in imports(path):
            first, *rest = name.split(".")
            if first == "rolewatch" and rest:
                yield home(path), room(rest), line


def test_every_module_has_its_row_in_the_table() -> None:
    """A new module needs a row with its imports; the row of a removed module goes with it."""
    assert {home(path) for path in modules()} == set(MAY_IMPORT)


def test_nobody_imports_what_the_table_does_not_grant() -> None:
    """There is one way, observe → classify → track → publish, and nothing takes a short cut."""
    wrong = [
        f"{line}: {importer} may not import {imported}"
        for importer, imported, line in ours()
        if imported not in {importer, *MAY_IMPORT[importer]}
    ]

    assert wrong == []


def test_nobody_imports_cli_but_the_entry_point() -> None:
    """The composition root composes, and nothing depends on how."""
    assert {importer for importer, imported, _ in ours() if imported == "cli"} <= {"cli", "__main__"}


def test_imports_are_absolute() -> None:
    """A relative import hides from the table above."""
    assert [line for path in modules() for name, line in imports(path) if name.startswith(".")] == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    """One door to the outside for each: requests in imds, clocks in monitor and cli, boto3 in aws."""
    wrong = [
        line
        for path in modules()
        for name, line in imports(path)
        if name.partition(".")[0] == library and home(path) not in ONLY_IN[library]
    ]

    assert wrong == []


def test_nobody_asks_datetime_for_the_time_but_monitor_and_cli() -> None:
    """Everywhere else `now` is a value, so that every test can say what time it is."""
    wrong = [
        where(path, node)
        for path in modules()
        if home(path) not in {"monitor", "cli"}
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in CLOCKS
        and isinstance(node.value, (ast.Name, ast.Attribute))
        and ast.unparse(node.value).rpartition(".")[2] in {"datetime", "date"}
    ]

    assert wrong == []


def test_one_module_decides_what_is_printable() -> None:
    """A second copy would forget a character: C1 controls, bidirectional overrides, what is invisible."""
    wrong = [
        where(path, node)
        for path in modules()
        if home(path) != "text"
        for node in ast.walk(tree(path))
        if getattr(node, "attr", None) == "isprintable" or getattr(node, "value", None) == "unicode_escape"
    ]

    assert wrong == []


def test_nothing_is_asserted_in_the_product() -> None:
    """`python -O` takes assertions away, and control flow must not go with them."""
    wrong = [where(path, node) for path in modules() for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]

    assert wrong == []


def test_only_commands_print() -> None:
    """Everything else writes through publish: a stray line on standard output would end up in the journal."""
    wrong = [
        where(path, node)
        for path in modules()
        if home(path) != "cli"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert wrong == []


def test_one_module_writes_to_standard_error() -> None:
    """A write to standard error may wait for its reader or fail. `output.complain` does neither."""
    wrong = [
        where(path, node)
        for path in modules()
        if path != PACKAGE / "cli" / "output.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and any(
            ast.unparse(part).startswith("sys.stderr")
            for part in (node.func, *node.args, *(keyword.value for keyword in node.keywords))
        )
    ]

    assert wrong == []


def test_nobody_opens_files_but_the_module_that_cannot_be_held_up() -> None:
    """A FIFO, a link or a device in the place of a file is the business of one module."""
    openers = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and (node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")) in OPENS_FILES
    }

    assert openers == set(MAY_OPEN_FILES)
