"""The conclusion, drawn from values: what moto cannot be made to answer, and every shape of an association."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import builders
from rolewatch import monitor
from rolewatch.aws import trust_policy
from rolewatch.aws.checks import Outcome, Status
from rolewatch.aws.client import Missing, Refused, Trouble
from rolewatch.aws.diagnose import Diagnosis, diagnose
from rolewatch.aws.diagnose.findings import AwsFindings, Context, LocalFindings
from rolewatch.aws.diagnose.host import Host
from rolewatch.aws.diagnose.overrides import Override, Overrides
from rolewatch.aws.queries import Association, Caller, Instance, MetadataOptions, Profile, Role
from rolewatch.faults import Fault
from rolewatch.monitor.memory import Memory
from rolewatch.observation import Absent, Identity, Observation, Route, RouteKind
from rolewatch.settings import Settings
from rolewatch.vocabulary import Reason, State

ACCOUNT = "123456789012"
ARN = f"arn:aws:iam::{ACCOUNT}:instance-profile/app/{builders.PROFILE}"
ROLE_ID = "AROAEXAMPLE000000001"
TRUST = {"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}}
ROLE = Role(builders.ROLE, ROLE_ID, f"arn:aws:iam::{ACCOUNT}:role/{builders.ROLE}", TRUST)
CALLER = Caller(
    f"arn:aws:sts::{ACCOUNT}:assumed-role/{builders.ROLE}/{builders.INSTANCE_ID}",
    ACCOUNT,
    builders.ROLE,
    ROLE_ID,
    builders.INSTANCE_ID,
)
IN_AWS = AwsFindings(
    caller=CALLER,
    instance=Instance(
        builders.INSTANCE_ID,
        "running",
        ARN,
        builders.PROFILE_ID,
        MetadataOptions("enabled", "required", 1, "disabled", "disabled", "applied"),
    ),
    association=Association("iip-assoc-0123456789abcdef0", "associated", ARN, builders.PROFILE_ID),
    profile_name=builders.PROFILE,
    profile=Profile(builders.PROFILE, builders.PROFILE_ID, ARN, ROLE),
    proof=CALLER,
)
WAY = Route(RouteKind.UNICAST, "ens5", "10.0.0.1", default_interface="ens5")
IDENTITY = Identity(builders.INSTANCE_ID, "eu-west-1", ACCOUNT)


def local(seen: Observation | None = None, **changes: Any) -> LocalFindings:
    """Return the findings of a poll that saw *seen*, but for *changes*."""
    seen = builders.answered(identity=IDENTITY) if seen is None else seen
    verdict = builders.judge(seen)
    memory, _ = monitor.update_instance(Memory(), seen, builders.moment())
    snapshot = monitor.single_poll(memory, seen, verdict, Settings(), builders.moment())
    made = LocalFindings(seen, verdict, snapshot, Host("169.254.169.254", WAY), Overrides(), "the user web")
    return replace(made, **changes)


def context(seen: Observation | None = None, **changes: Any) -> Context:
    """Return a healthy context, but for *seen* and *changes*."""
    healthy = Context(IN_AWS, local(seen), builders.INSTANCE_ID, "eu-west-1")
    return replace(healthy, **changes)


def in_aws(**changes: Any) -> Context:
    """Return a healthy context, but for *changes* in what AWS answered."""
    return context(aws=replace(IN_AWS, **changes))


def outcome(diagnosis: Diagnosis, name: str) -> Outcome:
    """Return what came of the check called *name*."""
    return next(result.outcome for result in diagnosis.results if result.id == name)


def commands(diagnosis: Diagnosis) -> str:
    """Return the commands of the fix."""
    assert diagnosis.root is not None
    return "\n".join(step.command for step in diagnosis.root.explained.fix)


def faults(diagnosis: Diagnosis) -> list[Fault]:
    """Return which faults were found."""
    return [finding.fault for finding in diagnosis.findings]


def test_health_has_no_cause() -> None:
    """No check fails, and no fault is found."""
    found = diagnose(context())

    assert (found.state, found.root, found.findings) == (State.OK, None, ())
    assert {result.outcome.status for result in found.results if result.outcome.status is Status.FAIL} == set()


def test_a_role_created_anew_is_seen_by_its_id() -> None:
    """STS returns the id of the session's role; IAM has another role of that name."""
    found = diagnose(in_aws(profile=replace(IN_AWS.profile, role=replace(ROLE, id="AROAOTHER00000000001"))))  # type: ignore[type-var]

    assert faults(found) == [Fault.ROLE_SWAP_PENDING]
    assert "created anew" in outcome(found, "iam.role_id").note
    assert found.state is State.DEGRADED


def test_the_instance_names_the_profile_if_associations_are_denied() -> None:
    """DescribeInstances names the attached profile, too."""
    found = diagnose(in_aws(association=Refused(Trouble.ACCESS_DENIED, "ec2:DescribeIamInstanceProfileAssociations")))

    assert outcome(found, "ec2.attached").status is Status.PASS
    assert outcome(found, "ec2.association").permission == "ec2:DescribeIamInstanceProfileAssociations"
    assert outcome(found, "iam.profile_id").status is Status.PASS


@pytest.mark.parametrize("state", ["associating", "disassociating"])
def test_an_association_in_change_is_waited_for(state: str) -> None:
    """The fix begins with waiting, for another change would fail."""
    gone = Missing("iam:GetInstanceProfile")
    found = diagnose(
        in_aws(association=replace(IN_AWS.association, state=state), profile=gone)  # type: ignore[type-var]
    )

    assert outcome(found, "ec2.association").status is Status.FAIL
    assert found.root is not None
    assert "wait" in found.root.explained.fix[0].text.lower()


def test_what_is_attached_decides_between_associate_and_replace() -> None:
    """None attached: associate. One attached to a running instance: replace it, by its id."""
    gone = Missing("iam:GetInstanceProfile")
    attached = diagnose(in_aws(profile=gone))
    assert "replace-iam-instance-profile-association" in commands(attached)
    assert "--association-id=iip-assoc-0123456789abcdef0 " in commands(attached)
    assert " associate-iam" not in commands(attached)

    nothing = Missing("ec2:DescribeIamInstanceProfileAssociations")
    bare = replace(IN_AWS.instance, profile_arn=None, profile_id=None)  # type: ignore[type-var]
    detached = diagnose(
        context(
            builders.detached(identity=IDENTITY), aws=replace(IN_AWS, association=nothing, instance=bare, profile=None)
        )
    )
    assert faults(detached) == [Fault.INSTANCE_PROFILE_DETACHED]
    assert " associate-iam-instance-profile" in commands(detached)
    assert "replace" not in commands(detached)


def test_a_disabled_endpoint_is_seen_from_a_workstation() -> None:
    """The metadata options show it without IMDS."""
    options = MetadataOptions("disabled", "required", 1, "disabled", "disabled", "applied")
    instance = replace(IN_AWS.instance, options=options)  # type: ignore[type-var]
    found = diagnose(Context(replace(IN_AWS, instance=instance, proof=None), None, builders.INSTANCE_ID, "eu-west-1"))

    assert faults(found) == [Fault.IMDS_DISABLED]
    assert found.state is State.FAILED


def test_credentials_that_sts_refuses_are_no_credentials() -> None:
    """IMDS shows nothing, and yet nothing works: failed."""
    found = diagnose(in_aws(proof=Refused(Trouble.REJECTED, "sts:GetCallerIdentity", "InvalidClientTokenId")))

    assert (found.state, faults(found)) == (State.FAILED, [Fault.CREDENTIALS_REJECTED])


@pytest.mark.parametrize("trouble", [Trouble.UNREACHABLE, Trouble.THROTTLED, Trouble.NO_SDK, Trouble.CLOCK])
def test_an_sts_that_does_not_answer_is_no_fault(trouble: Trouble) -> None:
    """Offline, throttled, not installed: the state stays IMDS's."""
    found = diagnose(in_aws(proof=Refused(trouble, "sts:GetCallerIdentity")))

    assert (found.state, faults(found)) == (State.OK, [])


def test_another_account_is_not_asked_for_the_profile() -> None:
    """Its answer would be of the wrong account."""
    caller = replace(CALLER, account_id="999999999999")
    why = Refused(Trouble.OTHER_ACCOUNT, "iam:GetInstanceProfile", detail="999999999999")
    found = diagnose(in_aws(caller=caller, profile=why))

    assert outcome(found, "aws.caller").status is Status.FAIL
    assert outcome(found, "iam.trust").status is Status.UNKNOWN
    assert faults(found) == []


@pytest.mark.parametrize(
    ("others", "responder"),
    [
        ({"session": "i-0fedcba9876543210"}, "other_instance"),
        ({"session": "kiam-kiam"}, "not_ec2"),
        ({"role": "batch"}, "not_ec2"),
        ({"role": None, "role_id": None, "session": None}, "not_ec2"),
    ],
)
def test_credentials_that_this_instances_imds_did_not_give_are_a_fault(others: dict[str, Any], responder: str) -> None:
    """EC2's IMDS serves a session of the listed role, with the instance id as its name."""
    aws = replace(IN_AWS, proof=replace(CALLER, **others))
    found = diagnose(context(aws=aws))
    accepting = diagnose(context(aws=aws, local=local(accepted=(responder,))))

    assert (found.state, faults(found)) == (State.DEGRADED, [Fault.IMDS_INTERCEPTED])
    assert outcome(found, "sts.proof").evidence["responder"] == responder
    assert (accepting.state, faults(accepting)) == (State.OK, [])


@pytest.mark.parametrize(
    ("reason", "check", "word"),
    [
        (Reason.REFUSED, "host.firewall", "REJECT"),
        (Reason.CONNECT_TIMEOUT, "host.firewall", "DROP"),
        (Reason.FILTERED, "host.firewall", "filter"),
        (Reason.PROHIBITED, "host.imdsd", "prohibit"),
    ],
)
def test_an_unreachable_imds_is_explained_by_the_host(reason: Reason, check: str, word: str) -> None:
    """The reason names what denies the call."""
    found = diagnose(context(builders.unanswered(reason)))

    assert found.root is not None
    assert found.root.fault is Fault.IMDS_UNREACHABLE
    assert outcome(found, check).status is Status.FAIL
    assert word in outcome(found, check).note
    assert found.state is State.UNKNOWN


def test_the_measured_hop_limit_is_compared_with_that_of_ec2() -> None:
    """The TTL of the answers is inferred to be the limit; if the two figures differ, the check says so."""

    def note(measured: int) -> str:
        found = local()
        return outcome(
            diagnose(context(local=replace(found, snapshot=replace(found.snapshot, hop_limit=measured)))),
            "host.hop_limit",
        ).note

    assert "limit is 1: too low for containers behind a bridge. EC2 has it at 1." in note(1)
    assert "differ" not in note(1)
    assert "limit is at least 2. EC2 has it at 1. The two differ" in note(2)


def test_dropped_packets_explain_a_silent_imds() -> None:
    """Only where IMDS does not answer; a count by itself is no fault."""
    silent = local(replace(builders.unanswered(Reason.CONNECT_TIMEOUT), dropped_packets=7))
    answering = local(builders.answered(identity=IDENTITY, dropped_packets=7))

    assert outcome(diagnose(context(local=silent)), "host.allowance").status is Status.FAIL
    assert outcome(diagnose(context(local=answering)), "host.allowance").status is Status.PASS


def test_overrides_are_a_fault_of_the_user() -> None:
    """They keep one user's SDKs from the role, which works."""
    overrides = Overrides(environment=(Override("AWS_ACCESS_KEY_ID", "an access key"),))
    found = diagnose(context(local=local(overrides=overrides)))

    assert outcome(found, "shadow.environment").status is Status.FAIL
    assert "AWS_ACCESS_KEY_ID" in outcome(found, "shadow.environment").note
    assert found.state is State.DEGRADED
    assert found.root is not None
    assert found.root.fault is Fault.CREDENTIALS_OVERRIDDEN
    assert found.root.because == outcome(found, "shadow.environment").note


def test_a_doubtful_trust_policy_is_unknown_and_no_fault() -> None:
    """IMDS is the judge."""
    doubtful = {"Statement": {**TRUST["Statement"], "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}}
    found = diagnose(in_aws(profile=replace(IN_AWS.profile, role=replace(ROLE, trust=doubtful))))  # type: ignore[type-var]

    assert trust_policy.judge(doubtful).trust is trust_policy.Trust.UNDECIDED
    assert outcome(found, "iam.trust").status is Status.UNKNOWN
    assert faults(found) == []


def test_the_unexpected_role_in_iam_is_said_before_imds_serves_it() -> None:
    """IAM has another role than expected; IMDS still serves the right one."""
    other = replace(IN_AWS.profile, role=replace(ROLE, name="batch"))  # type: ignore[type-var]
    snapshot = local().snapshot
    expecting = local(snapshot=replace(snapshot, expected=replace(snapshot.expected, role=("web-*",))))
    found = diagnose(context(aws=replace(IN_AWS, profile=other), local=expecting, expected_role=("web-*",)))

    assert faults(found) == [Fault.ROLE_MISMATCH, Fault.ROLE_SWAP_PENDING]
    assert outcome(found, "imds.expected_role").status is Status.PASS


def test_a_missing_listing_beside_a_profile_is_credentials_missing() -> None:
    """With a sound chain in IAM, EC2 itself is late: wait, then force."""
    found = diagnose(context(builders.answered(listing=Absent(), credentials=None, identity=IDENTITY)))

    assert found.root is not None
    assert found.root.fault is Fault.CREDENTIALS_MISSING
    assert "disassociate-iam-instance-profile" in commands(found)


@pytest.mark.parametrize(
    ("region", "where"), [("cn-north-1", "cn-north-1"), ("us-gov-east-1", "us-gov-west-1"), ("eu-west-1", "us-east-1")]
)
def test_who_did_it_is_looked_up_where_the_partition_keeps_it(region: str, where: str) -> None:
    """IAM's events are in one Region of each partition."""
    look_up = f"cloudtrail lookup-events --region={where} "
    other = replace(IN_AWS.profile, id="AIPAOTHER00000000001")  # type: ignore[type-var]
    found = diagnose(context(aws=replace(IN_AWS, profile=other, proof=None), region=region, local=None))

    assert faults(found) == [Fault.INSTANCE_PROFILE_REPLACED]
    assert look_up in commands(found)


@pytest.mark.parametrize(
    ("region", "arn", "partition"),
    [
        ("cn-north-1", "arn:aws-cn:iam::123456789012:instance-profile/web", "aws-cn"),
        ("us-gov-west-1", "arn:aws-us-gov:iam::123456789012:instance-profile/web", "aws-us-gov"),
        ("cn-north-1", None, "aws-cn"),
        ("eu-west-1", None, "aws"),
    ],
)
def test_the_partition_is_the_arns_or_else_the_regions(region: str, arn: str | None, partition: str) -> None:
    """China's trust policies are judged by China's rules."""
    profile = replace(IN_AWS.profile, arn=arn)  # type: ignore[type-var]

    assert context(aws=replace(IN_AWS, profile=profile), region=region).partition == partition
