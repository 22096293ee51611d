"""The commands of the parser, for the manual and the completions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from rolewatch.cli.parser import build_parser


@dataclass(frozen=True)
class Command:
    """A complete command: ``rolewatch config check``, but not ``rolewatch config``."""

    name: str
    parser: argparse.ArgumentParser

    @property
    def options(self) -> list[argparse.Action]:
        """Its options, without ``--help``, which every command has."""
        return [action for action in self.parser._actions if action.option_strings and action.dest != "help"]  # noqa: SLF001 - argparse has no public name for it

    @property
    def words(self) -> list[argparse.Action]:
        """Its positional arguments."""
        return [action for action in self.parser._actions if not action.option_strings]  # noqa: SLF001 - likewise


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield *parser* and all below it."""
    yield parser
    for action in parser._actions:  # noqa: SLF001 - likewise
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            for below in action.choices.values():
                yield from parsers(below)


def commands() -> list[Command]:
    """Return every command, in the order of ``rolewatch --help``."""
    leaves = [each for each in parsers(build_parser()) if not each._subparsers]  # noqa: SLF001 - likewise
    return [Command(leaf.prog, leaf) for leaf in leaves]
