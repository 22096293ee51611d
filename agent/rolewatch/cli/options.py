"""The options that commands share, and the settings that follow from them."""

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
class Given:
    """The values of the options below; as they stand: none was given."""

    config: Path | None = None
    endpoint: str | None = None
    expect_role: Sequence[str] | None = None


def seconds(text: str) -> float:
    """Return the seconds of a duration that was typed, for argparse. Raise `ArgumentTypeError` where it is none."""
    from argparse import ArgumentTypeError  # noqa: PLC0415 - `rolewatch run` does without argparse

    found = parse_duration(text)
    if found is None:
        message = f"{text!r} is not a duration; write 90s, 5m or 1h30m"
        raise ArgumentTypeError(message)
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which IMDS to ask and what to expect of it."""
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="settings file (default: /etc/rolewatch/rolewatch.toml)"
    )
    parser.add_argument("--endpoint", metavar="URL", help="IMDS to ask (default: the well-known address)")
    parser.add_argument(
        "--expect-role",
        metavar="NAME",
        action="append",
        help="role that is right here; may hold * and ?, may be repeated",
    )


def load(arguments: Given | argparse.Namespace, **flags: object | None) -> Loaded:
    """Return the settings in force, *flags* before all others. Raise `ConfigError` where they cannot be used."""
    given: dict[str, object] = {
        "imds.endpoint": arguments.endpoint,
        "expect.role": tuple(arguments.expect_role) if arguments.expect_role else None,
        **flags,
    }
    kept = {key: value for key, value in given.items() if value is not None}
    return config_load(arguments.config, environ=os.environ, flags=kept)
