"""The images of the machines: made once, and kept outside the project by a key of what they are made of."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

RECIPE = Path(__file__).with_name("make-image")
KEPT = 2
"""Images of one suite that are kept: the one in use, and the last before it."""


def cache() -> Path:
    """Return the directory of what is kept from run to run."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "rolewatch"


@dataclass(frozen=True)
class Image:
    """A directory with a disk, a kernel, an initrd, and the key that root logs in with."""

    directory: Path

    @property
    def disk(self) -> Path:
        """The disk, ext4 without a partition table. Never written: machines work on an overlay."""
        return self.directory / "disk.ext4"

    @property
    def kernel(self) -> Path:
        """The kernel of the suite."""
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """Its initrd."""
        return self.directory / "initrd.img"

    @property
    def key(self) -> Path:
        """The private key of root."""
        return self.directory / "key"


def image(suite: str) -> Image:
    """Return the image of the Debian *suite*, made anew where its recipe has changed. That takes some minutes."""
    key = hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:16]
    images = cache() / "images"
    wanted = images / f"{suite}-{key}"
    if not wanted.is_dir():
        images.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{suite}-", dir=images))
        try:
            _make(suite, making)
            making.rename(wanted)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    wanted.touch()
    _prune(images, suite)
    return Image(wanted)


def _make(suite: str, directory: Path) -> None:
    print(f"Making the image of {suite}, once …", flush=True)  # noqa: T201 - it takes minutes
    made = subprocess.run(
        [RECIPE, suite, directory], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if made.returncode:
        message = f"The image of {suite} could not be made:\n{made.stdout[-4000:]}"
        raise RuntimeError(message)


def _prune(images: Path, suite: str) -> None:
    made = sorted(images.glob(f"{suite}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in made[KEPT:]:
        shutil.rmtree(old)


if __name__ == "__main__":  # ahead of the tests, beside something else: `make vm-images`
    for each in sys.argv[1:]:
        image(each)
