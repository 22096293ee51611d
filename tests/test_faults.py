"""The table of faults is whole, its commands are real, and nothing in it changes by accident."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rolewatch.faults import DAEMON_FAULTS, FAULTS, IMDS_FAULTS, Fault, table
from rolewatch.faults.explain import explain
from rolewatch.faults.remedy import PLACEHOLDERS, Remedy, Step
from rolewatch.faults.table import Entry
from rolewatch.vocabulary import NO_ROLE_EXPECTED, SESSIONS_REVOKED, SEVERITIES, Reason, Responder, Who

ENTRIES = [pytest.param(entry, id=fault.value) for fault, entry in FAULTS.items()]
ANY_PLACEHOLDER = re.compile(r"(?<![$%])\{([a-z_]+)\}")
GLOBAL_OPTIONS = {"region", "query", "output"}

RELEASED_IDS = {
    "imds_unreachable": "14426fc115334bbdb939c8519ce8ab9c",
    "imds_hop_limit": "bb8641ed8c1f4210b3c0dc1328fc0573",
    "imds_disabled": "443ca42c9d304a20acbd2ca786a292a5",
    "imds_error": "134c2da4d37943b2bc17d63fd2e6a97e",
    "instance_profile_detached": "10098116ee524771b513495e406a89dc",
    "instance_profile_not_found": "9572a952b1804ee3a8a83891f4b2f1cd",
    "instance_profile_without_role": "3676a426b84c4bbea0952eb1557a786e",
    "credentials_missing": "4db6573e5dbd42e6892a11d3f0c84122",
    "assume_role_unauthorized": "60614c121c0c4761ad260b3e2a17b092",
    "credentials_error": "a110e976623a4e2f93bfa7b302b702c0",
    "credentials_expired": "bb76ad6b7cd4427aa956558d3886794d",
    "rotation_overdue": "8c7ac5d5696f487e8c69fa908d270bc2",
    "role_mismatch": "c5d4cc298bf244d087f86fe4b5476e40",
    "clock_skew": "f610cd4022a04a9aa448536fbb258359",
    "credentials_rejected": "32733e176f74426baedd14ad7403d967",
    "instance_profile_replaced": "cb463cf6bcc646f0b4e8bcaa3957b655",
    "role_swap_pending": "b3c12a2564134383b8440e70f4c79d4d",
    "trust_policy_denies_ec2": "fb04ff30e6044ab49d503ac179814b0d",
}
"""The MESSAGE_ID of each released fault: alerts and saved searches use it, so it never changes."""


def remedies(entry: Entry) -> list[Remedy]:
    """Return all remedies of *entry*."""
    return [entry.remedy, *entry.variants.values()]


def steps(entry: Entry) -> list[Step]:
    """Return all steps of *entry*."""
    return [step for remedy in remedies(entry) for step in remedy.fix]


def prose(entry: Entry) -> Iterator[str]:
    """Yield everything of *entry* that a person reads as sentences."""
    yield entry.meaning
    for remedy in remedies(entry):
        yield from (remedy.cause, remedy.hint, remedy.takes_effect)
        yield from (step.text for step in remedy.fix)


def test_every_fault_has_an_entry_in_the_order_of_the_vocabulary() -> None:
    """The table has an entry for each fault, in the order in which faults are reported."""
    assert [entry.fault for entry in table.ENTRIES] == list(Fault)


def test_the_message_ids_never_change() -> None:
    """A fault keeps the MESSAGE_ID that it was released with. Each is 32 hex digits, and no two are the same."""
    ids = {fault.value: FAULTS[fault].message_id for fault in DAEMON_FAULTS}

    assert {fault: ids.get(fault) for fault in RELEASED_IDS} == RELEASED_IDS
    assert len(set(ids.values())) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{32}", message_id) for message_id in ids.values())


def test_faults_that_need_a_confirmation_come_last() -> None:
    """They rest on the AWS API, so a fault that IMDS alone shows is the nearer cause. Faults of one program follow."""
    confirmed = [(entry.only_diagnosed, bool(entry.decided_by)) for entry in FAULTS.values()]

    assert confirmed == sorted(confirmed)


def test_no_two_faults_have_the_same_rank_among_root_causes() -> None:
    """Of two active faults, one always causes the other."""
    assert len({entry.root_rank for entry in FAULTS.values()}) == len(FAULTS)


def test_a_severity_is_a_priority_of_the_journal() -> None:
    """A severity is one of the three gravest levels of events that a daemon has, and the entry's PRIORITY."""
    assert {entry.severity for entry in FAULTS.values()} <= set(SEVERITIES)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_whole(entry: Entry) -> None:
    """No field is empty, every remedy has steps, and every sentence ends like one."""
    assert entry.title
    assert not entry.title.endswith(".")
    assert not re.match(r"[A-Z][a-z]", entry.title), "a title follows the fault's name: lower case first"
    assert all(remedy.fix for remedy in remedies(entry))
    assert all(re.search(r"[.:)]$", sentence) for sentence in prose(entry)), [
        sentence for sentence in prose(entry) if not re.search(r"[.:)]$", sentence)
    ]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_variant_is_a_reason_of_the_vocabulary(entry: Entry) -> None:
    """A remedy for a reason that can never be seen would never be shown."""
    other = {NO_ROLE_EXPECTED, SESSIONS_REVOKED}
    assert set(entry.variants) <= {*(each.value for each in (*Reason, *Responder)), *other}


@pytest.mark.parametrize("entry", [FAULTS[fault] for fault in IMDS_FAULTS])
def test_which_way_and_who_answers_come_first(entry: Entry) -> None:
    """Where they may be the cause, these steps are before those that search for one among many firewall rules."""
    first = {"see-route", "see-responder"}
    for remedy in remedies(entry):
        steps = [step.id for step in remedy.fix]
        assert not first & set(steps) or steps[0] in first, steps


def test_every_reason_to_be_unreachable_has_its_own_remedy() -> None:
    """Every reason of a failed connection but the catch-all says what to do about it."""
    connecting = [reason for reason in Reason if reason.label.value == "connect"] + [Reason.CONNECT_TIMEOUT]

    missing = [reason for reason in connecting if reason.value not in FAULTS[Fault.IMDS_UNREACHABLE].variants]

    assert missing == [Reason.CONNECT_ERROR]


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_placeholder_is_known(entry: Entry) -> None:
    """A placeholder that nothing fills in would be pasted as it is."""
    used = {name for step in steps(entry) for name in ANY_PLACEHOLDER.findall(step.text + step.command)}
    used |= {name for sentence in prose(entry) for name in ANY_PLACEHOLDER.findall(sentence)}

    assert used <= {*PLACEHOLDERS, "needs"}


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_placeholder_is_between_quotes(entry: Entry) -> None:
    """What is filled in brings its own quotes; inside others these would end them."""
    for step in steps(entry):
        bare = re.sub(r'"[^"$]*"', "", re.sub(r"'[^']*'", "", step.command))

        assert ANY_PLACEHOLDER.findall(bare) == ANY_PLACEHOLDER.findall(step.command), step.command


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_command_is_valid_shell_and_fits_the_screen(entry: Entry) -> None:
    """Each command parses in bash as it is shown, with names filled in, and no line is wider than 100 columns."""
    facts = {name: f"x-{name.replace('_', '-')}" for name in PLACEHOLDERS}
    for reason in ("", *entry.variants):
        for step in explain(entry.fault, {"reason": reason}, facts).fix:
            parsed = subprocess.run(
                ["/bin/bash", "-n", "-c", step.command], capture_output=True, text=True, check=False
            )

            assert parsed.returncode == 0, (step.command, parsed.stderr)
            assert max((len(line) for line in step.command.splitlines()), default=0) <= 100, step.command


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_fix_says_once_that_its_own_credentials_will_not_do(entry: Entry) -> None:
    """A fix in EC2 or IAM says once from where to run its commands."""
    warnings = [step for step in entry.remedy.fix if "do not come from this instance" in step.text]

    assert len(warnings) == (1 if entry.remedy.who is not Who.HOST else 0)


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_step_that_would_overwrite_an_earlier_one_is_another_way(entry: Entry) -> None:
    """Who pastes the steps in order does not lose with the third what the second one wrote."""
    for remedy in remedies(entry):
        written: set[str] = set()
        for step in remedy.fix:
            writes = set(re.findall(r"aws \S+ (?:update|put|modify)-\S+", step.command))
            assert not writes & written or step.text.startswith("Or, ")
            written |= writes


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_step_is_found_by_its_id(entry: Entry) -> None:
    """Every step of a remedy has an id of words and hyphens, and no other step of it has the same."""
    for remedy in remedies(entry):
        ids = [step.id for step in remedy.fix]

        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", each) for each in ids), ids


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_changing_command_names_the_permission_it_needs(entry: Entry) -> None:
    """Nobody should have to find out by AccessDenied what a fix needs: each step names every operation it calls."""
    for step in steps(entry):
        called = {
            f"{service}:{operation}"
            for service, operation, _ in aws_commands(step.command)
            if not operation.startswith(("Describe", "Get", "wait "))
        }

        assert called <= set(step.permissions)


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_step_that_needs_permissions_says_so_in_its_text(entry: Entry) -> None:
    """The text names the permissions once, and names no other action as needed."""
    for step in steps(entry):
        assert step.text.count("{needs}") == bool(step.permissions)
        assert "(needs" not in step.text
    for step in explain(entry.fault, {}, {}).fix:
        assert all(permission in step.text for permission in step.permissions)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_aws_command_exists_with_these_options(entry: Entry) -> None:
    """Every aws command is an operation of the service, with options that it has and none missing that it needs."""
    session = pytest.importorskip("botocore.session").get_session()
    from botocore import xform_name

    for step in steps(entry):
        for service, operation, options in aws_commands(step.command):
            if operation.startswith("wait "):
                waiters = session.get_waiter_model(service).waiter_names
                assert operation[5:] in {xform_name(name, "-") for name in waiters}
                continue
            model = session.get_service_model(service)
            assert operation in model.operation_names
            shape = model.operation_model(operation).input_shape
            names = {xform_name(member, "-") for member in shape.members}
            needed = {xform_name(member, "-") for member in shape.required_members}

            assert set(options) - GLOBAL_OPTIONS <= names, step.command
            assert needed <= set(options), step.command


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_query_finds_what_the_service_answers(entry: Entry) -> None:
    """Every --query names members that the answer has: asked of a made-up answer of that shape, it finds them."""
    session = pytest.importorskip("botocore.session").get_session()
    jmespath = pytest.importorskip("jmespath")

    for step in steps(entry):
        for service, operation, options in aws_commands(step.command):
            if "query" in options:
                shape = session.get_service_model(service).operation_model(operation).output_shape

                found = jmespath.search(options["query"], sample(shape, depth=7))

                assert found, step.command
                assert "None" not in str(found), (step.command, found)


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_page_is_one_of_aws(entry: Entry) -> None:
    """The page is of AWS's own guides for IAM, EC2 or the SDKs, in English."""
    assert re.fullmatch(
        r"https://docs\.aws\.amazon\.com/((IAM|AWSEC2)/latest/UserGuide|sdkref/latest/guide)/[\w-]+\.html(#[\w-]+)?",
        entry.page,
    )


@pytest.mark.parametrize("fault", [Fault.INSTANCE_PROFILE_WITHOUT_ROLE, Fault.ASSUME_ROLE_UNAUTHORIZED])
def test_the_timing_is_honest(fault: Fault) -> None:
    """What waits for EC2's refresh says so: up to an hour, how to have it at once, and that a reboot does not help."""
    takes_effect = FAULTS[fault].remedy.takes_effect

    assert "up to an hour" in takes_effect
    assert "disassociate and associate" in takes_effect
    assert "stop and start" in takes_effect
    assert "A reboot does not help" in takes_effect
    assert "Running applications keep their current credentials" in takes_effect


def aws_commands(command: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield service, operation and options of each aws command in *command*."""
    joined = ANY_PLACEHOLDER.sub("x", command.replace("\\\n", " "))
    for found in re.finditer(r"\baws (ec2|iam|cloudtrail) ([a-z-]+)((?:'[^']*'|\"[^\"]*\"|[^\n|>)'\"])*)", joined):
        service, operation, rest = found.groups()
        words = shlex.split(rest)
        if operation == "wait":
            yield service, f"wait {words[0]}", {}
            continue
        options: dict[str, str] = {}
        for word in words:
            if word.startswith("--"):
                last, _, value = word[2:].partition("=")
                options[last] = value
            else:
                options[last] = f"{options[last]} {word}".strip()
        name = "".join(part.capitalize() for part in operation.split("-"))
        yield service, name, options


def sample(shape: Any, *, depth: int) -> object:  # noqa: ANN401 - botocore has no types
    """Return an answer of *shape* with something in every member."""
    if shape.type_name == "structure":
        return {name: sample(member, depth=depth - 1) for name, member in shape.members.items()} if depth else {}
    if shape.type_name == "list":
        return [sample(shape.member, depth=depth - 1)] if depth else []
    return {"integer": 1, "boolean": True}.get(shape.type_name, "text")


def test_no_command_asks_imds_through_a_proxy() -> None:
    """Curl obeys the `http_proxy` of the shell that a command is pasted into, and a proxy asks its own IMDS."""
    commands = [
        line
        for entry in FAULTS.values()
        for remedy in (entry.remedy, *entry.variants.values())
        for step in remedy.fix
        for line in step.command.splitlines()
    ]
    docs = Path(__file__).resolve().parents[1] / "docs"
    pages = [line for page in docs.rglob("*.md") for line in page.read_text(encoding="utf-8").splitlines()]
    asking = [line for line in (*commands, *pages) if "curl -s" in line and ("169.254" in line or "$imds" in line)]

    assert asking
    assert [line for line in asking if "--noproxy '*'" not in line] == []
