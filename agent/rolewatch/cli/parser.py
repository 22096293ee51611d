"""The parser of the command line. Apart from the package, so that the daemon does not load argparse."""

from __future__ import annotations

import argparse
import importlib
from typing import NoReturn

from rolewatch.cli import COMMANDS, EX_USAGE, output
from rolewatch.text import printable


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes end with EX_USAGE instead of 2, which means ``failed`` here."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, and exit."""
        output.print_error(self.format_usage().rstrip("\n"))
        output.print_error(f"{self.prog}: {printable(message)}")
        self.exit(EX_USAGE)


def build_parser(only: str | None = None) -> Parser:
    """Return the parser of all commands, or with the arguments of the command *only*: each costs an import."""
    parser = Parser(prog="rolewatch", description="Watch the credentials that an EC2 instance gets from its role.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, summary in COMMANDS.items():
        if only in (None, name):
            importlib.import_module(f"rolewatch.cli.{name}").add_parser(commands)
        else:
            commands.add_parser(name, help=summary)
    return parser
