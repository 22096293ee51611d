"""What each takes on disk, by Debian's own words."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

from bench import alternatives, daemon
from bench.figures import Figure
from bench.imds import LAUNCHER

PACKAGES: dict[str, list[str]] = {
    daemon.NAME: ["python3", "python3-requests", "python3-systemd"],
    alternatives.SCRIPT: ["curl", "jq"],
    alternatives.NODE: ["prometheus-node-exporter"],
    alternatives.BLACKBOX: ["prometheus-blackbox-exporter"],
    alternatives.BOTOCORE: ["python3-botocore"],
}
"""What has to be installed; for rolewatch, besides its own package."""


def installed() -> list[Figure]:
    """Measure the package itself, and with all that it needs and a minimal Debian has not."""
    minimal = _needs(_minimal())
    figures = []
    for name, packages in PACKAGES.items():
        sizes = _sizes(_needs(packages) - minimal)
        ours = _private_tree() if name == daemon.NAME else 0.0
        own = ours or sum(sizes.get(each, 0.0) for each in packages)
        figures += [
            Figure(name, "package, installed", "MiB", [own]),
            Figure(name, "with what a minimal Debian lacks", "MiB", [ours + sum(sizes.values())]),
        ]
    return figures


def _private_tree() -> float:
    """Return the size of what rolewatch's package installs, without what is compiled at installation."""
    tree = LAUNCHER.parent.parent
    files = (path for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files) / 2**20


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _minimal() -> list[str]:
    """Return what debootstrap calls minbase: what is required."""
    lines = _said("dpkg-query", "--show", "--showformat=${Package} ${Priority}\n").splitlines()
    return [line.split()[0] for line in lines if line.endswith(" required")]


def _needs(packages: Iterable[str]) -> set[str]:
    """Return *packages* and all that they depend on. Of alternatives all are taken that a real package has."""
    options = ["--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces"]
    said = _said("apt-cache", "depends", *options, "--no-enhances", *packages)
    return set(re.findall(r"^([a-z0-9][a-z0-9.+-]+)$", said, re.MULTILINE))


def _sizes(packages: set[str]) -> dict[str, float]:
    """Return the sizes of *packages* in MiB, of those that would be installed: of alternatives the first."""
    if not packages:
        return {}
    said = _said("apt-cache", "show", "--no-all-versions", *sorted(packages))
    found = re.findall(r"^Package: (\S+)$.*?^Installed-Size: (\d+)$", said, re.MULTILINE | re.DOTALL)
    return {name: int(size) / 1024 for name, size in found}
