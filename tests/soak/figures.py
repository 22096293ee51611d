"""The figures of a soak: of the process, from the kernel, and counts of what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from bench.processes import memory


@dataclass(frozen=True)
class Figures:
    """One sample of the daemon."""

    anonymous: float
    """Memory of no file, in MiB: what a leak adds to. USS grows when the last other process with a library ends."""
    uss: float
    rss: float
    pss: float
    fds: float
    threads: float
    state_file: float
    """In bytes."""

    @classmethod
    def of(cls, pid: int, state_file: Path) -> Figures:
        """Sample the process *pid*."""
        proc = Path("/proc", str(pid))
        return cls(
            **memory(pid),
            fds=len(list((proc / "fd").iterdir())),
            threads=len(list((proc / "task").iterdir())),
            state_file=state_file.stat().st_size if state_file.exists() else 0,
        )


NAMES = {
    "anonymous": ("anonymous memory", "MiB"),
    "uss": ("USS", "MiB"),
    "rss": ("RSS", "MiB"),
    "pss": ("PSS", "MiB"),
    "fds": ("file descriptors", ""),
    "threads": ("threads", ""),
    "state_file": ("state file", "bytes"),
}
GROWTH = {"anonymous": 1.0, "fds": 2.0, "threads": 0.0}
"""How much more of each there may be in the end than before. Between two polls two requests may wait for their answers:
the one that measures the hop limit, and the one whose answer may be late."""
STATE_FILE = 4096.0
"""Bytes that the state file may have at most, with every fault at once."""
NONE = ("missed", "dropped", "scrapes_failed", "publisher_failures")
"""What may not be counted once."""


@dataclass
class Counts:
    """What was counted, over all lives of the daemon."""

    polls: int = 0
    missed: int = 0
    """Polls that came later than a poll may come at all."""
    latest: float = 0.0
    """Seconds by which the latest poll was late."""
    entries: int = 0
    """That journald got."""
    dropped: int = 0
    """Entries that the daemon counts as lost."""
    scrapes: int = 0
    scrapes_failed: int = 0
    visits: int = 0
    """To a scenario."""
    reloads: int = 0
    restarts: int = 0
    publisher_failures: int = 0
    seconds: float = 0.0
    """That passed for the daemon."""


@dataclass
class Outcome:
    """What came of a soak."""

    before: Figures
    after: Figures
    counts: Counts
    samples: list[tuple[float, Figures]] = field(default_factory=list)
    """By the seconds that had passed."""

    def broken(self) -> list[str]:
        """Return a sentence for each bound that is exceeded."""
        sentences = [
            f"{NAMES[name][0]}: {growth:+.3g} {NAMES[name][1]}, and the bound is {GROWTH[name]:+g}"
            for name, growth in self.growth()
            if growth > GROWTH[name]
        ]
        if self.after.state_file > STATE_FILE:
            sentences.append(f"state file: {self.after.state_file:.0f} bytes, and the bound is {STATE_FILE:.0f}")
        none = {name: getattr(self.counts, name) for name in NONE}
        sentences += [f"{name.replace('_', ' ')}: {count}, and the bound is 0" for name, count in none.items() if count]
        return sentences

    def growth(self) -> Iterator[tuple[str, float]]:
        """Yield by how much each bounded figure has grown."""
        for name in GROWTH:
            yield name, getattr(self.after, name) - getattr(self.before, name)

    def table(self) -> Iterator[str]:
        """Yield the lines that say it all."""
        yield f"{'figure':<20}{'before':>10}{'after':>10}{'growth':>10}"
        for name, (title, unit) in NAMES.items():
            first, last = getattr(self.before, name), getattr(self.after, name)
            bound = f"at most {GROWTH[name]:g}" if name in GROWTH else ""
            yield f"{title:<20}{first:>10.4g}{last:>10.4g}{last - first:>+10.3g} {unit:<6}{bound}"
        for each in fields(self.counts):
            value = getattr(self.counts, each.name)
            yield (
                f"{each.name.replace('_', ' '):<20}{value:>10.5g}"
                if each.name != "seconds"
                else (f"{'time that passed':<20}{value / 3600:>10.1f} h")
            )
