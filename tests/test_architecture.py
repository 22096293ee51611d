"""One way through the house: who may import whom, who may read a clock, who may speak. Read from the source."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Iterator, NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "agent" / "rolewatch"

NOUNS = {"errors", "faults", "model", "settings"}

MAY_IMPORT = {
    # The nouns.
    "fault_table": set(),
    "faults": {"fault_table"},
    "model": {"faults"},
    "errors": {"model"},
    "settings": set(),
    "authority": set(),
    # What makes text from outside safe to print.
    "text": set(),
    # What puts names into printed commands.
    "shell": set(),
    "files": set(),
    "memory": {"faults", "model"},
    # observe asks and never judges.
    "imds": {"errors", "model", "reader", "settings", "wire"},
    "wire": {"model", "reader"},
    "reader": set(),
    "documents": {"errors", "model"},
    "observe": {"documents", "imds"} | NOUNS,
    # classify judges and never asks.
    "classify": {"faults", "model", "settings"},
    # What another process found out from AWS.
    # What is kept in files, and may be anything.
    "decoding": {"documents", "model", "text"},
    "confirmation": {"decoding", "documents", "errors", "faults", "files", "model"},
    # track remembers. `Known` is what it hands to classify.
    "cadence": {"memory", "model", "settings"},
    "track": {"cadence", "classify", "confirmation", "explain", "memory", "tell"} | NOUNS,
    "state_file": {"cadence", "decoding", "documents", "files", "memory", "text"} | NOUNS,
    # The words for people, made of the table of faults.
    "explain": {"faults", "model", "shell", "text"},
    "tell": {"explain", "faults", "model", "text"},
    # What Prometheus is to tell, made of the table of faults.
    "alerts": {"explain", "faults"},
    # publish tells and never decides.
    "publish": {"authority", "explain", "files", "tell", "text"} | NOUNS,
    # watch turns it.
    "schedule": {"faults", "memory", "model", "settings"},
    "watch": {
        "classify",
        "confirmation",
        "imds",
        "memory",
        "observe",
        "publish",
        "schedule",
        "state_file",
        "tell",
        "track",
    }
    | NOUNS,
    # The settings as people write them.
    "config": {"authority", "errors", "files", "model", "settings", "text"},
    # An IMDS of its own, which shares no code with the client that it proves.
    "simulator": {"authority", "errors", "faults", "model"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""Which of our modules and subpackages each of them may import, besides itself. `cli` builds everything, from all."""

ONLY_IN = {
    "requests": {"imds", "wire"},
    "urllib3": {"wire"},
    "structlog": {"publish"},
    "prometheus_client": {"publish"},
    "systemd": {"publish", "cli"},
    "boto3": {"aws"},
    "botocore": {"aws"},
    "rich": {"cli"},
    "time": {"watch", "cli"},
}
"""The only homes of what is heavy, dangerous, or a clock."""

MAY_OPEN_FILES = {
    "files.py": "it is the one that does",
    "__init__.py": "its own metadata, beside the package",
    "aws/host.py": "files of the kernel",
    "cli/__init__.py": "/dev/null",
    "cli/output.py": "/dev/null",
    "cli/run.py": "a file of the kernel",
    "cli/simulate.py": "a file that a person names, which may be a pipe",
    "cli/state.py": "a file of the kernel",
    "publish/host_check.py": "/etc/hosts, which root alone writes, and which may be longer than what is read",
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
    """Return the top-level module or subpackage that *path* belongs to."""
    return path.relative_to(PACKAGE).parts[0].partition(".")[0]


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
            first, _, rest = name.partition(".")
            if first == "rolewatch" and rest:
                yield home(path), rest.partition(".")[0], line


def test_every_module_has_its_row_in_the_table() -> None:
    """A new module says whom it may import; a row without a module is gone with it."""
    assert {home(path) for path in modules()} - {"cli", "aws"} == set(MAY_IMPORT)


def test_nobody_imports_what_the_table_does_not_grant() -> None:
    """There is one way, observe → classify → track → publish, and nothing takes a short cut."""
    wrong = [
        f"{line}: {importer} may not import {imported}"
        for importer, imported, line in ours()
        if importer not in {"cli", "aws", imported} and imported not in MAY_IMPORT[importer]
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
    """One door to the outside for each: requests in imds and wire, clocks in watch and cli, boto3 in aws."""
    wrong = [
        line
        for path in modules()
        for name, line in imports(path)
        if name.partition(".")[0] == library and home(path) not in ONLY_IN[library]
    ]

    assert wrong == []


def test_nobody_asks_datetime_for_the_time_but_watch_and_cli() -> None:
    """Everywhere else `now` is a value, so that every test can say what time it is."""
    wrong = [
        where(path, node)
        for path in modules()
        if home(path) not in {"watch", "cli"}
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
    """Everything else tells through publish: a stray line on standard output would end up in the journal."""
    wrong = [
        where(path, node)
        for path in modules()
        if home(path) != "cli"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
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
