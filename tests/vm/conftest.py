"""What the machines are made with: packages, a repository that serves them, an IMDS for each machine."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator

import pytest

from rolewatch.simulator import Simulator
from vm.guests import DIST, ROLE, Boot, Guest, QuietFiles
from vm.image import image
from vm.machine import Machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the time that an emulated machine may take; a boot is part of the first."""
    for item in items:
        item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session", name="deb")
def the_deb() -> Path:
    """Return the Debian package."""
    return only("rolewatch_*_all.deb")


@pytest.fixture(scope="session", name="rpm")
def the_rpm() -> Path:
    """Return the RPM."""
    return only("rolewatch-*.noarch.rpm")


def only(pattern: str) -> Path:
    """Return the one file of `DIST` that matches *pattern*."""
    found = list(DIST.glob(pattern))
    if len(found) != 1:
        pytest.fail(f"there must be one {pattern} in {DIST}, and there are {len(found)}: make repo")
    return found[0]


@pytest.fixture(scope="session", name="boot")
def boot_machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boot]:
    """Return what boots machines, with the repository of `make repo` within their reach."""
    missing = [tool for tool in ("qemu-system-x86_64", "qemu-img", "socat", "ssh") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.fail(f"this needs root, and qemu-system-x86, qemu-utils, socat, openssh-client; missing: {missing}")

    handler = functools.partial(QuietFiles, directory=str(DIST / "repo"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    @contextlib.contextmanager
    def boot(suite: str, user_data: bytes) -> Iterator[Guest]:
        directory = tmp_path_factory.mktemp(suite)
        with Simulator(now=lambda: datetime.now(timezone.utc), role=ROLE, user_data=user_data) as imds:
            port = int(imds.endpoint.rpartition(":")[2])
            with Machine(image(suite), directory, port, server.server_port) as machine:
                machine.wait_until_up()
                yield Guest(machine, imds)
        shutil.rmtree(directory)

    yield boot
    server.shutdown()
    server.server_close()
