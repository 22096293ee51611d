"""The command line, the composition root: builds everything, runs it, and returns an exit status."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import List, NoReturn, Optional, Sequence, TextIO

import rolewatch
from rolewatch.errors import ConfigError, RolewatchError, UnavailableError
from rolewatch.text import printable


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes end with EX_USAGE instead of 2, which means ``failed`` here."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, and exit."""
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {printable(message)}\n")


def build_parser(only: Optional[str] = None) -> Parser:
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


EX_USAGE = 64
EX_UNAVAILABLE = 69
EX_IOERR = 74
EX_CONFIG = 78
EX_INTERRUPTED = 130
"""Of sysexits.h. 1, 2 and 3 are verdicts of ``check``, so that no mistake of the caller's may look like one."""

COMMANDS = {
    "run": "watch, as a daemon",
    "check": "look once, and say what is wrong and what to do",
    "diagnose": "say why, with what AWS says",
    "preflight": "see whether a launch or a role would work, before it is tried",
    "explain": "say what a fault means",
    "history": "show what happened, from the journal",
    "rules": "print the alerts for Prometheus",
    "config": "check or show the settings",
    "simulate": "be an IMDS with every fault, to test with",
    "demo": "watch a simulated IMDS go through its faults",
}
"""Each command is a module of this package with `add_parser` and `run`; only the one that is called is imported."""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command of *argv* and return its exit status.

    Of an interrupt it is 130, where the output cannot be written 74 (EX_IOERR): neither looks like a verdict.
    """
    sys.stdout = sys.stdout or _nowhere()  # closed by who started us
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a locale without our characters is no reason to fail
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except RolewatchError as error:
        for problem in getattr(error, "problems", (error,)):
            _complain(problem)
        return exit_status(error)
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except OSError as error:
        # Nobody is left to read it (`| head`), or it cannot be written: Python would complain once more at exit.
        sys.stdout = _nowhere()
        if not isinstance(error, BrokenPipeError):
            _complain(f"the output cannot be written: {error.strerror}")
        return EX_IOERR
    return status


def _run(words: List[str]) -> int:
    if words[:1] == ["run"]:
        # Reload and poll: until the daemon takes them (`signals`) they would end it, and its imports take a while.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    if words[:1] == ["--version"]:
        print(f"rolewatch {rolewatch.__version__}")
        return 0
    if words == ["run"]:  # as the unit has it: there is nothing to parse, and argparse is 0.4 MiB
        from rolewatch.cli import run  # noqa: PLC0415 - only this command needs it

        return run.run(run.Given())

    parser = build_parser(words[0] if words and words[0] in COMMANDS else None)
    arguments = parser.parse_args(words)
    if arguments.command is None:
        parser.print_help()
        return EX_USAGE
    return int(arguments.run(arguments))


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _complain(problem: object) -> None:
    with contextlib.suppress(OSError):
        print(f"rolewatch: {printable(str(problem))}", file=sys.stderr)


def exit_status(error: RolewatchError) -> int:
    """Return the exit status that says what kind of mistake *error* is."""
    if isinstance(error, ConfigError):
        return EX_CONFIG
    return EX_UNAVAILABLE if isinstance(error, UnavailableError) else EX_USAGE
