"""What the machines are made with: the packages, and what an operator puts into the cloud-config."""

from __future__ import annotations

import contextlib
import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, NamedTuple

from rolewatch.simulator import Simulator
from vm.image import cache, image
from vm.machine import REPOSITORY, Machine

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
"""Where `make deb rpm repo` put what they made."""
CLOUD_CONFIG = ROOT / "packaging" / "cloud-init" / "debian.yaml"
ROLE = "app-prod"
"""The role that the cloud-config expects."""
QUICK = """\
      [poll]
      interval = "5s"
      confirm_interval = "2s"
"""
"""Settings under which a test need not wait for half a minute, the shortest that are accepted; indented as there."""
EMULATED = """\
  - path: /etc/systemd/system/rolewatch.service.d/emulated.conf
    content: |
      [Service]
      CPUQuota=
      TimeoutStartSec=5min
"""
"""For `write_files`: an emulated CPU is some twenty times slower than a real one, of which a start takes 0.14 s. With
the quarter that the unit allows itself each start would take half a minute."""


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def repository() -> Iterator[int]:
    """Serve the repository of `make repo` on loopback; yield the port."""
    files = functools.partial(QuietFiles, directory=str(DIST / "repo"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


class Guest(NamedTuple):
    """A machine and its IMDS."""

    machine: Machine
    imds: Simulator


Boot = Callable[[str, bytes], "contextlib.AbstractContextManager[Guest]"]
"""Boot a machine of a suite that is launched with these user-data, and wait until it is up."""


@contextlib.contextmanager
def launched(suite: str, user_data: bytes, directory: Path, repository_port: int) -> Iterator[Guest]:
    """Launch a machine of *suite* with *user_data*, its files in *directory*. It is not up yet."""
    with Simulator(now=lambda: datetime.now(timezone.utc), role=ROLE, user_data=user_data, control_port=0) as imds:
        port = int(imds.endpoint.rpartition(":")[2])
        with Machine(image(suite), directory, port, repository_port) as machine:
            yield Guest(machine, imds)


def cloud_config(*, quick: bool = True) -> bytes:
    """Return the cloud-config that we ship, with what an operator changes in it; *quick*: and with quicker polls."""
    text = CLOUD_CONFIG.read_text(encoding="utf-8")
    placeholder = "      -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
    key = (DIST / "repo" / "rolewatch.asc").read_text(encoding="ascii")
    for old, new in {
        placeholder: "".join(f"      {line}\n" for line in key.splitlines()),
        "https://packages.example.org/rolewatch/apt": f"http://{REPOSITORY}/apt",
        f'      role = "{ROLE}"\n': f'      role = "{ROLE}"\n' + (QUICK + EMULATED if quick else ""),
    }.items():
        assert text.count(old) == 1, f"{CLOUD_CONFIG.name} must hold {old!r} once"
        text = text.replace(old, new)
    return text.encode()


def older(deb: Path, directory: Path) -> Path:
    """Return the package *deb* under an older version, made in *directory*: what an upgrade starts from."""
    tree = directory / "older"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text(encoding="utf-8").splitlines()
    control.write_text(
        "".join(f"{'Version: 0.0.1' if line.startswith('Version:') else line}\n" for line in lines), encoding="utf-8"
    )
    made = directory / "rolewatch_0.0.1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True, stdout=subprocess.DEVNULL)
    return made


def previous() -> Path:
    """Return where the package that passed last is kept. It need not be there."""
    return cache() / "packages" / "previous.deb"


def previous_or_older(deb: Path, directory: Path) -> Path:
    """Return the package from which an upgrade to *deb* starts: the last that passed, or *deb* by an older name."""
    return previous() if previous().exists() else older(deb, directory)
