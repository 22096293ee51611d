"""Look for secrets on the whole machine. Run by root in a machine, never by hand.

``python3 -I seeker.py PID <secrets``. Prints, as JSON, each place, how many of the secrets stand there, whole or in a
piece, and how many bytes were looked through.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

PIECE = 16
FILES = (
    *("/var/lib/rolewatch", "/run/rolewatch", "/run/rolewatch-confirm"),
    *("/var/log", "/var/lib/systemd/coredump", "/tmp"),  # noqa: S108 - looked through, not written to
)
JOURNAL = ["journalctl", "--output=export", "--all", "--no-pager"]
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


def memory(pid: str) -> bytes:
    """Return what is in the writable memory of the process."""
    parts = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found:
                start, end = (int(number, 16) for number in found.groups())
                file.seek(start)
                parts.append(file.read(end - start))
    return b"\0".join(parts)


anywhere = given["anywhere"]
tell("journal", subprocess.run(JOURNAL, check=True, stdout=subprocess.PIPE).stdout, anywhere)
for top in FILES:
    tell(top, b"\n".join(path.read_bytes() for path in sorted(Path(top).rglob("*")) if path.is_file()), anywhere)
said = []
for process in Path("/proc").glob("[0-9]*"):
    for name in ("cmdline", "environ"):
        try:
            said.append((process / name).read_bytes())
        except OSError:  # it has ended
            continue
tell("processes", b"\n".join(said), anywhere)
tell("memory", memory(sys.argv[1]), given["in memory"])
