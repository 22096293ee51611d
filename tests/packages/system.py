"""This machine, as a copy that is thrown away: an overlay in a mount namespace of its own, entered by chroot."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skips import cannot

LONGEST = 300
"""Seconds that a copy lives, should nobody end it."""

MAKE = """
mount -t tmpfs tmpfs "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
rm -f "$1/root/usr/sbin/policy-rc.d"
echo made
exec sleep "$2"
"""


@dataclass(frozen=True)
class Said:
    """What a command said."""

    status: int
    out: str


@dataclass(frozen=True)
class System:
    """A copy of this machine, without a running systemd: as an image is built."""

    holder: int
    """The process in whose mount namespace it is."""
    root: Path

    @classmethod
    @contextlib.contextmanager
    def of_this_machine(cls) -> Iterator[System]:
        """Make a copy, and take it away again."""
        directory = tempfile.mkdtemp()
        with subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "sh", "-euc", MAKE, "sh", directory, str(LONGEST)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout is not None
            assert holder.stderr is not None
            if holder.stdout.readline() != "made\n":
                cannot(f"no copy of this machine can be made here: {holder.stderr.read().strip()}")
            copy = cls(holder.pid, Path(directory) / "root")
            try:
                copy.run("dpkg --purge rolewatch")
                yield copy
            finally:
                holder.kill()
        shutil.rmtree(directory, ignore_errors=True)

    def run(self, script: str) -> Said:
        """Run *script* in the copy, with a shell, as root."""
        enter = ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "--", "chroot", str(self.root)]
        done = subprocess.run(
            [*enter, "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
        return Said(done.returncode, done.stdout)

    def do(self, script: str) -> str:
        """Run *script*, which has to succeed, and return what it said."""
        said = self.run(script)
        assert said.status == 0, said.out
        return said.out

    def put(self, path: str, source: Path) -> None:
        """Put a copy of the file *source* at *path*."""
        self.write(path, source.read_bytes())

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write *content* to *path*. From inside: nobody else sees the copy."""
        enter = ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "--", "chroot", str(self.root)]
        script = f"mkdir -p $(dirname {path}) && cat >{path} && chmod {mode:o} {path}"
        subprocess.run([*enter, "/bin/sh", "-c", script], input=content, check=True, cwd="/")
