"""What `diagnose --json` writes is what the daemon reads."""

from __future__ import annotations

import json

import pytest

from rolewatch.aws.diagnose import CHECKS
from rolewatch.faults import CONFIRMED_FAULTS, Fault
from rolewatch.faults.explain import explain
from rolewatch.monitor.confirmation import DECIDED_BY, Confirmation, decode
from rolewatch.simulator.instance import INSTANCE_ID

pytest.importorskip("moto")

from aws.cloud import OTHER_ID, RDS, ROLE, House


def confirmed(house: House) -> Confirmation:
    """Return what the daemon reads of a diagnosis of *house*."""
    return decode(json.dumps(house.diagnose().document))


def test_the_checks_that_decide_exist() -> None:
    """A check that was renamed would leave its fault active for ever."""
    assert set(DECIDED_BY) <= {check.id for check in CHECKS}


def test_a_healthy_instance_decides_all_four(house: House) -> None:
    """None of them is found, and none is left open."""
    read = confirmed(house)

    assert (read.instance_id, read.findings, read.undetermined) == (INSTANCE_ID, (), ())


def test_a_replaced_profile_is_read_before_the_break(house: House) -> None:
    """The daemon makes a fault of it hours before IMDS says anything."""
    house.cloud.delete_profile()
    house.cloud.create_profile(OTHER_ID)

    assert [finding.fault for finding in confirmed(house).findings] == [Fault.INSTANCE_PROFILE_REPLACED]


def test_a_broken_trust_policy_is_read_before_the_break(house: House) -> None:
    """It breaks at the next refresh."""
    house.cloud.trust(RDS)

    assert Fault.TRUST_POLICY_DENIES_EC2 in [finding.fault for finding in confirmed(house).findings]


def test_revoked_sessions_are_read_with_their_remedy(house: House) -> None:
    """STS accepts the set; the policy of the role is the finding, and the daemon explains it as a revocation."""
    condition = {"DateLessThan": {"aws:TokenIssueTime": "2099-01-01T00:00:00Z"}}
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    house.cloud.iam.put_role_policy(RoleName=ROLE, PolicyName="r", PolicyDocument=policy)
    (finding,) = confirmed(house).findings

    assert finding.fault is Fault.CREDENTIALS_REJECTED
    assert "revoked" in explain(finding.fault, finding.evidence, {}).hint


def test_an_instance_without_credentials_decides_nothing_that_aws_must_answer(house: House) -> None:
    """Without credentials AWS is not asked: active faults stay."""
    house.imds.switch("instance_profile_detached")

    assert set(confirmed(house).undetermined) == set(CONFIRMED_FAULTS)
