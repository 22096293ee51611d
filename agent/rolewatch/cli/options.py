"""The options that commands share, and the settings that they lead to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rolewatch.config import Loaded
from rolewatch.config import load as config_load
from rolewatch.text import parse_duration

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class CommonOptions:
    """The values of the options below. The defaults mean that none was used."""

    config: Path | None = None
    endpoint: str | None = None
    expect_role: Sequence[str] | None = None


def seconds(text: str) -> float:
    """Return the seconds of a duration, for argparse. Raise `ArgumentTypeError` if *text* is none."""
    from argparse import ArgumentTypeError  # noqa: PLC0415 - `rolewatch run` does without argparse

    found = parse_duration(text)
    if found is None:
        message = f"{text!r} is not a duration; write 90s, 5m, 1h30m or 7d"
        raise ArgumentTypeError(message)
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the settings file, the IMDS to poll and the expected role."""
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="settings file (default: /etc/rolewatch/rolewatch.toml)"
    )
    parser.add_argument("--endpoint", metavar="URL", help="IMDS to poll (default: the well-known address)")
    parser.add_argument(
        "--expect-role",
        metavar="NAME",
        action="append",
        help="expected role; * and ? are wildcards; may be repeated",
    )


def load(arguments: CommonOptions | argparse.Namespace, **flags: object | None) -> Loaded:
    """Return the settings in force; *flags* override all others. Raise `ConfigError` if they cannot be used."""
    roles = tuple(arguments.expect_role) if arguments.expect_role else None
    return config_load(
        arguments.config,
        environ=os.environ,
        flags={"imds.endpoint": arguments.endpoint, "expect.role": roles, **flags},
    )
