"""The share of a processor that the unit leaves the daemon, for a process that systemd did not start."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from units import unit

_UNIT = dict(unit("rolewatch.service"))
SHARE = int(_UNIT["CPUQuota"].removesuffix("%")) / 100
PERIOD = float(_UNIT["CPUQuotaPeriodSec"].removesuffix("s"))
THROTTLED = PERIOD * (1 - SHARE)
"""Seconds for which Linux throttles, in each period, a process that has used its quota."""
_ROOT = Path("/sys/fs/cgroup")
_PERIOD, _QUOTA = (f"{int(seconds * 1_000_000)}" for seconds in (PERIOD, SHARE * PERIOD))
_BOUNDS = {"cpu.max": f"{_QUOTA} {_PERIOD}", "cpu.cfs_period_us": _PERIOD, "cpu.cfs_quota_us": _QUOTA}
"""By the files of control groups, of version 2 and of version 1."""


@contextlib.contextmanager
def as_the_unit_has_it(process: int) -> Iterator[None]:
    """Limit *process* to the unit's ``CPUQuota=`` until the block ends.

    Skip the test where that cannot be done: many containers may not make a control group.
    """
    root = _ROOT / "cpu" if (_ROOT / "cpu").is_dir() else _ROOT
    group = root / f"rolewatch-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        files = [group / name for name in _BOUNDS if (group / name).exists()]
        if not files:
            pytest.skip(f"control groups of {root} have no quota here")
        for file in files:
            file.write_text(_BOUNDS[file.name], encoding="ascii")
        home = root / _place(process, root.name).lstrip("/") / "cgroup.procs"
        if not home.exists():
            pytest.skip(f"{home}, where the process would come back to, is not in sight")
        (group / "cgroup.procs").write_text(str(process), encoding="ascii")
        try:
            yield
        finally:
            home.write_text(str(process), encoding="ascii")
    finally:
        group.rmdir()


def _place(process: int, controller: str) -> str:
    """Return where *process* is among the groups of *controller*, or of version 2 of them."""
    lines = Path(f"/proc/{process}/cgroup").read_text(encoding="utf-8").splitlines()
    places = {name: place for _, names, place in (line.split(":", 2) for line in lines) for name in names.split(",")}
    return places[controller if controller in places else ""]
