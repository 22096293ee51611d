"""Settings files: which are read, in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Optional, Tuple

from rolewatch.config.document import add_document
from rolewatch.config.given import Gathered
from rolewatch.config.reading import UnreadableError, read, refuse_if_anybody_may_write, unreadable

DEFAULT_FILE = Path("/etc/rolewatch/rolewatch.toml")
"""Read where no file is named, if it is there. ``conf.d`` beside it is read after it."""

_MISNAMED = (".toml", ".conf", ".cfg", ".ini", ".yaml", ".yml", ".json")
"""Endings, in any case, of files in ``conf.d`` that somebody may believe to be read."""


def gather_files(path: Optional[Path], gathered: Gathered, *, default: Path = DEFAULT_FILE) -> None:
    """Add what the files give to *gathered*.

    Without a *path* these are *default*, which need not exist, and ``conf.d/*.toml`` beside it in the order of their
    names. Another *path* is read alone, and must exist: whoever names a file wants that one, and not what else is set
    on the machine.
    """
    whole = path is None or path == default
    for file, required in _files(path or default, gathered, whole=whole, required=path is not None):
        try:
            text = read(file)
            if text is not None:
                gathered.files.append(str(file))
                add_document(str(file), text, gathered)
            elif required:
                gathered.problems.append(f"{file}: there is no such file.")
        except UnreadableError as error:
            gathered.problems.append(str(error))


def _files(first: Path, gathered: Gathered, *, whole: bool, required: bool) -> Iterator[Tuple[Path, bool]]:
    """Yield each file, and whether it must be there."""
    yield first, required
    if not whole:
        return
    directory = first.parent / "conf.d"
    try:
        names = sorted(entry.name for entry in directory.iterdir())
        refuse_if_anybody_may_write(directory, directory.stat())
    except FileNotFoundError:
        return
    except OSError as error:
        gathered.problems.append(str(unreadable(directory, error)))
        return
    except UnreadableError as error:
        gathered.problems.append(str(error))
        return
    for name in names:
        if name.startswith("."):
            continue
        if name.endswith(".toml"):
            yield directory / name, True
        elif name.lower().endswith(_MISNAMED):
            gathered.warnings.append(f"{directory / name}: is not read; only names that end in .toml are.")
