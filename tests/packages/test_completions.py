"""The completions, in the shells that they are for."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rolewatch import cli
from rolewatch.faults import FAULTS
from rolewatch.simulator.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "packaging/completions"
BASH = r"""
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_shtab_rolewatch
printf '%s\n' "${COMPREPLY[@]}"
"""
PATIENCE = 20.0
"""Seconds for a shell to start, on a busy machine."""


def bash(line: str) -> set[str]:
    """Return what bash offers at the end of *line*."""
    done = subprocess.run(
        ["bash", "--norc", "-uc", BASH, "bash", str(DIRECTORY / "rolewatch.bash"), *line.split(" ")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def fish(line: str) -> set[str]:
    """Return what fish offers at the end of *line*."""
    script = f"source {DIRECTORY / 'rolewatch.fish'}; complete --do-complete '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "--command", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr == ""
    return {offer.partition("\t")[0] for offer in done.stdout.splitlines()}


def zsh(directory: Path, lines: Sequence[str]) -> list[str]:
    """Return what zsh makes of each of *lines* when Tab is pressed: it only completes on a terminal."""
    typed = directory / "typed"
    typed.touch()
    setup = (
        f"cd {ROOT}; fpath=({DIRECTORY} $fpath); autoload -Uz compinit; compinit -u -D; bindkey -e; "
        f"note() {{ print -r -- $BUFFER >>{typed} }}; zle -N note; bindkey '^X' note\n"
    )
    terminal, inner = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "TERM": "dumb"},
    )
    os.close(inner)
    try:
        os.write(terminal, setup.encode())
        for count, line in enumerate(lines, 1):
            os.write(terminal, f"\x15{line}\t\x18".encode())
            until = time.monotonic() + PATIENCE
            while len(typed.read_text("utf-8").splitlines()) < count:
                assert time.monotonic() < until, f"zsh has nothing to say of {line!r}"
                if select.select([terminal], [], [], 0.05)[0]:
                    os.read(terminal, 65536)
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)
    return [line.rstrip() for line in typed.read_text("utf-8").splitlines()]


OFFERS = [
    ("rolewatch ", set(cli.COMMANDS)),
    ("rolewatch expl", {"explain"}),
    ("rolewatch config ", {"check", "show"}),
    ("rolewatch preflight ", {"launch", "attach-role", "visible"}),
    ("rolewatch explain ", {fault.value for fault in FAULTS}),
    ("rolewatch explain --reason no_", {"no_answer", "no_free_port", "no_ipv4", "no_route"}),
    ("rolewatch simulate rota", {each.name for each in SCENARIOS if each.name.startswith("rota")}),
    ("rolewatch check --format ", {"text", "json", "nagios"}),
    ("rolewatch check --format json --conf", {"--config"}),
    ("rolewatch config show --to", {"--toml"}),
    ("rolewatch check --config pyproj", {"pyproject.toml"}),
    ("rolewatch diagnose --output pyproj", {"pyproject.toml"}),
    ("rolewatch diagnose --region ", set()),
]


@pytest.mark.parametrize(("line", "offers"), OFFERS, ids=[line for line, _ in OFFERS])
def test_bash_offers_what_can_follow(line: str, offers: set[str]) -> None:
    """Commands, options, choices, names of faults and scenarios, and files where a file is meant."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")

    assert bash(line) == offers


@pytest.mark.parametrize(("line", "offers"), OFFERS, ids=[line for line, _ in OFFERS])
def test_fish_offers_the_same(line: str, offers: set[str]) -> None:
    """With a word on each."""
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")

    assert fish(line) == offers


def ambiguous(command: str) -> bool:
    """Return whether another command begins as *command* does without its last letter: ``ru`` is run and rules."""
    return sum(each.startswith(command[:-1]) for each in cli.COMMANDS) > 1


def test_zsh_completes_the_same(tmp_path: Path) -> None:
    """Where one thing can follow, it is written."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    full = [f"{line.rpartition(' ')[0]} {offer}" for line, offers in OFFERS if len(offers) == 1 for offer in offers]
    full += [f"rolewatch {command}" for command in cli.COMMANDS if not ambiguous(command)]
    full += [f"rolewatch explain {fault.value}" for fault in FAULTS]

    assert zsh(tmp_path, [line[:-1] for line in full]) == full


def test_bash_finds_the_completion_by_the_name_of_the_command() -> None:
    """The packages install it where bash-completion looks it up; sourced, it registers itself."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    script = f"source {DIRECTORY / 'rolewatch.bash'}; complete -p rolewatch"
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True)

    assert "-F _shtab_rolewatch rolewatch" in done.stdout
