"""``rolewatch run``: the daemon."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rolewatch.cli import COMMANDS, options, signals
from rolewatch.settings import Settings


@dataclass(frozen=True)
class RunOptions(options.CommonOptions):
    """The options of ``run``. The defaults mean that none was used."""

    listen: Sequence[str] | None = None


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``run``."""
    parser = commands.add_parser(
        "run",
        help=COMMANDS["run"],
        description="Poll IMDS, and report to Prometheus and the journal. SIGHUP reloads the settings, SIGUSR1 polls "
        "at once, SIGTERM stops the daemon. Exit status: 0 stopped by a signal, 64 wrong usage, 69 an address cannot "
        "be bound or a certificate cannot be used, 78 wrong settings.",
    )
    options.add_options(parser)
    parser.add_argument(
        "--listen", metavar="HOST:PORT", action="append", help="address of the HTTP endpoint (default: 127.0.0.1:10169)"
    )
    parser.set_defaults(run=run)


def run(arguments: RunOptions) -> int:
    """Run until a signal stops it."""
    signals.block()
    _no_core_dumps()
    # rich is for people at a terminal. structlog would load it for tracebacks that the daemon never renders: 6 MiB.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    from rolewatch.cli.daemon import Daemon  # noqa: PLC0415 - after the line above
    from rolewatch.http import tls  # noqa: PLC0415 - likewise

    listen = tuple(arguments.listen) if arguments.listen else None

    def load() -> tuple[Settings, Sequence[str]]:
        loaded = options.load(arguments, **{"metrics.listen": listen})
        doubts = tls.find_warnings(loaded.settings.metrics.tls, datetime.now(timezone.utc))
        return loaded.settings, [*loaded.warnings, *(text for _, text in doubts)]

    settings, warnings = load()
    Daemon(settings, load, os.environ, warnings=warnings).run(signals.pause)
    return 0


def _no_core_dumps() -> None:
    """Keep the memory out of core dumps, and let SIGABRT (the watchdog's) print the stack of every thread.

    `faulthandler` prints no values of variables.
    """
    import faulthandler  # noqa: PLC0415 - only the daemon needs them
    import resource  # noqa: PLC0415 - likewise

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit applies to files only. A program that core dumps are piped to still gets one, and so does `gcore`.
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")
    faulthandler.enable()
