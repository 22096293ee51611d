"""``rolewatch preflight`` against moto's server: each of the page's mistakes is made, and named."""

from __future__ import annotations

import argparse
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rolewatch.aws.preflight.answers import CALLS, PROBES
from rolewatch.cli import preflight
from rolewatch.cli.parser import Parser
from rolewatch.errors import UsageError

pytest.importorskip("boto3")
pytest.importorskip("moto")

from aws.preflight_aws import (
    ACCOUNT,
    IMAGE,
    READING,
    REGION,
    Aws,
    Server,
    allow,
    deny,
    ec2_error,
    iam_error,
    policy,
    simulation,
)

POLICY = Path(__file__).parents[2] / "packaging" / "iam" / "preflight.json"
DRY_RUN = ("--image-id", IMAGE)

Printed = tuple[int, dict[str, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Yield one AWS for all tests of this file."""
    made = Server()
    yield made
    made.stop()


def post(url: str, body: str = "") -> None:
    """Turn one of moto's switches."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        url, data=body.encode(), method="POST", headers={"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - loopback
        pass


@pytest.fixture
def aws(server: Server) -> Aws:
    """Return an empty AWS, which allows everything until the command is run."""
    endpoint = server.aws.endpoint
    post(f"{endpoint}/moto-api/reset-auth", "inf")
    post(f"{endpoint}/moto-api/reset")
    server.aws.calls.clear()
    server.aws.canned.clear()
    return server.aws


class Command:
    """``rolewatch preflight``, as the user runs it, with IAM enforced."""

    def __init__(self, aws: Aws, environ: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        """Ask *aws*."""
        self._aws, self._environ, self._captured = aws, environ, captured

    def __call__(self, *words: str) -> Printed:
        """Run it, and return its exit status and its JSON."""
        status, out = self.text(*words, "--json")
        return status, json.loads(out)

    def text(self, *words: str) -> tuple[int, str]:
        """Run it, and return its exit status and what it printed."""
        post(f"{self._aws.endpoint}/moto-api/reset-auth", "0")
        self._aws.calls.clear()
        environ = {
            "AWS_ENDPOINT_URL": self._aws.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self._aws.keys[0],
            "AWS_SECRET_ACCESS_KEY": self._aws.keys[1],
        }
        for name, value in environ.items():
            self._environ.setenv(name, value)
        arguments = parse(*words)
        status = arguments.run(arguments)
        return status, self._captured.readouterr().out


@pytest.fixture
def rolewatch(aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the command, which asks the AWS."""
    return Command(aws, monkeypatch, capsys)


def parse(*words: str) -> argparse.Namespace:
    """Return the arguments that *words* are."""
    parser = Parser(prog="rolewatch")
    preflight.add_parser(parser.add_subparsers(parser_class=Parser))
    return parser.parse_args(["preflight", *words])


def check(result: Printed, name: str) -> dict[str, Any]:
    """Return the check called *name*."""
    return next(each for each in result[1]["checks"] if each["id"] == name)


def statuses(result: Printed) -> dict[str, str]:
    """Return the status of every check, by the last word of its id."""
    return {each["id"].partition(".")[2]: each["status"] for each in result[1]["checks"]}


def launch(*more: str, profile: str = "web-profile") -> tuple[str, ...]:
    """Return the words of ``preflight launch``."""
    return ("launch", "--instance-profile", profile, *more)


ATTACH = ("attach-role", "--instance-profile", "web-profile", "--role", "web")
VISIBLE = ("visible", "--role", "web")


def test_a_launch_that_will_work_passes_every_check(aws: Aws, rolewatch: Command) -> None:
    """The profile exists, contains a role that EC2 may assume, and the user may launch with it, says a dry run, too."""
    role = aws.role("web", path="/apps/")
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole", on=role))

    result = rolewatch(*launch(*DRY_RUN))

    assert result[0] == 0
    assert set(statuses(result).values()) == {"pass"}
    assert (result[1]["outlook"], result[1]["because"]) == ("ok", None)


def test_without_an_image_the_dry_run_is_skipped_and_leaves_no_doubt(aws: Aws, rolewatch: Command) -> None:
    """The simulator covers it, so the exit status is 0."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole", on=role))

    result = rolewatch(*launch())

    assert result[0] == 0
    assert statuses(result)["dry_run"] == "skipped"
    assert "RunInstances" not in aws.actions()


def test_a_role_mistaken_for_an_instance_profile_is_named_with_the_profiles_that_contain_it(
    aws: Aws, rolewatch: Command
) -> None:
    """EC2 says "Invalid IAM Instance Profile name" to the name of a role; the message has the right names."""
    aws.role("web")
    aws.profile("web-blue", role="web")
    aws.profile("web-green", role="web")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole"))

    result = rolewatch(*launch(profile="web"))

    found = check(result, "launch.profile")
    assert result[0] == 2
    assert found["status"] == "fail"
    assert "There is a role of that name" in found["note"]
    assert "web is in web-blue, web-green" in found["note"]
    assert found["fix"][0]["text"] == "Use the instance profile web-blue or web-green."


def test_the_arn_of_a_role_is_not_looked_up_as_an_instance_profile(aws: Aws, rolewatch: Command) -> None:
    """A profile may have the role's name and contain something else: the ARN says what was meant."""
    role = aws.role("web")
    aws.profile("web", role=aws.role("other").rpartition("/")[2])
    aws.user(allow(*READING))

    result = rolewatch(*launch(profile=role))

    found = check(result, "launch.profile")
    assert found["status"] == "fail"
    assert found["note"].startswith(f"{role} is a role.")
    assert "create-instance-profile" in found["fix"][0]["command"]
    assert "GetInstanceProfile" not in aws.actions()


def test_a_profile_that_does_not_exist_is_answered_as_ec2_would(aws: Aws, rolewatch: Command) -> None:
    """The error code and its words are those that an operator finds in the log of the tool that launched."""
    aws.user(allow(*READING), allow("ec2:RunInstances"))

    result = rolewatch(*launch(*DRY_RUN))

    found = check(result, "launch.profile")
    assert result[0] == 2
    assert (
        "InvalidParameterValue: Value (web-profile) for parameter iamInstanceProfile.name is invalid" in found["note"]
    )
    assert check(result, "launch.role")["status"] == "skipped"
    assert check(result, "launch.dry_run")["facts"] == {
        "code": "InvalidParameterValue",
        "code_without": "DryRunOperation",
    }


def test_an_arn_with_another_path_or_account_is_not_the_profile_of_that_name(aws: Aws, rolewatch: Command) -> None:
    """GetInstanceProfile goes by the name; EC2, given an ARN, by the ARN."""
    aws.role("web")
    real = aws.profile("web-profile", role="web", path="/apps/")
    aws.user(allow(*READING))

    result = rolewatch(*launch(profile="arn:aws:iam::999999999999:instance-profile/web-profile"))

    found = check(result, "launch.profile")
    assert found["status"] == "fail"
    assert real in found["note"]
    assert "Invalid IAM Instance Profile ARN" in found["note"]


def test_an_empty_profile_is_answered_as_ec2_does_and_not_as_the_page_says(aws: Aws, rolewatch: Command) -> None:
    """EC2 says InvalidParameterValue … has no associated IAM Roles; the page says AccessDenied."""
    arn = aws.profile("web-profile")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole"))

    result = rolewatch(*launch(*DRY_RUN))

    found = check(result, "launch.role")
    assert result[0] == 2
    assert found["status"] == "fail"
    assert f'IAM Instance Profile "{arn}" has no associated IAM Roles' in found["note"]
    assert "AccessDenied" in found["note"]
    assert "add-role-to-instance-profile --instance-profile-name=web-profile" in found["fix"][0]["command"]
    assert check(result, "launch.dry_run")["facts"]["code"] == "InvalidParameterValue"


def test_a_trust_policy_without_ec2_is_reported_before_the_launch(aws: Aws, rolewatch: Command) -> None:
    """EC2 launches all the same, and the instance gets AssumeRoleUnauthorizedAccess: that is foreseen."""
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "rds.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    role = aws.role("web", trust={"Version": "2012-10-17", **trust})
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole", on=role))

    result = rolewatch(*launch())

    found = check(result, "launch.trust")
    assert result[0] == 2
    assert found["status"] == "fail"
    assert "AssumeRoleUnauthorizedAccess" in found["note"]
    assert any("update-assume-role-policy --role-name=web" in step["command"] for step in found["fix"])


def test_a_trust_policy_with_a_condition_may_fail(aws: Aws, rolewatch: Command) -> None:
    """What cannot be decided offline may fail: exit status 1."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    }
    role = aws.role("web", trust={"Version": "2012-10-17", "Statement": [statement]})
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole", on=role))

    result = rolewatch(*launch())

    found = check(result, "launch.trust")
    assert result[0] == 1
    assert (found["status"], found["may_fail"]) == ("unknown", True)
    assert result[1]["because"] == "launch.trust"


def test_a_missing_pass_role_is_named_with_the_statement_that_grants_it(aws: Aws, rolewatch: Command) -> None:
    """The user may launch, and may not pass this role: the simulator and the dry run agree."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole", on=f"{role}-other"))

    result = rolewatch(*launch(*DRY_RUN))

    found = check(result, "launch.pass_role")
    assert result[0] == 2
    assert found["status"] == "fail"
    assert f"The user ops may not iam:PassRole on {role}: no policy allows it." in found["note"]
    assert json.loads(found["fix"][0]["command"]) == {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role}
    assert check(result, "launch.run_instances")["status"] == "pass"
    assert "the role is the cause" in check(result, "launch.dry_run")["note"]


def test_an_explicit_deny_is_not_a_missing_permission(aws: Aws, rolewatch: Command) -> None:
    """To allow more does not help against a deny."""
    aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow("*"), deny("iam:PassRole"))

    result = rolewatch(*launch())

    assert "a policy denies it" in check(result, "launch.pass_role")["note"]


def test_run_instances_on_some_resources_only_may_fail_and_a_dry_run_decides(aws: Aws, rolewatch: Command) -> None:
    """The page asks for a wildcard; a narrower policy may do, and EC2 itself can be asked."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING), allow("iam:PassRole", on=role), allow("ec2:RunInstances", on="arn:aws:ec2:*:*:subnet/1"))

    result = rolewatch(*launch())

    assert result[0] == 1
    assert check(result, "launch.run_instances")["may_fail"] is True

    aws.canned["RunInstances"] = ec2_error(412, "DryRunOperation", "Request would have succeeded")
    result = rolewatch(*launch(*DRY_RUN))

    assert result[0] == 0
    assert set(statuses(result).values()) == {"pass"}


def test_without_the_simulator_the_dry_run_decides(aws: Aws, rolewatch: Command) -> None:
    """A caller that may not simulate can still try."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow("iam:GetInstanceProfile"), allow("ec2:RunInstances"), allow("iam:PassRole", on=role))

    result = rolewatch(*launch(*DRY_RUN))

    assert result[0] == 0
    assert set(statuses(result).values()) == {"pass"}


def test_without_the_simulator_and_without_a_dry_run_the_permission_is_named(aws: Aws, rolewatch: Command) -> None:
    """The check cannot be made, and names the missing permission."""
    aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow("iam:GetInstanceProfile"), allow("ec2:RunInstances"), allow("iam:PassRole"))

    result = rolewatch(*launch())

    for name in ("launch.run_instances", "launch.pass_role"):
        found = check(result, name)
        assert (found["status"], found["permission"]) == ("unknown", "iam:SimulatePrincipalPolicy")
    assert result[0] == 3


def test_a_dry_run_that_is_refused_twice_says_that_run_instances_is_missing(aws: Aws, rolewatch: Command) -> None:
    """The page's advice to launch without the instance profile, as a second dry run: the trouble is not the role's."""
    aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow("iam:GetInstanceProfile"), allow("iam:PassRole"))

    result = rolewatch(*launch(*DRY_RUN))

    found = check(result, "launch.dry_run")
    assert result[0] == 2
    assert "with the instance profile or without it" in found["note"]
    assert found["facts"] == {"code": "UnauthorizedOperation", "code_without": "UnauthorizedOperation"}


def test_a_dry_run_with_wrong_parameters_decides_nothing(aws: Aws, rolewatch: Command) -> None:
    """An image that does not exist says nothing of permissions."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole", on=role))
    aws.canned["RunInstances"] = ec2_error(400, "InvalidAMIID.NotFound", "The image id does not exist")

    result = rolewatch(*launch(*DRY_RUN))

    found = check(result, "launch.dry_run")
    assert (result[0], found["status"]) == (3, "unknown")
    assert "InvalidAMIID.NotFound" in found["note"]


def test_every_launch_that_is_asked_for_is_a_dry_run(aws: Aws, rolewatch: Command) -> None:
    """Nothing is ever launched: DryRun is in each RunInstances that leaves the house."""
    aws.profile("web-profile")
    aws.user(allow(*READING))

    rolewatch(*launch(*DRY_RUN))

    sent = [call for call in aws.calls if call["Action"] == "RunInstances"]
    assert len(sent) == 2
    assert {call.get("DryRun") for call in sent} == {"true"}
    assert [call.get("IamInstanceProfile.Name") for call in sent] == ["web-profile", None]


def test_an_endpoint_that_ignores_a_dry_run_is_reported(aws: Aws, rolewatch: Command) -> None:
    """An imitation of EC2 may launch despite DryRun (floci-io/floci#3599): the user has to check."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole", on=role))
    aws.canned["RunInstances"] = (
        200,
        '<RunInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instancesSet/></RunInstancesResponse>',
    )

    result = rolewatch(*launch(*DRY_RUN))

    found = check(result, "launch.dry_run")
    assert (result[0], found["status"]) == (3, "unknown")
    assert "Check there for a started instance" in found["note"]


def test_another_principal_is_simulated_and_never_tried(aws: Aws, rolewatch: Command) -> None:
    """A dry run would check the caller."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    pipeline = aws.user(allow("ec2:RunInstances"), allow("iam:PassRole", on=role), name="pipeline")
    aws.user(allow(*READING))

    result = rolewatch(*launch("--principal", pipeline, *DRY_RUN))

    assert result[0] == 0
    assert "RunInstances" not in aws.actions()
    assert "The user pipeline may" in check(result, "launch.pass_role")["note"]


def test_a_principal_of_another_account_is_a_clear_line(aws: Aws, rolewatch: Command) -> None:
    """IAM answers for its own account only."""
    aws.user(allow(*READING))

    result = rolewatch(*launch("--principal", "arn:aws:iam::999999999999:user/else"))

    found = check(result, "launch.caller")
    assert (result[0], found["status"]) == (2, "fail")
    assert "999999999999" in found["note"]
    assert "SimulatePrincipalPolicy" not in aws.actions()


def test_a_session_is_simulated_by_its_role_with_its_path(aws: Aws, rolewatch: Command) -> None:
    """The simulator rejects the ARN of a session (InvalidInput), and that ARN lacks the role's path."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    deployer = aws.role("deployer", path="/ci/")
    aws.iam.put_role_policy(
        RoleName="deployer",
        PolicyName="launch",
        PolicyDocument=policy(allow("ec2:RunInstances"), allow("iam:PassRole", on=role)),
    )
    aws.user(allow(*READING))

    result = rolewatch(*launch("--principal", f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/run-1"))

    assert result[0] == 0
    assert {call["PolicySourceArn"] for call in aws.calls if call["Action"] == "SimulatePrincipalPolicy"} == {deployer}


def test_the_simulator_gets_the_conditions_of_a_real_launch(aws: Aws, rolewatch: Command) -> None:
    """Policies limit iam:PassRole by service, instance and Region: without these keys they would seem to deny it."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING), allow("ec2:RunInstances"), allow("iam:PassRole", on=role))

    rolewatch(*launch())

    (sent,) = [call for call in aws.calls if call.get("ActionNames.member.1") == "iam:PassRole"]
    assert context(sent) == {
        "iam:PassedToService": "ec2.amazonaws.com",
        "iam:AssociatedResourceArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*",
        "aws:RequestedRegion": REGION,
    }
    assert sent["ResourceArns.member.1"] == role


def context(call: dict[str, str]) -> dict[str, str]:
    """Return the condition keys that were sent to the simulator."""
    pairs = {}
    for number in range(1, 9):
        key = call.get(f"ContextEntries.member.{number}.ContextKeyName")
        if key:
            pairs[key] = call[f"ContextEntries.member.{number}.ContextKeyValues.member.1"]
    return pairs


def test_a_role_can_be_put_into_an_empty_profile(aws: Aws, rolewatch: Command) -> None:
    """Permission on the profile's ARN, permission to pass the role, and room for it."""
    role = aws.role("web", path="/apps/")
    profile = aws.profile("web-profile", path="/apps/")
    aws.user(allow(*READING), allow("iam:AddRoleToInstanceProfile", on=profile), allow("iam:PassRole", on=role))

    result = rolewatch(*ATTACH)

    assert result[0] == 0
    assert set(statuses(result).values()) == {"pass"}
    (sent,) = [call for call in aws.calls if call.get("ActionNames.member.1") == "iam:PassRole"]
    assert context(sent)["iam:AssociatedResourceArn"] == f"arn:aws:ec2:*:{ACCOUNT}:instance/*"


def test_a_permission_on_another_profile_does_not_do(aws: Aws, rolewatch: Command) -> None:
    """The page: the resource has to match the ARN of the instance profile."""
    role = aws.role("web")
    profile = aws.profile("web-profile", path="/apps/")
    other = f"arn:aws:iam::{ACCOUNT}:instance-profile/web-profile"
    aws.user(allow(*READING), allow("iam:AddRoleToInstanceProfile", on=other), allow("iam:PassRole", on=role))

    result = rolewatch(*ATTACH)

    found = check(result, "attach.add_role")
    assert (result[0], found["status"]) == (2, "fail")
    assert profile in found["note"]
    assert json.loads(found["fix"][0]["command"])["Resource"] == profile


def test_a_profile_that_contains_a_role_has_no_room(aws: Aws, rolewatch: Command) -> None:
    """One role is the limit, and AWS does not raise it; the better way is a second instance profile."""
    aws.role("old")
    aws.role("web")
    aws.profile("web-profile", role="old")
    aws.user(allow("*"))

    result = rolewatch(*ATTACH)

    found = check(result, "attach.vacancy")
    assert (result[0], found["status"]) == (2, "fail")
    assert "InstanceSessionsPerInstanceProfile: 1" in found["note"]
    assert "remove-role-from-instance-profile" in found["fix"][1]["command"]


def test_a_role_that_is_in_already_needs_nothing(aws: Aws, rolewatch: Command) -> None:
    """The call would fail, and nothing would be wrong."""
    aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow("*"))

    found = check(rolewatch(*ATTACH), "attach.vacancy")

    assert "already holds the role web" in found["note"]


def test_a_role_that_does_not_trust_ec2_can_be_put_in_and_will_not_serve(aws: Aws, rolewatch: Command) -> None:
    """IAM does not check the trust policy there; EC2 does at the launch."""
    aws.role("web", trust={"Version": "2012-10-17", "Statement": []})
    aws.profile("web-profile")
    aws.user(allow("*"))

    result = rolewatch(*ATTACH)

    assert (result[0], check(result, "attach.trust")["may_fail"]) == (1, True)


def test_a_role_that_does_not_exist_cannot_be_put_in(aws: Aws, rolewatch: Command) -> None:
    """And what to ask iam:PassRole for is not known then."""
    aws.profile("web-profile")
    aws.user(allow("*"))

    result = rolewatch(*ATTACH)

    assert result[0] == 2
    assert check(result, "attach.role")["status"] == "fail"
    assert check(result, "attach.pass_role")["status"] == "skipped"


def test_a_role_in_a_profile_of_its_own_name_is_visible(aws: Aws, rolewatch: Command) -> None:
    """As the IAM console makes them."""
    aws.role("web")
    aws.profile("web", role="web")
    aws.user(allow(*READING, "iam:ListInstanceProfiles"))

    result = rolewatch(*VISIBLE)

    assert result[0] == 0
    assert set(statuses(result).values()) == {"pass"}


def test_a_role_in_no_profile_is_in_no_list(aws: Aws, rolewatch: Command) -> None:
    """As the CLI makes them: the fix makes the profile."""
    aws.role("web")
    aws.user(allow(*READING, "iam:ListInstanceProfiles"))

    result = rolewatch(*VISIBLE)

    found = check(result, "visible.profiles")
    assert (result[0], found["status"]) == (2, "fail")
    assert found["fix"][0]["command"] == (
        "aws iam create-instance-profile --instance-profile-name=web\n"
        "aws iam add-role-to-instance-profile --instance-profile-name=web \\\n  --role-name=web"
    )


def test_the_console_shows_the_name_of_the_profile(aws: Aws, rolewatch: Command) -> None:
    """The role is in the list under another name: exit status 1, and that name."""
    aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow(*READING, "iam:ListInstanceProfiles"))

    result = rolewatch(*VISIBLE)

    found = check(result, "visible.name")
    assert result[0] == 1
    assert found["facts"]["shown_as"] == "web-profile"
    assert "not as web" in found["note"]


def test_a_profile_of_the_roles_name_with_another_role_is_warned_of(aws: Aws, rolewatch: Command) -> None:
    """The entry with the role's name in the list has another role."""
    aws.role("web")
    aws.role("other")
    aws.profile("web-profile", role="web")
    aws.profile("web", role="other")
    aws.user(allow(*READING, "iam:ListInstanceProfiles"))

    found = check(rolewatch(*VISIBLE), "visible.name")

    assert "holds the role other" in found["note"]
    assert "do not choose it" in found["note"]


def test_who_may_not_list_instance_profiles_sees_an_empty_list(aws: Aws, rolewatch: Command) -> None:
    """The page's first question, for the resource that a list is judged by."""
    aws.role("web")
    aws.profile("web", role="web")
    aws.user(allow(*READING))

    result = rolewatch(*VISIBLE)

    found = check(result, "visible.list")
    assert (result[0], found["status"]) == (2, "fail")
    assert f"arn:aws:iam::{ACCOUNT}:instance-profile/" in found["note"]
    assert "ListInstanceProfiles" not in aws.actions()


@pytest.mark.parametrize(("allowed", "status"), [(True, "pass"), (False, "fail")])
def test_without_the_simulator_the_list_is_tried(aws: Aws, rolewatch: Command, *, allowed: bool, status: str) -> None:
    """The caller's own call shows it, whichever way."""
    aws.role("web")
    aws.profile("web", role="web")
    reading = [action for action in READING if action != "iam:SimulatePrincipalPolicy"]
    aws.user(allow(*reading, *(["iam:ListInstanceProfiles"] if allowed else [])))

    result = rolewatch(*VISIBLE)

    assert check(result, "visible.list")["status"] == status
    assert "ListInstanceProfiles" in aws.actions()


def test_a_profile_mistaken_for_a_role_is_reported(aws: Aws, rolewatch: Command) -> None:
    """The other way round: the name is that of an instance profile."""
    aws.role("other")
    aws.profile("web", role="other")
    aws.user(allow(*READING, "iam:ListInstanceProfiles"))

    result = rolewatch(*VISIBLE)

    found = check(result, "visible.role")
    assert (result[0], found["status"]) == (2, "fail")
    assert "There is an instance profile of that name: it holds the role other." in found["note"]


COMMANDS = {"launch": launch(), "attach-role": ATTACH, "visible": VISIBLE}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("missing", READING)
def test_a_denied_call_names_its_permission_and_the_rest_goes_on(
    aws: Aws, rolewatch: Command, command: str, missing: str
) -> None:
    """AccessDenied to any one call leaves its checks unknown, with the permission, and no other check."""
    aws.role("web")
    aws.profile("web", role="web")
    aws.profile("web-profile", role="" if command == "attach-role" else "web")
    aws.user(allow("*"), deny(missing))

    result = rolewatch(*COMMANDS[command])

    unknown = [each for each in result[1]["checks"] if each["status"] == "unknown"]
    if missing.partition(":")[2] in aws.actions():
        assert {each["permission"] for each in unknown} <= {missing}
    assert result[0] in {0, 3}
    assert check(result, result[1]["checks"][0]["id"])["status"] == "pass"
    assert "fail" not in statuses(result).values()


@pytest.mark.parametrize("command", COMMANDS)
def test_without_credentials_every_check_says_so(
    aws: Aws, rolewatch: Command, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Nothing is asked, everything is skipped, and the exit status says that nothing is known."""
    aws.keys = ("", "")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    result = rolewatch(*COMMANDS[command])

    assert result[0] == 3
    assert set(statuses(result).values()) == {"skipped"}
    assert aws.calls == []


def test_credentials_that_aws_rejects_leave_no_verdict(aws: Aws, rolewatch: Command) -> None:
    """That is neither a pass nor a fail."""
    aws.user(allow("*"))
    answer = iam_error(403, "InvalidClientTokenId", "The security token included in the request is invalid")
    aws.canned.update(dict.fromkeys(("GetInstanceProfile", "SimulatePrincipalPolicy"), answer))

    result = rolewatch(*launch())

    assert result[0] == 3
    assert check(result, "launch.profile")["facts"]["trouble"] == "rejected"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            (
                "implicitDeny",
                (
                    "<OrganizationsDecisionDetail><AllowedByOrganizations>false</AllowedByOrganizations>"
                    "</OrganizationsDecisionDetail>"
                ),
            ),
            (2, "a service control policy of the organization"),
            id="service-control-policy",
        ),
        pytest.param(
            (
                "implicitDeny",
                (
                    "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false"
                    "</AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>"
                ),
            ),
            (2, "the permissions boundary"),
            id="permissions-boundary",
        ),
        pytest.param(
            (
                "explicitDeny",
                "<MissingContextValues><member>aws:MultiFactorAuthPresent</member></MissingContextValues>",
            ),
            (1, "aws:MultiFactorAuthPresent"),
            id="missing-context",
        ),
        pytest.param(
            (
                "explicitDeny",
                "<MatchedStatements><member><SourcePolicyId>no-passing</SourcePolicyId></member></MatchedStatements>",
            ),
            (2, "a policy denies it (no-passing)"),
            id="explicit-deny",
        ),
    ],
)
def test_the_simulator_names_the_policy_that_denies(
    aws: Aws, rolewatch: Command, answer: tuple[str, str], expected: tuple[int, str]
) -> None:
    """Each has its own fix. Recorded shapes: moto has no simulator."""
    role = aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow("*"))
    aws.canned["SimulatePrincipalPolicy"] = simulation("iam:PassRole", role, *answer)

    result = rolewatch(*launch())

    assert result[0] == expected[0]
    assert expected[1] in check(result, "launch.pass_role")["note"]


def test_a_person_reads_a_verdict_a_table_and_the_fix(aws: Aws, rolewatch: Command) -> None:
    """The first line says what is wrong; without a terminal nothing is coloured."""
    aws.profile("web-profile")
    aws.user(allow(*READING), allow("ec2:RunInstances"))

    status, out = rolewatch.text(*launch())

    assert status == 2
    assert out.startswith("WILL FAIL: The instance profile web-profile is empty.")
    assert "FAIL     The instance profile holds a role" in out
    assert "aws iam add-role-to-instance-profile --instance-profile-name=web-profile" in out
    assert "\x1b" not in out


def test_no_key_is_ever_shown(aws: Aws, rolewatch: Command) -> None:
    """Neither the access key id nor the secret is in the output."""
    aws.role("web")
    aws.profile("web-profile", role="web")
    aws.user(allow("*"))

    for form in ([], ["--json"]):
        _, out = rolewatch.text(*launch(*DRY_RUN), *form)

        assert not any(key in out for key in aws.keys)


def test_the_policy_is_exactly_what_is_called() -> None:
    """No action too many or too few; the policy does not grant the two that are only tried."""
    (statement,) = json.loads(POLICY.read_text())["Statement"]

    assert statement["Action"] == sorted(call.action for call in CALLS if call.needs_permission)
    assert not {call.action for call in PROBES} & set(statement["Action"])


def test_the_shipped_policy_is_enough_for_every_check(aws: Aws, rolewatch: Command) -> None:
    """The shipped policy is enough to ask for another principal, and every call is one of the table's."""
    role = aws.role("web")
    aws.profile("web", role="web")
    aws.profile("web-profile", role="web")
    aws.profile("empty")
    target = aws.user(allow("*"), name="pipeline")
    aws.user(*json.loads(POLICY.read_text())["Statement"])
    called = set()

    for command in (
        launch(),
        ("attach-role", "--instance-profile", "empty", "--role", role),
        VISIBLE,
        launch(profile="w"),
    ):
        result = rolewatch(*command, "--principal", target)
        called |= set(aws.actions())
        assert result[0] in {0, 2}
        assert "unknown" not in statuses(result).values()

    assert called == {call.action.partition(":")[2] for call in CALLS}


def test_a_subnet_without_an_image_is_wrong_usage(aws: Aws, rolewatch: Command) -> None:
    """A dry run needs an image."""
    aws.user(allow("*"))

    with pytest.raises(UsageError, match="--image-id"):
        rolewatch(*launch("--subnet-id", "subnet-1"))
