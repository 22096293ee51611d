"""Look for secrets on the whole machine. Run by root in a machine, never by hand.

``python3 -I seeker.py PID <secrets``. Prints, as JSON, each place, how many of the secrets stand there, whole or in a
piece, and how many bytes were looked through.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PIECE = 16
FILES = ("/var/lib/rolewatch", "/run/rolewatch-confirm", "/var/log", "/tmp")  # noqa: S108 - only read
JOURNAL = ["journalctl", "--output=export", "--all", "--no-pager"]
RT_SIGTIMEDWAIT = {"x86_64": "128", "aarch64": "137"}
"""The number of the system call in which the daemon waits for the next poll, by architecture."""
PATIENCE = 60.0
"""Seconds until the daemon must have been seen to wait. A poll takes far less, on an emulated machine, too."""
_WORDS = re.compile(rb"[\w+/=-]{%d,}" % PIECE, re.ASCII)
"""What is long enough to hold a piece of a secret. A journal has few of them, each a thousand times."""

given = json.load(sys.stdin)


def pieces(secret: bytes) -> set[bytes]:
    """Return pieces of *secret*, from its beginning, its middle and its end."""
    last = max(0, len(secret) - PIECE)
    return {secret[start : start + PIECE] for start in (0, last // 2, last)}


def tell(place: str, data: bytes, secrets: list[str]) -> None:
    """Print how many of *secrets* are in *data*."""
    blob = b"\n".join(set(_WORDS.findall(data)))
    found = sum(any(piece in blob for piece in pieces(secret.encode())) for secret in secrets)
    print(json.dumps([place, found, len(data)]))


def files(top: str) -> Iterator[bytes]:
    """Yield what is in each file below *top*. One that goes away meanwhile holds nothing."""
    for directory, _, names in os.walk(top):
        for path in (Path(directory, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    yield path.read_bytes()


@contextlib.contextmanager
def stopped_between_polls(pid: int) -> Iterator[None]:
    """Hold the process still where it waits for its next poll: in one it has the keys, and rightly so.

    Raise `TimeoutError` where it is not found so.
    """
    if pid <= 0:
        raise ProcessLookupError("there is no daemon")
    end = time.monotonic() + PATIENCE
    try:
        while True:
            os.kill(pid, signal.SIGSTOP)
            while not stopped(pid) and time.monotonic() < end:
                time.sleep(0.01)
            if stopped(pid) and waits(pid):
                break
            if time.monotonic() > end:
                raise TimeoutError("the daemon was never seen to wait for its next poll")
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stopped(pid: int) -> bool:
    """Return whether every thread of the process is stopped: no mapping comes or goes."""
    try:
        return all("\nState:\tT" in path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status"))
    except OSError:  # a thread has ended
        return False


def waits(pid: int) -> bool:
    """Return whether the process was stopped while it waited for its next poll. Its main thread does both."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == RT_SIGTIMEDWAIT[platform.machine()]


def memory(pid: int) -> bytes:
    """Return what is in the writable memory of the process, while it waits for its next poll."""
    parts = []
    with stopped_between_polls(pid), Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found:
                start, end = (int(number, 16) for number in found.groups())
                file.seek(start)
                parts.append(file.read(end - start))
    return b"\0".join(parts)


anywhere = given["anywhere"]
subprocess.run(["journalctl", "--sync"], check=True)
tell("journal", subprocess.run(JOURNAL, check=True, stdout=subprocess.PIPE).stdout, anywhere)
for top in FILES:
    tell(top, b"\n".join(files(top)), anywhere)
said = []
for process in Path("/proc").glob("[0-9]*"):
    for name in ("cmdline", "environ"):
        try:
            said.append((process / name).read_bytes())
        except OSError:  # it has ended
            continue
tell("processes", b"\n".join(said), anywhere)
tell("memory", memory(int(sys.argv[1])), given["in memory"])
