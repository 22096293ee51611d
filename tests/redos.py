"""Find regular expressions of the package that backtrack: ``make lint``.

recheck (https://makenowjust-labs.github.io/recheck/) judges each of them as it is used: one that has to match a whole
text may try far more than one that only searches. It comes with redos-linter and runs in deno. redos-linter's own
command does not do: it reads sources, so that it sees no expression made of parts and no use, and no named groups.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import deno
import redos_linter

import rolewatch

WHOLE = {"fullmatch"}
AT_START = {"match"}
ANYWHERE = {"findall", "finditer", "search", "split", "sub", "subn"}
HERE = Path(__file__).parent
CACHE = HERE.parent / ".venv" / "deno"
RECHECK = Path(redos_linter.__file__).with_name("recheck.bundle.js")


class Use(NamedTuple):
    """One way in which an expression is used."""

    where: str
    method: str
    source: str
    """In ECMAScript."""
    flags: str = ""


class Judged(NamedTuple):
    """What recheck says of it."""

    use: Use
    status: str
    """``safe``, ``vulnerable``, or ``unknown`` where it is too complicated to say."""
    attack: str
    """The text that costs most, in JavaScript; or why nothing is known."""


def uses() -> Iterator[Use]:
    """Yield every compiled expression of the package, once for each method that is called on it."""
    for module in pkgutil.walk_packages(rolewatch.__path__, "rolewatch."):
        if module.name.rpartition(".")[2] == "__main__":
            continue
        loaded = importlib.import_module(module.name)
        methods = _methods(Path(str(loaded.__file__)))
        for name, value in vars(loaded).items():
            if isinstance(value, re.Pattern) and name in methods:
                for method in sorted(methods[name] or WHOLE):
                    yield in_ecmascript(value, method, f"{module.name}.{name}")


def _methods(path: Path) -> dict[str, set[str]]:
    """Return the names that *path* assigns at its top, each with the methods of an expression that it calls on it.

    One that is only handed on has none: the helpers that take one match the whole text.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    found: dict[str, set[str]] = {target.id: set() for target in targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in found:
            found[node.value.id] |= {node.attr} & (WHOLE | AT_START | ANYWHERE)
    return found


def in_ecmascript(pattern: re.Pattern[Any], method: str, where: str) -> Use:
    """Return *pattern* for recheck, as *method* uses it.

    It is judged a little too strictly: a count of more than 30 has no upper bound, for recheck gives up on automata
    that are so large. Whether case counts is left out: that changes no expression's growth.
    """
    source: str = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    if pattern.flags & re.VERBOSE:
        source = _BLANKS.sub(lambda match: match["kept"] or "", source)
    for python, ecmascript in _SPELLINGS:
        source = source.replace(python, ecmascript)
    source = _COUNT.sub(_unbounded, source)
    # Two UTF-16 units to ECMAScript; one of the private use area replaces each: the order of a range is kept.
    source = "".join(each if ord(each) <= 0xFFFF else chr(0xE000 | ord(each) & 0xFFF) for each in source)
    if method not in ANYWHERE:
        source = f"^(?:{source})" + ("$" if method in WHOLE else "")
    return Use(where, method, source, "s" if pattern.flags & re.DOTALL else "")


_BLANKS = re.compile(r"(?P<kept>\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|\s+|\#[^\n]*", re.DOTALL)
_SPELLINGS = (("(?P<", "(?<"), (r"\A", "^"), (r"\Z", "$"), ("(?i)", ""), ("(?i:", "(?:"))
_COUNT = re.compile(r"\{([0-9]+),([0-9]*)\}")
_MOST_COUNTED = 30


def _unbounded(count: re.Match[str]) -> str:
    if count[2] and int(count[2]) <= _MOST_COUNTED:
        return count[0]
    return "+" if int(count[1]) else "*"


def judge(wanted: Sequence[Use]) -> list[Judged]:
    """Return what recheck says of each of *wanted*. It asks no host, and leaves nothing outside of ``.venv``."""
    done = subprocess.run(
        [
            deno.find_deno_bin(),
            "run",
            "--no-prompt",
            "--no-config",
            "--allow-read",
            HERE / "redos.js",
            RECHECK.as_uri(),
        ],
        input=json.dumps([(use.source, use.flags) for use in wanted]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "DENO_DIR": str(CACHE), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"},
    )
    return [Judged(use, **judged) for use, judged in zip(wanted, json.loads(done.stdout))]


def main() -> int:
    """Print each expression that is not known to be safe, and return 1 where there is one."""
    wrong = [each for each in judge(list(uses())) if each.status != "safe"]
    for use, status, attack in wrong:
        sys.stderr.write(f"{use.where}, {use.method}: {status}: {use.source}: {attack}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
