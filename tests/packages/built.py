"""The packages, built once for all tests: twice in unlike places, and once as an older version."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EPOCH = 1_790_000_000
"""The time of the commit, as far as these builds know: in September 2026, younger than the libraries."""
OLDER = "0.0.9"
OURS_IN_OLDER = "# As version 0.0.9 shipped it.\n"
"""What distinguishes the settings of the older package from today's."""
TOOLS = {"dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "dh_python3": "dh-python", "rpmbuild": "rpm"}
"""Each with the package of Debian's that has it."""


@dataclass(frozen=True)
class Built:
    """What `make deb rpm` made in a copy of the project."""

    tree: Path

    def only(self, pattern: str) -> Path:
        """Return the one file of dist/ that is named like *pattern*."""
        (found,) = (self.tree / "dist").glob(pattern)
        return found

    @property
    def deb(self) -> Path:
        """The package for Debian and Ubuntu."""
        return self.only("*.deb")

    @property
    def rpm(self) -> Path:
        """The package for Fedora's family."""
        return self.only("*.rpm")


@dataclass(frozen=True)
class Builds:
    """All that was built."""

    today: Built
    again: Built
    """The same in another place, by somebody with another umask, locale and time zone."""
    older: Built


def need(tools: Mapping[str, str]) -> None:
    """Skip the test where one of *tools* is missing, and say what to install."""
    if missing := sorted(package for tool, package in tools.items() if shutil.which(tool) is None):
        pytest.skip(f"on Debian: apt-get install {' '.join(missing)}")


def need_root() -> None:
    """Skip the test where we are not root."""
    if os.geteuid() != 0:
        pytest.skip("only root can install packages, be it in a directory of its own")


def build_all(directory: Path) -> Builds:
    """Build in *directory*, or return what another worker built there."""
    builds = Builds(Built(directory / "today"), Built(directory / "again/and/deeper"), Built(directory / "older"))
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "done").exists():
            _build_all(builds)
            (directory / "done").touch()
    return builds


def _build_all(builds: Builds) -> None:
    subprocess.run(["make", ".venv/build/.ready"], check=True, cwd=ROOT, env=_environment())
    for built in (builds.today, builds.again, builds.older):
        _copy(built.tree)
    for path in builds.again.tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    _make_older(builds.older.tree)
    other = {"LANG": "C", "LC_ALL": "POSIX", "TZ": "Asia/Kathmandu", "HOME": str(builds.again.tree)}
    running: list[subprocess.Popen[bytes]] = [
        _make(builds.today.tree, 0o022, {}),
        _make(builds.again.tree, 0o077, other),
        _make(builds.older.tree, 0o022, {}),
    ]
    for process in running:
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()


def _environment(**more: str) -> dict[str, str]:
    """Return our environment without the variables of the make that runs the tests."""
    inherited = ("MAKE", "MFLAGS", "SOURCE_DATE_EPOCH", "PIP_REQUIRE", "DEB_", "DH_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(inherited)}, **more}


def _copy(tree: Path) -> None:
    """Copy the project; what the packages are made with is not made again."""
    left_out = shutil.ignore_patterns(".git", ".venv", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, tree, ignore=left_out)
    (tree / ".venv").mkdir()
    (tree / ".venv/build").symlink_to(ROOT / ".venv/build")


def _make_older(tree: Path) -> None:
    """Give *tree* an older version, and settings that differ from today's."""
    project = tree / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    project.write_text(re.sub('^version = "[^"]*"', f'version = "{OLDER}"', text, flags=re.MULTILINE), encoding="utf-8")
    with (tree / "packaging/rolewatch.toml").open("a", encoding="utf-8") as settings:
        settings.write(OURS_IN_OLDER)


def _make(tree: Path, umask: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["make", "deb", "rpm", f"SOURCE_DATE_EPOCH={EPOCH}"],
        cwd=tree,
        env=_environment(**environment),
        umask=umask,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
