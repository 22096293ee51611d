"""One browser for all tests of the page; they are skipped, with a reason, where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from page.browser import CHROMIUM, Browser, browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser with an empty profile."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running
