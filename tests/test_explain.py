"""What is filled in is what is known of this instance, and it is safe to paste."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publish.snapshots import OK, with_changes
from rolewatch.aws_names import partition_of
from rolewatch.faults import FAULTS, Fault
from rolewatch.faults.explain import explain
from rolewatch.faults.remedy import PLACEHOLDERS
from rolewatch.observation import Identity
from rolewatch.publish import Snapshot, facts_of
from rolewatch.text import is_printable

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
FACTS = {
    "instance_id": "i-0123456789abcdef0",
    "region": "eu-central-1",
    "instance_profile": "app-profile",
    "role": "app",
}


def snapshot(**changes: Any) -> Snapshot:
    """Return a snapshot of a healthy instance, with *changes*."""
    healthy = {
        "role": "app",
        "instance_profile": "app-profile",
        "instance_profile_id": "AIPAEXAMPLE0000000000",
        "expiration": NOON + timedelta(hours=5),
        "identity": Identity("i-0123456789abcdef0", "eu-central-1", "123456789012"),
    }
    return with_changes(OK, **{**healthy, **changes})


def commands(fault: Fault, evidence: dict[str, Any], facts: dict[str, str]) -> str:
    """Return all commands of the fix, one below the other."""
    return "\n".join(step.command for step in explain(fault, evidence, facts).fix)


@pytest.mark.parametrize("fault", list(Fault))
def test_with_all_facts_no_placeholder_is_left(fault: Fault) -> None:
    """Where everything is known, nothing is left to be filled in by hand, whatever the reason."""
    facts = dict.fromkeys(PLACEHOLDERS, "known")

    for reason in ("", *FAULTS[fault].variants):
        explained = explain(fault, {"reason": reason}, facts)
        words = " ".join(
            [
                explained.meaning,
                explained.cause,
                explained.hint,
                explained.takes_effect,
                *(s.text + s.command for s in explained.fix),
            ]
        )
        assert "{region}" not in words
        assert not any(f"{{{name}}}" in words or f"<{name.replace('_', '-')}>" in words for name in PLACEHOLDERS)


@pytest.mark.parametrize("fault", list(Fault))
def test_the_commands_name_the_address_of_imds_that_is_used(fault: Fault) -> None:
    """Over IPv6: its address, in brackets in a URL, and the programs for IPv6."""
    facts = {"imds_address": "fd00:ec2::254"}

    for reason in ("", *FAULTS[fault].variants):
        over_ipv6 = commands(fault, {"reason": reason}, facts)
        assert "169.254.169.254" not in over_ipv6
        assert "http://fd00" not in over_ipv6
        assert re.search(r"(?<!ip6)\biptables|ip rule|ip route show", over_ipv6) is None


def test_what_is_unknown_can_be_seen() -> None:
    """What nobody knows stays a placeholder that a person recognises, and that the shell refuses."""
    pasted = commands(Fault.IMDS_DISABLED, {}, {})

    assert "--region=<region> --instance-id=<instance-id>" in pasted


def test_what_is_known_is_filled_in() -> None:
    """The commands carry the ids of this instance."""
    pasted = commands(Fault.IMDS_DISABLED, {}, FACTS)

    assert "--region=eu-central-1 --instance-id=i-0123456789abcdef0" in pasted


def test_the_evidence_picks_the_remedy() -> None:
    """Where a reason has a remedy of its own, that one is explained, and not the general one."""
    explained = explain(Fault.IMDS_UNREACHABLE, {"reason": "prohibited"}, FACTS)

    assert "systemd-imdsd" in explained.cause
    assert explained.cause == FAULTS[Fault.IMDS_UNREACHABLE].variants["prohibited"].cause


def test_a_reason_without_a_remedy_of_its_own_gets_the_general_one() -> None:
    """A reason that the table does not name is no mistake."""
    explained = explain(Fault.IMDS_UNREACHABLE, {"reason": "connect_error", "errno": 5}, FACTS)

    assert explained.cause == FAULTS[Fault.IMDS_UNREACHABLE].remedy.cause


def test_the_evidence_comes_before_the_facts() -> None:
    """The names that were seen with the fault are the ones to act on."""
    pasted = commands(Fault.ASSUME_ROLE_UNAUTHORIZED, {"role": "seen"}, FACTS)

    assert "--role-name=seen" in pasted
    assert "--role-name=app" not in pasted


def test_a_detached_profile_is_attached_again_by_its_name() -> None:
    """Without an expectation, what the instance had is what it should get back."""
    pasted = commands(Fault.INSTANCE_PROFILE_DETACHED, {"instance_profile": "app-profile"}, {"region": "eu-west-1"})

    assert "--iam-instance-profile Name=app-profile" in pasted


def test_a_wrong_profile_is_not_offered_as_the_right_one() -> None:
    """Of a mismatch the current name is the one thing that is known to be wrong."""
    pasted = commands(Fault.ROLE_MISMATCH, {"role": "app", "expected_role": "web-*"}, FACTS)

    assert "--iam-instance-profile Name=<expected-instance-profile>" in pasted
    assert "--role-name=<expected-role>" in pasted


def test_a_plain_expectation_is_filled_in() -> None:
    """An expectation that is one name can be pasted."""
    pasted = commands(Fault.ROLE_MISMATCH, {"role": "app", "expected_role": "web"}, FACTS)

    assert "--role-name=web" in pasted


@pytest.mark.parametrize("expected", [("web-*",), ("web", "db"), ("w?b",), ("[ab]c",), ()])
def test_a_pattern_is_no_name_to_paste(expected: tuple[str, ...]) -> None:
    """Facts contain an expectation only where it is one plain name."""
    assert "expected_role" not in facts_of(snapshot(expected_role=expected))


def test_facts_are_those_of_the_snapshot() -> None:
    """What a snapshot knows is what a remedy is filled in with, and the time until which credentials work."""
    assert facts_of(snapshot(expected_role=("web",), expected_instance_profile=("web-profile",))) == {
        "instance_id": "i-0123456789abcdef0",
        "region": "eu-central-1",
        "account_id": "123456789012",
        "partition": "aws",
        "role": "app",
        "instance_profile": "app-profile",
        "instance_profile_id": "AIPAEXAMPLE0000000000",
        "expected_role": "web",
        "expected_instance_profile": "web-profile",
        "expiration": "2026-11-23T17:00:00Z",
    }


@pytest.mark.parametrize("usable", [False, None])
def test_an_expiration_is_a_fact_only_of_usable_credentials(*, usable: bool | None) -> None:
    """The expiration of unusable credentials is not a fact."""
    assert "expiration" not in facts_of(snapshot(usable=usable))


def test_an_instance_without_identity_has_few_facts() -> None:
    """Nothing is made up where the identity document could not be read."""
    assert (
        facts_of(snapshot(identity=None, role=None, instance_profile=None, instance_profile_id=None, usable=None)) == {}
    )


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-central-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_a_region_gives_its_partition(region: str, partition: str) -> None:
    """The partition follows from the Region's name, as botocore has it."""
    assert partition_of(region) == partition


def test_the_partitions_are_those_of_botocore() -> None:
    """Every Region that botocore knows is put into the partition that botocore puts it into."""
    session = pytest.importorskip("botocore.session").get_session()
    wrong = {
        region: partition
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition, allow_non_regional=False)
        if partition_of(region) != partition
    }

    assert wrong == {}


@given(name=st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=60))
def test_a_hostile_name_stays_one_word(name: str) -> None:
    """Whatever name IMDS gives, the shell reads it as one argument and runs nothing of it."""
    fix = explain(Fault.ROTATION_OVERDUE, {"instance_profile": name}, FACTS).fix
    lookup = next(step for step in fix if step.command.startswith("aws iam get-instance-profile"))

    words = shlex.split(lookup.command)

    assert f"--instance-profile-name={name if is_printable(name) else '<instance-profile>'}" in words


def test_a_comma_does_not_end_a_name_in_the_shorthand() -> None:
    """IAM allows commas in names, and the AWS CLI's ``Name=…`` ends at one unless it is quoted."""
    pasted = commands(Fault.CREDENTIALS_MISSING, {"instance_profile": "a,b"}, FACTS)

    assert "Name='\"a,b\"'" in pasted
    assert "--instance-profile-name=a,b " in pasted


@pytest.mark.parametrize("name", ["app\nrm -rf /", "app\x1b[2J", "x" * 300])
def test_what_is_no_name_is_not_filled_in(name: str) -> None:
    """Line breaks, escapes to the terminal and endless names are dropped, in commands and in prose."""
    explained = explain(Fault.INSTANCE_PROFILE_NOT_FOUND, {"instance_profile": name, "instance_profile_id": name}, {})

    assert name not in explained.cause
    assert "<instance-profile-id>" in explained.cause
    assert all(name not in step.command for step in explained.fix)
