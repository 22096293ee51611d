"""docs/install.md: its commands can be typed, and its links lead to something."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rolewatch import cli
from units import UNITS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/install.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks() -> list[str]:
    """Return the commands of the page."""
    return re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_every_link_leads_somewhere() -> None:
    """To a file of the project, and where it names a heading, to one that there is."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXT):
        path, _, heading = target.partition("#")
        page = PAGE.parent / path
        assert page.is_file(), target
        titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not heading or heading in anchors, target


def test_every_example_is_on_the_page() -> None:
    """A file that nobody points to is a file that nobody finds."""
    shipped = [*(ROOT / "packaging/examples").rglob("*"), *(ROOT / "packaging/cloud-init").rglob("*")]
    missing = [
        path.name for path in shipped if path.is_file() and f"({os.path.relpath(path, PAGE.parent)})" not in TEXT
    ]

    assert missing == []


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.splitlines()[0][:40])
def test_what_is_to_be_typed_is_clean(block: str) -> None:
    """By shellcheck; some lines are alternatives, so that one failing does not end the others."""
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([shellcheck, "--shell=bash", "-"], input=block, capture_output=True, text=True, check=False)

    assert done.stdout == ""


def test_every_command_and_unit_exists() -> None:
    """What the page names is what is installed."""
    typed = "\n".join(blocks())
    units = {path.name for path in UNITS} | {path.name for path in (ROOT / "packaging/examples/systemd").iterdir()}

    assert set(re.findall(r"^(?:sudo )?rolewatch ([a-z]+)", typed, re.MULTILINE)) <= set(cli.COMMANDS)
    assert set(re.findall(r"rolewatch[a-z-]*\.(?:service|timer|path|socket)", TEXT)) <= units


def test_the_repositories_are_those_of_the_other_files() -> None:
    """The lines for apt and dnf are the ones that cloud-init writes."""
    debian = (ROOT / "packaging/cloud-init/debian.yaml").read_text(encoding="utf-8")
    amazon = (ROOT / "packaging/cloud-init/amazon-linux.yaml").read_text(encoding="utf-8")
    (apt,) = re.findall(r"^echo '(deb .*)' \|$", TEXT, re.MULTILINE)

    assert apt in debian
    for key in ("baseurl", "gpgkey"):
        (value,) = re.findall(rf"^{key}=(\S+)$", TEXT, re.MULTILINE)
        assert f"{key}: {value}" in amazon


def test_the_policy_that_is_named_is_the_one_that_is_shipped() -> None:
    """Where the packages put it."""
    (named,) = re.findall(r"file:///usr/share/doc/rolewatch/examples/iam/(\S+)", TEXT)

    assert (ROOT / "packaging/iam" / named).is_file()
    assert "/usr/share/doc/rolewatch/examples/iam/" in (ROOT / "packaging/files").read_text(encoding="utf-8")
