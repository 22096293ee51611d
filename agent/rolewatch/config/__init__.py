"""The settings: read from files, the environment and flags, checked as a whole, with the origin of every value.

The weakest source first: the defaults, the AWS SDKs' variables, ``rolewatch.toml``, ``conf.d/*.toml`` in the order of
their names, ``ROLEWATCH_<TABLE>_<KEY>``, flags. A list is replaced, never added to.

* `keys`           the one table of settings; the readers of their values are in `types`, `names` and `addresses`
* `sources`        files, the environment, the SDKs' variables and flags
* `toml_document`  the line of every key, and values as TOML
* `merge`          the values in force, and what only several settings together can be wrong about
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rolewatch.config.addresses import IPV4, IPV6
from rolewatch.config.merge import Draft, settle
from rolewatch.config.sources import DEFAULT_FILE, Gathered, gather_environment, gather_files, gather_flags
from rolewatch.errors import ConfigError
from rolewatch.settings import ImdsSettings, Settings
from rolewatch.text import printable


@dataclass(frozen=True)
class Loaded:
    """The settings in force."""

    settings: Settings
    origins: Mapping[str, str]
    """Where each comes from: ``FILE:LINE``, a variable, a flag, or ``default``. Every setting has an entry."""
    warnings: tuple[str, ...]
    """What is probably not meant and stops nothing; one sentence each, with its place."""
    files: tuple[str, ...]
    """The files that were read, the weakest first."""


def load(
    path: Path | None, *, environ: Mapping[str, str], flags: Mapping[str, object], default: Path = DEFAULT_FILE
) -> Loaded:
    """Return the settings in force.

    *path* is a file that was asked for: it must exist, and is the only one that is read. None stands for *default*,
    which need not exist, and ``conf.d`` beside it. *flags* are values by the names of settings (``imds.endpoint``);
    None is a flag that was not used. Raise `ConfigError` with everything that is wrong anywhere, not only the first.
    """
    gathered = Gathered()
    gather_files(path, gathered, default=default)
    gather_environment(environ, gathered)
    gather_flags(flags, gathered)
    draft = Draft()
    draft.take(gathered)
    settle(draft, gathered)
    # The names of files and variables are in all of this, and may hold anything but NUL.
    if gathered.problems:
        raise ConfigError(*map(printable, gathered.problems))
    origins = {name: printable(origin) for name, origin in draft.origins.items()}
    warnings, files = map(printable, gathered.warnings), map(printable, gathered.files)
    return Loaded(draft.settings(), origins, tuple(warnings), tuple(files))


def resolve_endpoint(imds: ImdsSettings) -> str:
    """Return the URL of the IMDS in force, ``http://HOST[:PORT]``: the endpoint, or the address of the mode."""
    return imds.endpoint or (IPV6 if imds.endpoint_mode == "ipv6" else IPV4)
