"""What the kernel knows of a process: memory, CPU, wake-ups, system calls."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
"""Of everything that is started: nothing of who starts it."""
_TICKS = os.sysconf("SC_CLK_TCK")


def memory(process: object = "self") -> dict[str, float]:
    """Return USS, PSS, RSS and what is no file's of *process* (its id), in MiB."""
    sizes: dict[str, float] = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            sizes[name] = int(rest.split()[0]) / 1024
    uss = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return {"uss": uss, "pss": sizes["Pss"], "rss": sizes["Rss"], "anonymous": sizes["Anonymous"]}


def cpu(process: int) -> float:
    """Return the CPU time that *process* has used, in seconds; to 10 ms."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def wake_ups(process: int) -> int:
    """Return how often any thread of *process* has gone to sleep, and was woken."""
    found = 0
    for status in Path(f"/proc/{process}/task").glob("*/status"):
        match = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(encoding="utf-8"), re.MULTILINE)
        found += int(match.group(1)) if match else 0
    return found


def calls(summary: str) -> int:
    """Return the system calls that strace's *summary* counts."""
    found = re.search(r"^100\.00\s+\S+\s+\S*\s+(\d+).* total$", summary, re.MULTILINE)
    return int(found.group(1)) if found else 0


@contextmanager
def counted(process: int, summary: Path) -> Iterator[None]:
    """Let strace count the system calls of *process* into *summary* while the block runs."""
    with subprocess.Popen(
        ["strace", "-f", "-c", "-o", str(summary), "-p", str(process)], stderr=subprocess.PIPE, text=True
    ) as strace:
        assert strace.stderr is not None
        strace.stderr.readline()  # "Process 1 attached"
        try:
            yield
        finally:
            strace.terminate()
            strace.wait(10)


@contextmanager
def running(
    command: Sequence[object],
    environment: Mapping[str, str] | None = None,
    *,
    stdout: int | None = subprocess.DEVNULL,
    stderr: int | None = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[str]]:
    """Run *command* until the block ends; *stdout* and *stderr* are those of `Popen`."""
    with subprocess.Popen(
        [str(word) for word in command],
        env={**ENVIRONMENT, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            process.wait()
