#!/usr/bin/env python3
"""Lay out what a package installs, by the list in packaging/files, for debhelper or rpmbuild to pack.

    lay_out.py deb|rpm DIRECTORY

Creates DIRECTORY from scratch, with `root`, the tree of the package; for deb also `debian`, for rpm `rolewatch.spec`.
Run from the root of the project, after `make vendor`. SOURCE_DATE_EPOCH is the time of the build.
"""

from __future__ import annotations

import email
import gzip
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.message import Message
from email.utils import format_datetime
from pathlib import Path

TABLE = Path("packaging/files")
PRIVATE = Path("build/private")
TEMPLATES = {"deb": Path("packaging/deb"), "rpm": Path("packaging/rpm")}
RPM_UNITS = "/usr/lib/systemd/system/"


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    mode: int
    target: str
    source: str

    def sources(self) -> list[Path]:
        """Return the existing sources, sorted."""
        return sorted(Path().glob(self.source))


@dataclass(frozen=True)
class Installed:
    """A file or a directory in the package."""

    what: str
    """As in the table."""
    mode: int
    target: str


def rows(family: str, table: Path = TABLE) -> list[Row]:
    """Return the lines of *table* that are for the packages of *family*, ``deb`` or ``rpm``."""
    found = []
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 5 or words[0] not in {"both", "deb", "rpm"}:  # noqa: PLR2004 - the columns
            sys.exit(f"{table}:{number}: not a line of this table: {line}")
        if words[0] in {"both", family}:
            found.append(Row(words[1], int(words[2], 8), words[3], words[4]))
    return found


def lay_out(family: str, directory: Path) -> list[Installed]:
    """Create the tree of the package in *directory*/root, and for deb the units in *directory*/debian."""
    root = directory / "root"
    installed: list[Installed] = []
    for row in rows(family):
        if row.what == "dir":
            (root / row.target.lstrip("/")).mkdir(parents=True)
            installed.append(Installed("dir", row.mode, row.target.rstrip("/")))
            continue
        for source in row.sources():
            if row.what == "tree":
                name = source.name if "*" in row.source else ""
                installed += _copy_tree(source, root, (row.target + name).rstrip("/"), row.mode)
            elif row.what == "unit" and family == "deb":
                _copy(source, directory / "debian" / unit_for_debhelper(row.target), row.mode)
            else:
                target = (RPM_UNITS if row.what == "unit" else "") + row.target
                target += source.name if target.endswith("/") else ""
                target += ".gz" if row.what == "manual" else ""
                _copy(source, root / target.lstrip("/"), row.mode, compress=row.what == "manual")
                installed.append(Installed(row.what, row.mode, target))
    return installed


def unit_for_debhelper(unit: str) -> str:
    """Return the name below debian/ under which dh_installsystemd installs *unit* as a unit of the package."""
    return unit if unit.startswith("rolewatch.") else f"rolewatch.{unit}"


def _copy(source: Path, target: Path, mode: int, *, compress: bool = False) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    target.write_bytes(gzip.compress(data, mtime=0) if compress else data)
    target.chmod(mode)


def _copy_tree(source: Path, root: Path, target: str, mode: int) -> Iterator[Installed]:
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = f"{target}/{path.relative_to(source)}"
            _copy(path, root / name.lstrip("/"), mode)
            yield Installed("file", mode, name)


def bundled() -> list[Message]:
    """Return the metadata of every bundled library."""
    return [metadata(path) for path in sorted(PRIVATE.glob("vendor*/*.dist-info/METADATA"))]


def about() -> Message:
    """Return the metadata of rolewatch itself, from its wheel."""
    (path,) = PRIVATE.glob("rolewatch-*.dist-info/METADATA")
    return metadata(path)


def metadata(path: Path) -> Message:
    """Return the Python metadata in the file *path*."""
    return email.message_from_string(path.read_text(encoding="utf-8"))


def package_version(version: str) -> str:
    """Return the Python *version* in the form that dpkg and rpm sort: with a ~ before a pre-release part."""
    return re.sub(r"\.?(a|b|rc|dev)(?=\d)", r"~\1", version)


def values(family: str, installed: list[Installed]) -> Mapping[str, str]:
    """Return the values of the placeholders in the templates of *family*, by name."""
    ours = about()
    time = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
    urls = dict(line.split(", ", 1) for line in ours.get_all("Project-URL", []))
    found: dict[str, str] = {
        "VERSION": package_version(ours["Version"]),
        "SUMMARY": ours["Summary"],
        "HOMEPAGE": urls["Homepage"],
        "MAINTAINER": ours["Author-email"].replace('"', ""),
    }
    if family == "deb":
        synopsis = found["SUMMARY"][0].lower() + found["SUMMARY"][1:]
        return {**found, "SUMMARY": synopsis, "DATE": format_datetime(time)}
    provides = (f"bundled(python3dist({one['Name'].lower()})) = {one['Version']}" for one in bundled())
    return {
        **found,
        "DATE": time.strftime("%a %b %d %Y"),
        "BUNDLED": "\n".join(f"Provides:       {what}" for what in provides),
        "FILES": "\n".join(_spec_lines(installed)),
    }


def _spec_lines(installed: list[Installed]) -> Iterator[str]:
    """Yield the lines for %files: every file by its name, and every directory that only this package owns."""
    ours = {str(path) for one in installed for path in Path(one.target).parents if "rolewatch" in path.parts}
    for directory in sorted(ours | {one.target for one in installed if one.what == "dir"}):
        yield f"%dir %attr(0755,root,root) {directory}"
    for one in installed:
        if one.what != "dir":
            yield f"{_sign(one)}%attr({one.mode:04o},root,root) {one.target}"


def _sign(one: Installed) -> str:
    """Return rpm's prefix for this kind of file."""
    if one.what == "config":
        return "%config(noreplace) "
    if one.target.startswith("/usr/share/licenses/"):
        return "%license "
    return "%doc " if one.target.startswith(("/usr/share/doc/", "/usr/share/man/")) else ""


def fill(source: Path, target: Path, known: Mapping[str, str]) -> None:
    """Write *source* to *target* with every @NAME@ replaced by its value in *known*."""
    text = re.sub(r"@([A-Z]+)@", lambda found: known[found.group(1)], source.read_text(encoding="utf-8"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    target.chmod(0o755 if source.name == "rules" else 0o644)


def main(family: str, directory: Path) -> None:
    """Create *directory* from scratch for the packages of *family*."""
    os.umask(0o022)
    shutil.rmtree(directory, ignore_errors=True)
    installed = lay_out(family, directory)
    known = values(family, installed)
    for source in TEMPLATES[family].rglob("*"):
        if source.is_file():
            below = source.relative_to(TEMPLATES[family])
            fill(source, directory / ("debian" if family == "deb" else "") / below, known)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
