"""The commands of a runbook fix the fault when they are typed into the AWS CLI as they are."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Callable

import pytest

from rolewatch.cli import main
from runbooks import fenced, part

if TYPE_CHECKING:
    from aws.cloud import House

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("awscli") is None, reason="the AWS CLI is not installed"),
]


def an_editor(policy: str) -> str:
    """Do what the second step of `assume_role_unauthorized` says: the statement is for EC2."""
    return policy.replace("rds.amazonaws.com", "ec2.amazonaws.com")


def typed(house: House, fault: str, names: dict[str, str]) -> None:
    """Type every command of the runbook of *fault*; *names* are filled in.

    But for CloudTrail's, which moto has not, and those that change this host.
    """
    (house.directory / "aws").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m awscli "$@"\n')
    (house.directory / "aws").chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{house.directory}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": house.cloud.url,
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": names["region"],
        "AWS_PAGER": "",
    }
    for command in fenced(part(fault, "Cause and fix"), "sh"):
        if "cloudtrail" in command or "sudo" in command:
            continue
        for name, value in names.items():
            command = command.replace(f"<{name}>", value)  # noqa: PLW2901 - as a person fills it in
        ran = subprocess.run(
            ["bash", "-e", "-c", command], env=environ, cwd=house.directory, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
        policy = house.directory / "trust-policy.json"
        if policy.exists():
            policy.write_text(an_editor(policy.read_text()))


def stop_trusting(house: House) -> None:
    """Edit the trust policy so that EC2 is not in it."""
    from aws.cloud import RDS

    house.cloud.trust(RDS)


def empty(house: House) -> None:
    """Take the role out of the instance profile."""
    house.cloud.empty_profile()


def detach(house: House) -> None:
    """Remove the association."""
    house.cloud.ec2.disassociate_iam_instance_profile(AssociationId=house.cloud.association_id)


@pytest.mark.parametrize(
    ("fault", "break_it"),
    [
        pytest.param("assume_role_unauthorized", stop_trusting, id="assume_role_unauthorized"),
        pytest.param("instance_profile_without_role", empty, id="instance_profile_without_role"),
        pytest.param("instance_profile_detached", detach, id="instance_profile_detached"),
    ],
)
def test_the_commands_of_the_runbook_fix_the_fault(
    fault: str, break_it: Callable[[House], None], house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """On AWS's side everything is as it was, and `rolewatch check` finds no fault when IMDS serves that."""
    from aws.cloud import PROFILE, ROLE
    from rolewatch.simulator.instance import INSTANCE_ID, REGION

    break_it(house)
    house.imds.switch(fault)
    before = main(["check", "--endpoint", house.imds.endpoint])
    typed(
        house,
        fault,
        {
            "region": REGION,
            "instance-id": INSTANCE_ID,
            "role": ROLE,
            "expected-role": ROLE,
            "instance-profile": PROFILE,
            "expected-instance-profile": PROFILE,
        },
    )
    house.imds.switch("healthy")
    after = main(["check", "--endpoint", house.imds.endpoint])
    capsys.readouterr()
    (association,) = house.cloud.ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    profile = house.cloud.iam.get_instance_profile(InstanceProfileName=PROFILE)["InstanceProfile"]
    (role,) = profile["Roles"]

    assert (before, after) == (2, 0)
    assert association["InstanceId"] == INSTANCE_ID
    assert association["IamInstanceProfile"]["Arn"] == profile["Arn"]
    assert role["RoleName"] == ROLE
    assert "ec2.amazonaws.com" in json.dumps(role["AssumeRolePolicyDocument"])
