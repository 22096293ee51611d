"""The parser of the command line. In its own module, because the daemon does not load argparse."""

from __future__ import annotations

import argparse
import importlib
from typing import NoReturn

from rolewatch.cli import COMMANDS, EX_USAGE, output
from rolewatch.text import printable


class Parser(argparse.ArgumentParser):
    """An argument parser that exits with EX_USAGE on wrong usage, not with 2, which means the state ``failed``."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and *message*, and exit."""
        output.print_error(self.format_usage().rstrip("\n"))
        output.print_error(f"{self.prog}: {printable(message)}")
        self.exit(EX_USAGE)


def build_parser(only: str | None = None) -> Parser:
    """Return the parser of all commands. With *only* it imports and knows the arguments of that command alone."""
    parser = Parser(prog="rolewatch", description="Watch the credentials that an EC2 instance gets from its role.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, summary in COMMANDS.items():
        if only in (None, name):
            importlib.import_module(f"rolewatch.cli.{name}").add_parser(commands)
        else:
            commands.add_parser(name, help=summary)
    return parser
