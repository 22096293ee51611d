"""The units of systemd, for the tests that check them."""

from __future__ import annotations

from pathlib import Path

SYSTEMD = Path(__file__).parents[1] / "systemd"
KINDS = {".service", ".socket", ".timer", ".path"}
UNITS = sorted(path for path in SYSTEMD.iterdir() if path.suffix in KINDS)


def unit(name: str) -> list[tuple[str, str]]:
    """Return the settings of the unit *name*, in their order."""
    lines = (SYSTEMD / name).read_text(encoding="utf-8").splitlines()
    return [(key, value) for key, mark, value in (line.partition("=") for line in lines) if mark and key.isalpha()]
