"""The packages for all tests of this directory, and a system to install them on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from packages.built import TOOLS, Builds, Built, build_all, need, need_root
from packages.system import System


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    """Return the packages; all workers share them."""
    need(TOOLS)
    base = tmp_path_factory.getbasetemp()
    return build_all((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "packages")


@pytest.fixture
def today(builds: Builds) -> Built:
    """Return the packages as they are."""
    return builds.today


@pytest.fixture
def older(builds: Builds) -> Built:
    """Return the packages of an older version."""
    return builds.older


@pytest.fixture
def system(builds: Builds) -> Iterator[System]:
    """Yield this machine as a throw-away copy, in which the packages lie at `/packages`."""
    need_root()
    need({"unshare": "util-linux", "nsenter": "util-linux"})
    with System.of_this_machine() as copy:
        for name, built in {"today": builds.today, "older": builds.older}.items():
            copy.put(f"/packages/{name}.deb", built.deb)
            copy.put(f"/packages/{name}.rpm", built.rpm)
        yield copy
