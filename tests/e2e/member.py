"""One instance of the fleet, as a process: the daemon, with settings that files would refuse for their haste.

`rolewatch run` polls every 5 s at the least. Here time is compressed, so the settings are built as `rolewatch demo`
builds them, from the JSON in the only argument. Everything else is the product: a reload reads the settings file, and
keeps the old ones where it cannot be used. The first line of output is the address of the metrics.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rolewatch import config
from rolewatch.cli import signals
from rolewatch.cli.daemon import Daemon
from rolewatch.settings import Settings


def main(text: str) -> None:
    """Run the daemon until it is asked to stop."""
    signals.block()
    given = json.loads(text)
    file = Path(given.pop("file"))
    settings = built(given)

    def load() -> tuple[Settings, Sequence[str]]:
        return settings, config.load(file, environ={}, flags={}).warnings

    daemon = Daemon(settings, load, {}, min_gap=0)
    daemon.run(signals.pause, ready=lambda endpoint: print(endpoint.addresses[0], flush=True))  # noqa: T201


def built(given: dict[str, dict[str, Any]]) -> Settings:
    """Return the settings of which *given* has what differs from the defaults, table by table."""
    tables = {}
    for field in fields(Settings):
        table = given.get(field.name, {})
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
        tables[field.name] = type(getattr(Settings(), field.name))(**values)
    return Settings(**tables)


if __name__ == "__main__":
    main(sys.argv[1])
