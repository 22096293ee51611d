"""The completions for bash, zsh and fish, which shtab generates from the parser and the names of `NAMES`.

They start no process: they contain all completions.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

import shtab

from command_line import parsers
from rolewatch.cli.parser import build_parser
from rolewatch.faults import FAULTS
from rolewatch.simulator.scenarios import SCENARIOS

FILES = {
    "bash": Path("packaging/completions/rolewatch.bash"),
    "zsh": Path("packaging/completions/_rolewatch"),
    "fish": Path("packaging/completions/rolewatch.fish"),
}
NAMES = {
    "FAULT": [fault.value for fault in FAULTS],
    "REASON": sorted({reason for entry in FAULTS.values() for reason in entry.variants}),
    "SCENARIO": [scenario.name for scenario in SCENARIOS],
}
"""The lists of names, by their placeholder in the help."""
PLACES = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
HEAD = "# Made by `make generate`, with shtab (https://github.com/tqdm/shtab, Apache-2.0), of the parser of rolewatch."


def render() -> Mapping[Path, str]:
    """Return the generated text of each file, by its path below the root of the project."""
    parser = build_parser()
    for each in parsers(parser):
        for action in each._actions:  # noqa: SLF001 - argparse has no public name for it
            _fit(action)
    return {path: _headed(shtab.complete(parser, shell=shell)) for shell, path in FILES.items()}


def _fit(action: argparse.Action) -> None:
    """Set the completions of *action*."""
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
        # The one-line help of a command: shtab would use the whole description.
        for choice in action._choices_actions:  # noqa: SLF001 - likewise
            action.choices[choice.dest].description = choice.help
    metavar = str(action.metavar)
    action.choices = NAMES.get(metavar, action.choices)
    if metavar in PLACES:
        action.complete = PLACES[metavar]  # type: ignore[attr-defined]  # shtab looks for it


def _headed(script: str) -> str:
    """Return *script* with `HEAD` instead of shtab's instructions for users."""
    text, count = re.subn(r"^# AUTOMATICALLY GENERATED .*\n(#.*\n)*", f"{HEAD}\n", script, count=1, flags=re.MULTILINE)
    if count != 1:
        message = "the head of shtab's scripts has changed: see completions.py"
        raise ValueError(message)
    return text.rstrip("\n") + "\n"
