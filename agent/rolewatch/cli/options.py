"""The options that `run` and `check` share, and the settings that follow from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Optional

from rolewatch import config

if TYPE_CHECKING:
    import argparse


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


def load(arguments: argparse.Namespace, **flags: Optional[object]) -> config.Loaded:
    """Return the settings in force, *flags* before all others. Raise `ConfigError` where they cannot be used."""
    given: Dict[str, object] = {
        "imds.endpoint": arguments.endpoint,
        "expect.role": tuple(arguments.expect_role) if arguments.expect_role else None,
        **flags,
    }
    kept = {key: value for key, value in given.items() if value is not None}
    return config.load(arguments.config, environ=os.environ, flags=kept)
