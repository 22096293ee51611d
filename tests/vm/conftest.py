"""What the machines are made with: packages, a repository that serves them, an IMDS for each machine."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from vm.guests import DIST, Boot, Guest, launched, repository

pytest.register_assert_rewrite("vm.package_life", "vm.sandbox", "vm.confirmations", "vm.views", "vm.tls")


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

    with repository() as port:

        @contextlib.contextmanager
        def boot(suite: str, user_data: bytes) -> Iterator[Guest]:
            directory = tmp_path_factory.mktemp(suite)
            with launched(suite, user_data, directory, port) as guest:
                guest.machine.wait_until_up()
                yield guest
            shutil.rmtree(directory)

        yield boot
