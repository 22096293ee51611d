"""The units of systemd, for the tests that hold them to something."""

from __future__ import annotations

from pathlib import Path

KINDS = {".service", ".socket", ".timer", ".path"}
UNITS = sorted(path for path in (Path(__file__).parents[1] / "systemd").iterdir() if path.suffix in KINDS)
