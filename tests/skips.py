"""What cannot be tested on every machine."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def cannot(why: str) -> NoReturn:
    """Skip the test for what cannot be had on this machine: *why*.

    Fail where `CI` is set: all of it can be had there. A mistake in how it is made would be skipped for ever.
    """
    __tracebackhide__ = True  # the report names the line that cannot
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
