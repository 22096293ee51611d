"""Fuzz one target with atheris, guided by the coverage of rolewatch: ``make fuzz``.

``python run.py TARGET SECONDS DIRECTORY``: begins with the seeds, and with what earlier runs found in DIRECTORY. What
breaks a promise is written there, and the exit status is not 0. Executions and coverage are on the last lines.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]
name, seconds, directory = sys.argv[1:]

with atheris.instrument_imports(include=["rolewatch", "json", "email", "requests"]):
    from fuzz import targets
    from fuzz.seeds import seeds

begun, found = Path(directory) / name / "seeds", Path(directory) / name / "corpus"
for each in (begun, found):
    each.mkdir(parents=True, exist_ok=True)
for number, seed in enumerate(seeds().of(name)):
    (begun / f"{number:03}").write_bytes(seed)

words = sorted({word for seed in begun.iterdir() for word in re.findall(rb'"[^"\n]{2,40}"|"', seed.read_bytes())})
entries = ["".join(f"\\x{byte:02x}" for byte in word) for word in (*words, targets.POLL, targets.ANSWER)]
dictionary = Path(directory) / name / "dictionary"
dictionary.write_text("".join(f'"{entry}"\n' for entry in entries))

atheris.Setup(
    [
        sys.argv[0],
        str(found),
        str(begun),
        f"-max_total_time={seconds}",
        f"-artifact_prefix={directory}/{name}/",
        f"-dict={dictionary}",
        "-max_len=16384",
        "-timeout=20",  # seconds; a document that takes longer delays the polls
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ],
    targets.TARGETS[name],
)
atheris.Fuzz()
