"""The golden pages: compared with what is made now, or written anew with ``pytest tests/publish --update-golden``.

And the file descriptors that tests with many connections need.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag. Any difference that it writes is a bug, or a change that was meant and is reviewed."""
    parser.addoption("--update-golden", action="store_true", help="write the golden pages anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return what compares a text with the golden file of a name."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{name}: meant? pytest tests/publish --update-golden"

    return compare


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open enough files for tests with a thousand connections; skip where the kernel does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed, waiting = 2500, 1000
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"needs {needed} file descriptors, and {hard} are allowed")
    room = int(Path("/proc/sys/net/core/somaxconn").read_text())
    if room < waiting:
        pytest.skip(f"needs net.core.somaxconn={waiting}, and it is {room}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
