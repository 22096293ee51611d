"""The command line, the composition root: builds everything, runs it, and returns an exit status."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

import rolewatch
from rolewatch.cli import output
from rolewatch.errors import ConfigError, RolewatchError, UnavailableError

EX_USAGE = 64
EX_UNAVAILABLE = 69
EX_IOERR = 74
EX_CONFIG = 78
EX_INTERRUPTED = 130
"""Of sysexits.h. 1, 2 and 3 are verdicts, as of ``check``, so that no mistake of the caller's may look like one."""

COMMANDS = {
    "run": "run the daemon",
    "status": "show what the running daemon says",
    "check": "poll once, and say what is wrong and how to fix it",
    "diagnose": "find the root cause, with the AWS API, and its fix",
    "preflight": "see whether a launch or a role would work, before it is tried",
    "explain": "say what a fault means, and how to fix it",
    "history": "show what happened, from the journal",
    "rules": "print the alerting rules for Prometheus",
    "config": "check or show the settings",
    "simulate": "run a simulated IMDS with every fault, for tests",
    "demo": "watch a simulated IMDS go through its faults",
}
"""Each command is a module of this package with `add_parser` and `run`; only the one that is called is imported."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of *argv* and return its exit status.

    Of an interrupt it is 130, where the output cannot be written 74 (EX_IOERR): neither looks like a verdict. 74 also
    ends a command that an unexpected error of the system stops.
    """
    # Closed by the process that started this one.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a locale without our characters is no reason to fail
    stdout = sys.stdout
    sys.stdout = cast("TextIO", _Output(stdout))
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except RolewatchError as error:
        for problem in getattr(error, "problems", (error,)):
            output.complain(problem)
        return exit_status(error)
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except _OutputError as error:
        # Nobody is left to read it (`| head`), or it cannot be written: Python would complain once more at exit.
        stdout = _nowhere()
        if error.errno != errno.EPIPE:
            output.complain(f"the output cannot be written: {error.strerror}")
        return EX_IOERR
    except OSError as error:
        output.complain(f"unexpected error: {error}")
        return EX_IOERR
    finally:
        sys.stdout = stdout
    return status


class _OutputError(OSError):
    """Standard output cannot be written."""


class _Output:
    """Standard output, which raises `_OutputError` in the place of every other `OSError`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of a text stream
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _marked():
            return self._stream.write(text)

    def flush(self) -> None:
        with _marked():
            self._stream.flush()


@contextlib.contextmanager
def _marked() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _OutputError(error.errno, error.strerror) from error


def _run(words: list[str]) -> int:
    if words[:1] == ["run"]:
        # Reload and poll: until the daemon takes them (`signals`) they would end it, and its imports take a while.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    if words[:1] == ["--version"]:
        print(f"rolewatch {rolewatch.__version__}")
        return 0
    if words == ["run"]:  # as the unit has it: there is nothing to parse, and argparse is 0.4 MiB
        from rolewatch.cli import run  # noqa: PLC0415 - only this command needs it

        return run.run(run.RunOptions())

    from rolewatch.cli.parser import build_parser  # noqa: PLC0415 - argparse is 0.4 MiB, and `run` does without

    parser = build_parser(words[0] if words and words[0] in COMMANDS else None)
    arguments = parser.parse_args(words)
    if arguments.command is None:
        parser.print_help()
        return EX_USAGE
    return int(arguments.run(arguments))


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def exit_status(error: RolewatchError) -> int:
    """Return the exit status that says what kind of mistake *error* is."""
    if isinstance(error, ConfigError):  # each problem begins with the place of its value
        return EX_USAGE if all(problem.startswith("--") for problem in error.problems) else EX_CONFIG
    return EX_UNAVAILABLE if isinstance(error, UnavailableError) else EX_USAGE
