"""``rolewatch config``: check the settings, or show them with the origin of each."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rolewatch import config
from rolewatch.cli import COMMANDS, output
from rolewatch.config.keys import KEYS, TABLES
from rolewatch.config.toml_files import DEFAULT_FILE
from rolewatch.errors import ConfigError
from rolewatch.text import printable


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``config check`` and ``config show``."""
    parser = commands.add_parser(
        "config",
        help=COMMANDS["config"],
        description="Check or show the settings from the files, the environment and the defaults.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="print every mistake with its place",
        description="Print every mistake in the settings with its file and line, and every problem with the "
        "certificate of the HTTP endpoint. Exit status: 0 no mistake, 78 the settings cannot be used.",
    )
    show = actions.add_parser(
        "show",
        help="show the settings in force",
        description="Show the settings in force and the origin of each. Exit status: 0, or 78 if the settings cannot "
        "be used.",
    )
    form = show.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_const", const="json", dest="format", help="print JSON")
    form.add_argument("--toml", action="store_const", const="toml", dest="format", help="print a settings file")
    for one, act in ((check, _check), (show, _show)):
        one.add_argument(
            "--config",
            metavar="FILE",
            type=Path,
            help=f"read this file alone (default: {DEFAULT_FILE} and conf.d/*.toml beside it)",
        )
        one.set_defaults(run=run, act=act, format="table")


def run(arguments: argparse.Namespace) -> int:
    """Run the action and return the exit status. Raise `ConfigError` if the settings cannot be used."""
    loaded = config.load(arguments.config, environ=os.environ, flags={})
    for warning in loaded.warnings:
        output.complain(warning)
    print(arguments.act(loaded, arguments.format))
    return 0


def _check(loaded: config.Loaded, _: str) -> str:
    """Return one line with the counts of what was read. Raise `ConfigError` if a certificate cannot be used."""
    _check_certificate(loaded)
    files = f"{len(loaded.files)} file{'' if len(loaded.files) == 1 else 's'}"
    changed = sum(origin != "default" for origin in loaded.origins.values())
    defaults = len(KEYS) - changed
    return f"ok: {files}, {changed} setting{'' if changed == 1 else 's'} given, {defaults} at their defaults"


def _check_certificate(loaded: config.Loaded) -> None:
    from rolewatch.http import tls  # noqa: PLC0415 - only for `config check`

    settings = loaded.settings.metrics.tls
    try:
        tls.make_context(settings)
        for setting, doubt in tls.find_warnings(settings, datetime.now(timezone.utc)):
            output.complain(f"{loaded.origins[setting]}: {doubt}")
    except tls.UnusableFileError as error:
        raise ConfigError(f"{loaded.origins[error.setting]}: {error}") from None


def _show(loaded: config.Loaded, form: str) -> str:
    if form == "json":
        import json  # noqa: PLC0415 - only for --json

        return json.dumps(_document(loaded), indent=2)
    if form == "toml":
        return "\n\n".join(_toml(loaded))
    return "\n".join(_table(loaded))


def _toml(loaded: config.Loaded) -> Iterator[str]:
    """Yield each table of a settings file that gives the same settings again, each with its origin in a comment."""
    for table in TABLES:
        keys = [key for key in KEYS.values() if key.table == table]
        lines = [
            f"{key.field} = {key.to_toml(key.value_in(loaded.settings))}  # {loaded.origins[key.name]}" for key in keys
        ]
        yield "\n".join([f"[{table}]", *lines])


def _document(loaded: config.Loaded) -> dict[str, object]:
    """Return the document of ``--json``. The keys are a contract. Durations are seconds."""
    tables: dict[str, dict[str, object]] = {}
    for name, key in KEYS.items():
        shown = {"value": key.value_in(loaded.settings), "origin": loaded.origins[name]}
        tables.setdefault(key.table, {})[key.field] = shown
    return {
        "schema": 1,
        "settings": tables,
        "endpoint": config.resolve_endpoint(loaded.settings.imds),
        "files": list(loaded.files),
        "warnings": list(loaded.warnings),
    }


def _table(loaded: config.Loaded) -> list[str]:
    """Return the lines of an aligned table, and the address of IMDS."""
    rows = [("SETTING", "VALUE", "FROM")]
    rows += [(name, key.to_toml(key.value_in(loaded.settings)), loaded.origins[name]) for name, key in KEYS.items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for name, value, origin in rows]
    return [*map(printable, lines), "", f"IMDS address: {config.resolve_endpoint(loaded.settings.imds)}"]
