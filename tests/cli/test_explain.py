"""``rolewatch explain``: the table of faults, for people and for programs."""

from __future__ import annotations

import json

import pytest

from rolewatch.cli import EX_USAGE, main
from rolewatch.faults import FAULTS, Fault
from rolewatch.faults.table import Entry

WIDEST = 118
"""A command is not wrapped: 100 columns, and the indentation."""


def explain(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command and return its exit status, what it printed, and what it complained about."""
    status = main(["explain", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_without_a_fault_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The list has a line for each fault, in the order of the vocabulary, with severity and title."""
    status, out, _ = explain(capsys)

    lines = out.splitlines()
    assert status == 0
    assert [line.split()[0] for line in lines[: len(Fault)]] == [fault.value for fault in Fault]
    for line, entry in zip(lines, FAULTS.values()):
        assert entry.severity.name.lower() in line
        assert line.endswith(entry.title)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_is_explained_completely(capsys: pytest.CaptureFixture[str], fault: Fault) -> None:
    """The text has the title, every step with its command, the page and the MESSAGE_ID, and fits a terminal."""
    status, out, _ = explain(capsys, fault.value)

    entry = FAULTS[fault]
    unwrapped = " ".join(out.split())
    assert status == 0
    assert out.startswith(f"{fault.value}: {entry.title}\n")
    assert entry.page in out
    assert (f"journalctl -u rolewatch MESSAGE_ID={entry.message_id}\n" in out) == (not entry.only_diagnosed)
    for remedy in (entry.remedy, *entry.variants.values()):
        assert " ".join(remedy.takes_effect.split()) in unwrapped
        assert unwrapped.count(remedy.who.value) >= 1
    assert all(f"reason       {reason}" in out for reason in entry.variants)
    assert max(len(line) for line in out.splitlines() if entry.page not in line) <= WIDEST


def test_one_reason_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a fault with many reasons, the one at hand is enough."""
    status, out, _ = explain(capsys, "imds_unreachable", "--reason", "blackhole")

    assert status == 0
    assert "sudo ip route del blackhole 169.254.169.254" in out
    assert "prohibit" not in out


@pytest.mark.parametrize("entry", [entry for entry in FAULTS.values() if entry.variants])
def test_every_reason_with_a_remedy_can_be_asked_for(entry: Entry, capsys: pytest.CaptureFixture[str]) -> None:
    """Completions offer all of them: reasons, responders, and codes of AWS."""
    for reason, remedy in entry.variants.items():
        status, out, err = explain(capsys, entry.fault.value, "--reason", reason, "--format", "json")
        (fault,) = json.loads(out)["faults"]

        assert (status, err) == (0, "")
        assert [step["text"].split(" ")[0] for step in fault["fix"]] == [step.text.split(" ")[0] for step in remedy.fix]


def test_a_reason_without_a_remedy_of_its_own_gets_the_general_one(capsys: pytest.CaptureFixture[str]) -> None:
    """The catalog passes on whatever reason the evidence names."""
    status, out, _ = explain(capsys, "imds_unreachable", "--reason", "connect_error")

    assert status == 0
    assert "The connection failed in an unusual way" in out


@pytest.mark.parametrize("name", ["imds_hop_limt", "IMDS-HOP-LIMITS"])
def test_an_unknown_fault_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """After a typing mistake, the message names the right word."""
    status, out, err = explain(capsys, name)

    assert status == EX_USAGE
    assert out == ""
    assert f"there is no fault {name!r}" in err
    assert "imds_hop_limit" in err


def test_a_fault_may_be_typed_with_dashes_and_in_capitals(capsys: pytest.CaptureFixture[str]) -> None:
    """What is meant is clear."""
    status, out, _ = explain(capsys, "Role-Mismatch")

    assert status == 0
    assert out.startswith("role_mismatch: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("imds_error", "--reason", "ambigous"), "Did you mean ambiguous?"),
        (("clock_skew", "--reason", "tired"), "clock_skew has none."),
        (("--reason", "refused"), "--reason needs a FAULT"),
    ],
)
def test_an_unknown_reason_is_a_mistake(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str
) -> None:
    """It says what is wrong and which reasons there are."""
    status, out, err = explain(capsys, *arguments)

    assert (status, out) == (EX_USAGE, "")
    assert complaint in err


def test_the_json_form_has_all_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get every fault with every field, and each reason's remedy."""
    _, out, _ = explain(capsys, "--format", "json")

    document = json.loads(out)
    assert document["schema"] == 1
    assert [fault["fault"] for fault in document["faults"]] == [fault.value for fault in Fault]
    assert all(
        set(fault)
        == {
            "fault",
            "title",
            "severity",
            "debounce",
            "confirmation_only",
            "message_id",
            "page",
            "meaning",
            "cause",
            "hint",
            "fix",
            "takes_effect",
            "who",
            "reasons",
        }
        for fault in document["faults"]
    )
    unreachable = document["faults"][0]
    assert set(unreachable["reasons"]) == set(FAULTS[Fault.IMDS_UNREACHABLE].variants)
    assert unreachable["reasons"]["refused"]["fix"][0].keys() == {"text", "command", "permissions"}


def test_the_json_form_of_one_reason_has_that_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """With a reason the remedy on top is that reason's, and no others follow."""
    _, out, _ = explain(capsys, "imds_unreachable", "--reason", "blackhole", "--format", "json")

    (fault,) = json.loads(out)["faults"]
    assert "blackhole" in fault["cause"]
    assert fault["reasons"] == {}


@pytest.mark.parametrize("fault", list(Fault))
def test_the_markdown_form_shows_placeholders_and_closes_its_code(
    capsys: pytest.CaptureFixture[str], fault: Fault
) -> None:
    """Prose has no bare angle bracket that Markdown would swallow, and every block of code ends."""
    _, out, _ = explain(capsys, fault.value, "--format", "markdown")

    assert out.startswith(f"## {fault.value}\n")
    assert out.count("```") % 2 == 0
    outside = [part for index, part in enumerate(out.split("```")) if index % 2 == 0]
    assert not any(f"{before}<{name}" in part for part in outside for before in " (" for name in ("instance", "role"))
