"""Tests that need what not every machine has."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def cannot(why: str) -> NoReturn:
    """Skip the test because this machine lacks something: *why*.

    Fail if `CI` is set: CI has everything, and a mistake in the set-up would skip the test for ever.
    """
    __tracebackhide__ = True  # the report names the line that cannot
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
