"""The pages on ``preflight`` and on AWS's page speak of checks and faults that exist, and of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rolewatch.aws import diagnose
from rolewatch.aws.checks import Status
from rolewatch.aws.preflight import ATTACH_ROLE_CHECKS, LAUNCH_CHECKS, VISIBLE_CHECKS, Outlook
from rolewatch.faults import Fault

DOCS = Path(__file__).parents[2] / "docs"
SEED_TOPICS = 6
"""AWS's page has six (Korean edition, 2026)."""

BEFORE = {check.id for checks in (LAUNCH_CHECKS, ATTACH_ROLE_CHECKS, VISIBLE_CHECKS) for check in checks}
AFTER = {check.id for check in diagnose.CHECKS}
CHECK_ID = re.compile(r"`([a-z0-9]+\.[a-z_]+)`")
WORD = re.compile(r"`([a-z]+(?:_[a-z0-9]+)+)`")
FILES = re.compile(r"\.(md|json)$")


def page(name: str) -> str:
    """Return a page of the manual."""
    return (DOCS / name).read_text(encoding="utf-8")


def named(text: str) -> set[str]:
    """Return the ids of checks that *text* names."""
    return {word for word in CHECK_ID.findall(text) if not FILES.search(word)}


def test_every_check_before_a_launch_is_in_the_manual() -> None:
    """A check that is added is described."""
    assert named(page("preflight.md")) == BEFORE


def test_the_map_of_awss_page_names_only_what_exists() -> None:
    """Each name in its last column is a check of diagnose or preflight, a fault, or the event of a changed role."""
    text = page("aws-page.md")

    assert named(text) - BEFORE - AFTER == set()
    assert set(WORD.findall(text)) - {fault.value for fault in Fault} <= {"role_changed"}


def test_every_check_follows_a_sentence_of_awss_page_or_says_that_it_does_not() -> None:
    """None is left out, but who asks, and whether AWS can be asked: they ask for all the others."""
    left = (BEFORE | AFTER) - named(page("aws-page.md"))

    assert left == {
        "launch.caller",
        "attach.caller",
        "visible.caller",
        "aws.caller",
        "attach.profile",
        "attach.role",
        "visible.role",
    }


def test_every_topic_of_awss_page_has_its_section_and_its_command() -> None:
    """Six topics, and each names the command that works through it."""
    sections = re.split(r"^## (?=\d)", page("aws-page.md"), flags=re.MULTILINE)[1:]

    assert [section[:2] for section in sections] == [f"{number}." for number in range(1, SEED_TOPICS + 1)]
    assert all("`rolewatch " in section.split("|")[0] for section in sections)


@pytest.mark.parametrize("outlook", list(Outlook))
def test_every_exit_status_is_in_the_manual(outlook: Outlook) -> None:
    """With the word that begins the printed line, and in the document."""
    text = page("preflight.md")

    assert re.search(rf"^\| {outlook.value} \|.*`{outlook.name.replace('_', ' ')}` \|$", text, re.MULTILINE)
    assert f"`{outlook.name.lower()}`" in text


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_in_the_manual(status: Status) -> None:
    """As the document has it."""
    assert f"`{status.value}`" in page("preflight.md")
