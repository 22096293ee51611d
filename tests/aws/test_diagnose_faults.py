"""Every fault of AWS's page is made through the API, and found: on the instance, and from a workstation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import pytest

from rolewatch.simulator import instance
from rolewatch.simulator.instance import ACCOUNT_ID, INSTANCE_ID

pytest.importorskip("moto")

from moto.backends import get_backend

from aws import cloud
from aws.cloud import OTHER_ID, PROFILE, RDS, ROLE, House

READS = (
    "ec2:DescribeInstances",
    "ec2:DescribeIamInstanceProfileAssociations",
    "iam:GetInstanceProfile",
    "iam:GetRole",
    "iam:ListRolePolicies",
    "iam:GetRolePolicy",
)


def commands(result: cloud.Run) -> str:
    """Return the commands of the fix."""
    return "\n".join(step["command"] for step in result.root["fix"])


def test_a_healthy_instance_passes(house: House) -> None:
    """Nothing is wrong: exit status 0, and AWS accepts the served credentials as those of this instance."""
    result = house.diagnose()

    assert result.status == 0, result.out
    assert result.document["state"] == "ok"
    assert result.faults == []
    assert result.document["root_cause"] is None
    proof = result.check("sts.proof")
    assert proof["status"] == "pass"
    assert proof["facts"]["instance_id"] == INSTANCE_ID
    assert result.check("iam.role_id")["status"] == "pass"
    assert result.check("iam.trust")["status"] == "pass"
    assert result.check("ec2.association")["status"] == "pass"


def test_a_replaced_profile_is_named_before_the_break(house: House) -> None:
    """IMDS still serves credentials, and confirmation sees that IAM has another id: degraded, hours ahead."""
    house.cloud.delete_profile()
    house.cloud.create_profile(OTHER_ID)
    result = house.diagnose()

    assert result.status == 1
    assert result.faults == ["instance_profile_replaced"]
    assert result.root["fault"] == "instance_profile_replaced"
    assert OTHER_ID in result.root["because"]
    assert instance.fake_profile_id(PROFILE) in result.root["because"]
    assert "twice" in result.root["because"]
    assert f"--association-id={house.cloud.association_id}" in commands(result)
    assert "replace-iam-instance-profile-association" in commands(result)
    assert "describe-iam-instance-profile-associations" not in commands(result)


def test_a_replaced_profile_is_named_after_the_break(house: House) -> None:
    """IMDS says InstanceProfileNotFound with the old id in its Message; IAM has another of that name: replaced."""
    house.cloud.delete_profile()
    house.cloud.create_profile(OTHER_ID)
    house.environ.update(house.cloud.user(*READS))
    house.imds.switch("instance_profile_not_found")
    result = house.diagnose()

    assert result.status == 2
    assert result.faults == ["instance_profile_not_found", "instance_profile_replaced"]
    assert result.root["fault"] == "instance_profile_replaced"
    assert result.check("iam.profile_id")["facts"]["imds_id"] == instance.fake_profile_id(PROFILE)
    assert result.check("sts.proof")["status"] == "unknown"


def test_a_deleted_profile_is_named_before_the_break(house: House) -> None:
    """IAM has none of that name: named while IMDS still serves, and IAM is asked twice."""
    house.cloud.delete_profile()
    result = house.diagnose()

    assert result.status == 1
    assert result.faults == ["instance_profile_not_found"]
    assert "twice" in result.check("iam.profile")["note"]
    assert result.check("iam.profile_id")["status"] == "skipped"


def test_a_removed_role_is_named_before_the_break(house: House) -> None:
    """The instance profile is empty, and the old credentials are still served."""
    house.cloud.empty_profile()
    result = house.diagnose()

    assert result.status == 1
    assert result.faults == ["instance_profile_without_role"]
    assert f"--role-name={ROLE}" in commands(result)
    assert "iam:AddRoleToInstanceProfile" in [each for step in result.root["fix"] for each in step["permissions"]]


def test_a_removed_role_is_named_after_the_break(house: House) -> None:
    """IMDS says itself that there is no role."""
    house.cloud.empty_profile()
    house.environ.update(house.cloud.user(*READS))
    house.imds.switch("instance_profile_without_role")
    result = house.diagnose()

    assert result.status == 2
    assert result.root["fault"] == "instance_profile_without_role"
    assert f"--association-id={house.cloud.association_id}" in commands(result)


def test_a_swapped_role_is_pending(house: House) -> None:
    """IAM has another role in the profile than IMDS serves."""
    house.cloud.iam.create_role(RoleName="batch", AssumeRolePolicyDocument=json.dumps(cloud.TRUST))
    house.cloud.empty_profile()
    house.cloud.iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName="batch")
    result = house.diagnose("--expect-role", "batch")

    assert result.status == 1
    assert result.faults == ["role_mismatch", "role_swap_pending"]
    assert result.root["fault"] == "role_swap_pending"
    assert result.check("iam.expected_role")["status"] == "pass"
    assert "batch" in result.root["because"]


def test_a_deleted_role_is_named(house: House) -> None:
    """The role that IMDS serves is gone: reported beside the swap."""
    house.cloud.iam.create_role(RoleName="batch", AssumeRolePolicyDocument=json.dumps(cloud.TRUST))
    house.cloud.empty_profile()
    house.cloud.iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName="batch")
    house.cloud.delete_role()
    result = house.diagnose()

    assert "was deleted" in result.check("iam.role_id")["note"]
    assert "The old role was deleted." in result.check("iam.served_role")["note"]


def test_a_trust_policy_without_ec2_is_named_before_the_break(house: House) -> None:
    """The next refresh will fail: reported while the credentials still work."""
    house.cloud.trust(RDS)
    result = house.diagnose()

    assert result.status == 1
    assert result.faults == ["trust_policy_denies_ec2"]
    assert "rds.amazonaws.com" in result.root["because"]
    assert "update-assume-role-policy" in commands(result)


def test_a_trust_policy_without_ec2_explains_what_imds_says(house: House) -> None:
    """IMDS says that EC2 may not assume the role; the trust policy says why."""
    house.cloud.trust(RDS)
    house.environ.update(house.cloud.user(*READS))
    house.imds.switch("assume_role_unauthorized")
    result = house.diagnose()

    assert result.status == 2
    assert result.faults == ["assume_role_unauthorized", "trust_policy_denies_ec2"]
    assert result.root["fault"] == "assume_role_unauthorized"
    assert "rds.amazonaws.com" in result.root["because"]


def test_a_corrected_trust_policy_waits_for_the_next_refresh(house: House) -> None:
    """IMDS shows the old error until the next refresh; the trust policy is right by now."""
    house.environ.update(house.cloud.user(*READS))
    house.imds.switch("assume_role_unauthorized")
    result = house.diagnose()

    assert result.faults == ["assume_role_unauthorized"]
    assert "EC2's next refresh" in result.check("iam.trust")["note"]


def test_a_detached_profile_is_attached_again(house: House) -> None:
    """Nothing is attached: the fix is associate, not replace."""
    house.cloud.ec2.disassociate_iam_instance_profile(AssociationId=house.cloud.association_id)
    house.environ.update(house.cloud.user(*READS))
    house.imds.switch("instance_profile_detached")
    result = house.diagnose()

    assert result.status == 2
    assert result.faults == ["instance_profile_detached"]
    assert "ec2 associate-iam-instance-profile" in commands(result)
    assert "replace" not in commands(result)
    assert INSTANCE_ID in commands(result)


def test_rejected_credentials_are_named_with_aws_code(house: House) -> None:
    """STS does not know the served credentials: no usable ones, whatever IMDS shows."""
    house.environ.update(house.cloud.user(*READS))
    get_backend("sts")[ACCOUNT_ID]["aws"].assumed_roles.clear()
    house.cloud.enforce()
    result = house.diagnose()

    assert result.status == 2
    assert result.faults == ["credentials_rejected"]
    (fault,) = result.document["faults"]
    assert fault["evidence"] == {"code": "InvalidClientTokenId", "role": ROLE}


@pytest.mark.parametrize(
    ("role", "session_name", "responder"),
    [("batch", INSTANCE_ID, "not_ec2"), (ROLE, "i-0fedcba9876543210", "other_instance")],
)
def test_credentials_of_another_session_are_in_the_headline(
    house: House, role: str, session_name: str, responder: str
) -> None:
    """STS answers for another role or another instance than IMDS says: degraded, and exit status 1."""
    if role != ROLE:
        house.cloud.iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(cloud.TRUST))
    house.know_served_keys(role, session_name)
    result = house.diagnose()
    shown = house.diagnose(json_form=False)

    assert (result.status, result.faults) == (1, ["imds_intercepted"])
    assert result.document["faults"][0]["evidence"]["responder"] == responder
    assert f"assumed-role/{role}/{session_name}" in result.root["because"]
    assert shown.out.startswith("DEGRADED")
    assert "Root cause: imds_intercepted" in shown.out


def revoke(house: House, before: str, **more: object) -> None:
    """Deny what the console's "Revoke active sessions" denies, to sessions from *before* a time."""
    statement = {"Effect": "Deny", "Action": ["*"], "Resource": ["*"]}
    condition = {"DateLessThan": {"aws:TokenIssueTime": before}, **more}
    document = {"Version": "2012-10-17", "Statement": [{**statement, "Condition": condition}]}
    house.cloud.iam.put_role_policy(
        RoleName=ROLE, PolicyName="AWSRevokeOlderSessions", PolicyDocument=json.dumps(document)
    )


def test_revoked_sessions_are_named(house: House) -> None:
    """IMDS serves the set, and GetCallerIdentity accepts it: only the role's policy shows that all else is denied."""
    revoke(house, "2099-01-01T00:00:00.123Z")
    house.environ.update(house.cloud.user(*READS))
    result = house.diagnose()

    assert (result.status, result.faults) == (2, ["credentials_rejected"])
    assert result.document["faults"][0]["evidence"] == {"code": "AccessDenied", "role": ROLE}
    assert result.check("sts.proof")["status"] == "pass"
    assert "AWSRevokeOlderSessions" in result.root["because"]
    assert "2099-01-01T00:00:00Z" in result.root["because"]
    assert "next rotation" in result.root["because"]
    assert "get-role-policy" in commands(result)
    assert "AttributeValue=PutRolePolicy" in commands(result)


def test_sessions_that_were_revoked_before_the_last_rotation_are_no_fault(house: House) -> None:
    """The policy stays for ever, and concerns older sets only."""
    revoke(house, "2020-01-01T00:00:00Z")
    house.environ.update(house.cloud.user(*READS))

    assert house.diagnose().check("iam.revoked")["status"] == "pass"
    assert house.from_elsewhere().check("iam.revoked")["status"] == "pass"


@pytest.mark.parametrize("more", [{}, {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}], ids=["elsewhere", "condition"])
def test_a_revocation_that_may_not_concern_the_instance_is_undecided(house: House, more: dict[str, object]) -> None:
    """From a workstation the age of the set is not known; another condition cannot be judged offline."""
    revoke(house, "2099-01-01T00:00:00Z", **more)
    house.environ.update(house.cloud.user(*READS))
    result = house.diagnose() if more else house.from_elsewhere()

    assert result.check("iam.revoked")["status"] == "unknown"
    assert result.check("iam.revoked")["facts"]["policy"] == "AWSRevokeOlderSessions"
    assert (result.status, result.faults) == (0, [])


def test_policies_that_may_not_be_read_are_said_to_be_unchecked(house: House) -> None:
    """Where the role's policies are denied to the reader, nothing is claimed of them."""
    revoke(house, "2099-01-01T00:00:00Z")
    house.environ.update(house.cloud.user(*READS[:4]))
    house.cloud.enforce()
    check = house.diagnose().check("iam.revoked")

    assert check["status"] == "unknown"
    assert check["permission"] == "iam:ListRolePolicies"
    assert "was not checked" in check["note"]


def test_a_stopped_instance_gets_no_command_to_replace(house: House) -> None:
    """Replacing needs a running instance: a stopped one gets disassociate and associate."""
    house.cloud.delete_profile()
    house.cloud.create_profile(OTHER_ID)
    house.cloud.ec2.stop_instances(InstanceIds=[INSTANCE_ID])
    house.environ.update(house.cloud.user(*READS))
    result = house.from_elsewhere()

    assert result.root["fault"] == "instance_profile_replaced"
    assert f"--association-id={house.cloud.association_id}" in commands(result)
    assert "replace-iam" not in commands(result)
    assert commands(result).index("disassociate") < commands(result).index("ec2 associate")


def _break_nothing(house: House) -> None:
    pass


def _replace(house: House) -> None:
    house.cloud.delete_profile()
    house.cloud.create_profile(OTHER_ID)


def _detach(house: House) -> None:
    house.cloud.ec2.disassociate_iam_instance_profile(AssociationId=house.cloud.association_id)


@pytest.mark.parametrize(
    ("broken", "fault", "status"),
    [
        (_break_nothing, None, 0),
        (_replace, "instance_profile_replaced", 1),
        (lambda house: house.cloud.delete_profile(), "instance_profile_not_found", 1),
        (lambda house: house.cloud.empty_profile(), "instance_profile_without_role", 1),
        (lambda house: house.cloud.trust(RDS), "trust_policy_denies_ec2", 1),
        (_detach, "instance_profile_detached", 2),
    ],
    ids=["healthy", "replaced", "deleted", "empty", "trust", "detached"],
)
def test_a_workstation_sees_it_too(house: House, broken: Callable[[House], None], fault: str, status: int) -> None:
    """With --instance-id IMDS is not asked, the checks of IMDS say who could make them, and the cause is found."""
    broken(house)
    house.environ.update(house.cloud.user(*READS))
    house.cloud.enforce()
    before = len(house.imds.requests)
    result = house.from_elsewhere()

    assert result.status == status, result.out
    assert result.faults == ([fault] if fault else [])
    assert result.root.get("fault") == fault
    skipped = result.check("imds.token")
    assert skipped["status"] == "skipped"
    assert "on the instance" in skipped["who"]
    assert len(house.imds.requests) == before


@pytest.mark.parametrize("action", [*READS[:3], *READS[4:]])
def test_a_denied_call_names_the_missing_permission(house: House, action: str) -> None:
    """AccessDenied to one call makes its checks unknown with the permission named; the rest goes on."""
    house.environ.update(house.cloud.user(*(each for each in READS if each != action)))
    house.cloud.enforce()
    result = house.diagnose()

    named = [check for check in result.document["checks"] if check.get("permission") == action]
    assert named
    assert {check["status"] for check in named} == {"unknown"}
    assert result.check("sts.proof")["status"] == "pass"
    others = [check["status"] for check in result.document["checks"] if check["id"].startswith(("ec2.", "iam."))]
    assert "pass" in others
    assert result.status == 0  # IMDS answers, and no check failed


def test_a_workstation_without_permissions_decides_nothing(house: House) -> None:
    """Without the permissions nothing is known: exit status 3."""
    house.environ.update(house.cloud.user("s3:ListBuckets"))
    house.cloud.enforce()
    result = house.from_elsewhere()

    assert result.status == 3
    assert result.document["state"] == "unknown"


@pytest.mark.parametrize("by_option", [False, True])
def test_a_profile_that_does_not_exist_is_reported(house: House, *, by_option: bool) -> None:
    """The served credentials are proven all the same; AWS is asked nothing else, and the state is IMDS's."""
    if not by_option:
        house.environ["AWS_PROFILE"] = "nobody"
    result = house.diagnose(*(["--profile", "nobody"] if by_option else []))

    assert result.status == 0
    assert result.check("sts.proof")["status"] == "pass"
    assert result.check("aws.caller")["status"] == "skipped"
    assert "no profile of that name" in result.check("aws.caller")["note"]


def test_another_region_is_a_clear_line(house: House) -> None:
    """EC2 does not know the instance there: reported, and not a fault."""
    house.environ.update(house.cloud.user(*READS))
    result = house.run("--instance-id", INSTANCE_ID, "--region", "us-east-1", disabled=True)

    assert result.status == 3
    assert "Region or the account is another" in result.check("ec2.attached")["note"]


def test_the_file_is_written_whole_and_for_the_group(house: House) -> None:
    """--output writes the same document, readable by the daemon's group and no one else."""
    path = house.directory / "confirmed.json"
    result = house.diagnose("--output", str(path))

    assert result.out == ""
    assert path.stat().st_mode & 0o777 == 0o640
    assert json.loads(path.read_text())["schema"] == 1
    assert [each.name for each in house.directory.iterdir() if each.name.startswith(".")] == []


def test_a_file_that_cannot_be_written_is_wrong_usage(house: House) -> None:
    """The directory is missing: 64, and what to do."""
    result = house.diagnose("--output", str(Path("/nonexistent/confirmed.json")))

    assert result.status == 64
    assert "--output" in result.err


@pytest.mark.parametrize("debug", [False, True])
def test_no_served_key_comes_out(house: House, *, debug: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither on stdout nor stderr, as table or JSON, with boto3's debug log on or off."""
    import logging

    import boto3

    path = house.directory / "confirmed.json"
    names = ("boto3", "botocore", "urllib3", "")
    before = {name: (logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in names}
    if debug:
        for name in names:
            boto3.set_stream_logger(name, logging.DEBUG)
    try:
        runs = [
            house.diagnose(),
            house.diagnose(json_form=False),
            house.diagnose("--output", str(path)),
        ]
    finally:
        for name, (level, handlers) in before.items():
            logging.getLogger(name).setLevel(level)
            logging.getLogger(name).handlers[:] = handlers
    captured = capfd.readouterr()
    out = "\n".join([captured.out, captured.err, path.read_text(), *(each.out + each.err for each in runs)])

    assert runs[0].check("sts.proof")["status"] == "pass"  # they were used
    assert house.imds.secrets
    assert not [secret for secret in house.imds.secrets if secret in out]
