"""``preflight`` without a network: names, the simulator's answers, partitions, outlooks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rolewatch.aws import preflight
from rolewatch.aws.checks import Outcome, Result, Status, failed, may_fail, passed, skipped, unknown, will_fail
from rolewatch.aws.client import Api, Missing, Refused, Trouble
from rolewatch.aws.preflight import (
    Outlook,
    deciding_result,
    document,
    outlook,
    permission_checks,
    profile_checks,
)
from rolewatch.aws.preflight.answers import Answers, Decision, DryRun, Simulated, dry_run, read_simulation
from rolewatch.aws.preflight.names import (
    SERVICE_OF_PROFILE,
    Kind,
    Principal,
    ResourceName,
    parse_principal,
    parse_profile,
    parse_role,
    service_of_launch,
)
from rolewatch.aws.preflight.permission_checks import permission
from rolewatch.aws.queries import Caller, Profile, Role
from rolewatch.errors import UsageError

ROLE_ARN = "arn:aws:iam::123456789012:role/web"
USER = parse_principal("arn:aws:iam::123456789012:user/team/ops")
SESSION = parse_principal("arn:aws:sts::123456789012:assumed-role/deployer/run-1")
DENIED = Refused(Trouble.ACCESS_DENIED, "iam:SimulatePrincipalPolicy", "AccessDenied")
CALLER = Caller(USER.arn, "123456789012")


def answers(*, principal: Principal = USER, **known: Any) -> Answers:
    """Return AWS's answers to a caller of the account: *known*, and nothing else."""
    return Answers(caller=CALLER, principal=principal, **known)


@pytest.mark.parametrize(
    ("arn", "kind", "name"),
    [
        ("arn:aws:iam::123456789012:user/ops", Kind.USER, "ops"),
        ("arn:aws:iam::123456789012:user/team/ops", Kind.USER, "ops"),
        ("arn:aws-cn:iam::123456789012:role/ci/deployer", Kind.ROLE, "deployer"),
        ("arn:aws-us-gov:sts::123456789012:assumed-role/deployer/run-1", Kind.SESSION, "deployer"),
        ("arn:aws:iam::123456789012:group/ops", Kind.GROUP, "ops"),
        ("arn:aws:sts::123456789012:federated-user/bob", Kind.FEDERATED, "bob"),
        ("arn:aws:iam::123456789012:root", Kind.ROOT, ""),
    ],
)
def test_every_kind_of_principal_is_known(arn: str, kind: Kind, name: str) -> None:
    """A path is no part of the name, and of a session the name is that of its role."""
    principal = parse_principal(arn)

    assert (principal.kind, principal.name, principal.account) == (kind, name, "123456789012")


@pytest.mark.parametrize(
    "arn",
    [
        "ops",
        "arn:aws:iam::123456789012:policy/p",
        "arn:aws:ec2:eu-west-1:123456789012:instance/i-1",
        "arn:aws:iam::1:user/x",
    ],
)
def test_what_is_no_principal_is_wrong_usage(arn: str) -> None:
    """The message shows the form of a principal's ARN."""
    with pytest.raises(UsageError, match="arn:aws:iam::123456789012:user/NAME"):
        parse_principal(arn)


def test_a_session_names_its_role_without_the_path() -> None:
    """A session's ARN lacks the path."""
    assert SESSION.role_arn == "arn:aws:iam::123456789012:role/deployer"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", ResourceName("web")),
        (
            "arn:aws:iam::123456789012:instance-profile/apps/web",
            ResourceName("web", "arn:aws:iam::123456789012:instance-profile/apps/web"),
        ),
        (ROLE_ARN, ResourceName("web", ROLE_ARN, "role")),
    ],
)
def test_a_profile_is_given_by_name_or_arn(text: str, expected: ResourceName) -> None:
    """The ARN of a role is accepted, and reported as the mistake that it is."""
    assert parse_profile(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a b", "apps/web", "x" * 129, "arn:aws:iam::123456789012:user/x", "arn:aws:s3:::b"]
)
def test_what_can_be_no_profile_is_wrong_usage(text: str) -> None:
    """AWS is not asked for what it cannot have."""
    with pytest.raises(UsageError):
        parse_profile(text)


def test_a_role_is_not_given_by_the_arn_of_a_profile() -> None:
    """The message shows the form of a role's ARN."""
    with pytest.raises(UsageError, match=":role/NAME"):
        parse_role("arn:aws:iam::123456789012:instance-profile/web")


def test_china_passes_roles_to_two_services() -> None:
    """A launch passes the role to the Chinese name, AddRoleToInstanceProfile to the plain one (karpenter#6843)."""
    assert service_of_launch("aws-cn") == "ec2.amazonaws.com.cn"
    assert {service_of_launch(each) for each in ("aws", "aws-us-gov", "aws-iso")} == {SERVICE_OF_PROFILE}
    assert SERVICE_OF_PROFILE == "ec2.amazonaws.com"


class CannedApi(Api):
    """An `Api` that records its calls and returns canned answers: no network."""

    def __init__(self, answers: dict[str, Any], region: str) -> None:
        """Answer from *answers*, by operation."""
        super().__init__(Refused(Trouble.NO_CREDENTIALS, ""), region=region)
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    def ask(self, call: Any, **parameters: Any) -> Any:  # noqa: ANN401 - as the test says
        """Return the answer."""
        self.asked.append({"action": call.action, **parameters})
        return self.answers.get(call.operation, Missing(call.action))


def contexts(api: CannedApi, action: str) -> dict[str, str]:
    """Return the condition keys with which *action* was simulated."""
    (asked,) = [each for each in api.asked if each.get("ActionNames") == [action]]
    return {each["ContextKeyName"]: each["ContextKeyValues"][0] for each in asked["ContextEntries"]}


@pytest.mark.parametrize(
    ("partition", "region", "service", "home"),
    [
        ("aws", "eu-west-1", "ec2.amazonaws.com", "us-east-1"),
        ("aws-cn", "cn-northwest-1", "ec2.amazonaws.com.cn", "cn-north-1"),
        ("aws-us-gov", "us-gov-east-1", "ec2.amazonaws.com", "us-gov-west-1"),
    ],
)
def test_each_partition_is_simulated_with_its_own_names(partition: str, region: str, service: str, home: str) -> None:
    """Service, ARNs and IAM's Region are those of the caller's partition."""
    iam = f"arn:{partition}:iam::123456789012"
    role = {"RoleName": "web", "Arn": f"{iam}:role/web", "AssumeRolePolicyDocument": {"Statement": []}}
    found = {"InstanceProfileName": "w", "Arn": f"{iam}:instance-profile/w", "Roles": [role]}
    caller = {"Arn": f"{iam}:user/ops", "Account": "123456789012", "UserId": "AIDAEXAMPLE"}
    answers = {
        "get_caller_identity": caller,
        "get_instance_profile": {"InstanceProfile": found},
        "get_role": {"Role": role},
    }

    api = CannedApi(answers, region)
    preflight.launch(api, ResourceName("w"), None, {})
    attach = CannedApi(answers, region)
    preflight.attach_role(attach, ResourceName("w"), ResourceName("web"), None)

    assert contexts(api, "iam:PassRole") == {
        "iam:PassedToService": service,
        "iam:AssociatedResourceArn": f"arn:{partition}:ec2:{region}:123456789012:instance/*",
        "aws:RequestedRegion": region,
    }
    assert contexts(attach, "iam:PassRole") == {
        "iam:PassedToService": "ec2.amazonaws.com",
        "iam:AssociatedResourceArn": f"arn:{partition}:ec2:*:123456789012:instance/*",
        "aws:RequestedRegion": home,
    }


def test_pages_are_read_to_the_last() -> None:
    """A role may be in more profiles than one page has."""

    class Paged(CannedApi):
        def ask(self, call: Any, **parameters: Any) -> Any:  # noqa: ANN401 - as above
            if call.operation != "list_instance_profiles_for_role":
                return super().ask(call, **parameters)
            last = parameters.get("Marker") == "more"
            arn = f"arn:aws:iam::123456789012:instance-profile/{'b' if last else 'z'}"
            return {"InstanceProfiles": [{"Arn": arn}], "IsTruncated": not last, "Marker": None if last else "more"}

    results = preflight.visible(Paged({}, "eu-west-1"), ResourceName("web", kind="role"), None)

    (found,) = [each for each in results if each.id == "visible.profiles"]
    assert found.outcome.facts == {"instance_profiles": "b, z"}


OLD = [{"EvalActionName": "iam:PassRole", "EvalResourceName": ROLE_ARN, "EvalDecision": "allowed"}]
NEW = [
    {
        "EvalActionName": "iam:PassRole",
        "EvalResourceName": "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}",
        "EvalDecision": "explicitDeny",
        "OrganizationsDecisionDetail": {"AllowedByOrganizations": False},
        "ResourceSpecificResults": [
            {"EvalResourceName": "arn:aws:iam::123456789012:role/other", "EvalResourceDecision": "explicitDeny"},
            {
                "EvalResourceName": ROLE_ARN,
                "EvalResourceDecision": "implicitDeny",
                "MatchedStatements": [{"SourcePolicyId": "p1"}, {"SourcePolicyId": "p1"}],
                "MissingContextValues": ["aws:SourceIp"],
                "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": True},
            },
        ],
    }
]


def test_both_shapes_of_the_simulator_are_read() -> None:
    """Until 2026 there was a result for each resource; since then there is one, with the resources below it."""
    assert read_simulation(OLD, "iam:PassRole", ROLE_ARN) == Simulated("iam:PassRole", ROLE_ARN, Decision.ALLOWED)
    assert read_simulation(NEW, "iam:PassRole", ROLE_ARN) == Simulated(
        action="iam:PassRole",
        resource=ROLE_ARN,
        decision=Decision.IMPLICIT_DENY,
        missing=("aws:SourceIp",),
        policies=("p1",),
        organization=False,
        boundary=True,
    )


@pytest.mark.parametrize("rows", [[], [{"EvalActionName": "x"}], [{"EvalActionName": "x", "EvalDecision": "maybe"}]])
def test_an_answer_of_another_shape_is_no_answer(rows: list[dict[str, Any]]) -> None:
    """It is neither allowed nor denied."""
    assert read_simulation(rows, "x", "*") is None


@pytest.mark.parametrize(
    ("seen", "principal", "status"),
    [
        pytest.param(DENIED, USER, Status.UNKNOWN, id="denied"),
        pytest.param(Refused(Trouble.THROTTLED, "iam:X", "Throttling"), USER, Status.UNKNOWN, id="throttled"),
        pytest.param(Refused(Trouble.UNREACHABLE, "iam:X"), USER, Status.UNKNOWN, id="offline"),
        pytest.param(Missing("iam:X", "NoSuchEntity"), SESSION, Status.UNKNOWN, id="no-such-principal"),
        pytest.param(None, parse_principal("arn:aws:iam::123456789012:root"), Status.PASS, id="root"),
        pytest.param(
            None, parse_principal("arn:aws:sts::123456789012:federated-user/b"), Status.SKIPPED, id="federated"
        ),
        pytest.param(None, USER, Status.SKIPPED, id="nothing-to-ask-for"),
        pytest.param(Simulated("iam:X", "*", Decision.ALLOWED), SESSION, Status.PASS, id="allowed"),
    ],
)
def test_what_the_simulator_cannot_say_is_not_guessed(seen: Any, principal: Principal, status: Status) -> None:  # noqa: ANN401
    """No answer is neither a pass nor a fail, but for the root user."""
    assert permission("iam:X", answers(principal=principal, simulated={"iam:X": seen})).status is status


def test_a_session_whose_role_is_not_found_gets_the_way_to_name_it() -> None:
    """Without iam:GetRole, the path of the role is not known."""
    missing = Missing("iam:SimulatePrincipalPolicy", "NoSuchEntity")
    outcome = permission("iam:X", answers(principal=SESSION, simulated={"iam:X": missing}))

    assert "--principal" in outcome.note


def test_a_denied_list_is_the_answer_and_not_a_doubt() -> None:
    """The call that was denied is the one that the console makes."""
    action = "iam:ListInstanceProfiles"
    denied = Refused(Trouble.ACCESS_DENIED, action, "AccessDenied")
    outcome = permission_checks.may_list_profiles(answers(simulated={action: DENIED}, list_attempt=denied))

    assert outcome.status is Status.FAIL


@pytest.mark.parametrize(("organization", "boundary"), [(False, None), (True, False)])
def test_what_an_organization_or_a_boundary_bars_is_not_narrow_but_closed(
    *, organization: bool, boundary: bool | None
) -> None:
    """No policy for certain subnets can open it again."""
    action = "ec2:RunInstances"
    seen = Simulated(action, "*", Decision.IMPLICIT_DENY, organization=organization, boundary=boundary)

    assert permission_checks.may_run_instances(answers(simulated={action: seen})).status is Status.FAIL


@pytest.mark.parametrize(
    ("seen", "without", "status", "words"),
    [
        ("DryRunOperation", None, Status.PASS, "would launch"),
        ("UnauthorizedOperation", "DryRunOperation", Status.FAIL, "the role is the cause"),
        ("UnauthorizedOperation", "UnauthorizedOperation", Status.FAIL, "ec2:RunInstances is missing"),
        ("UnauthorizedOperation", "InvalidAMIID.NotFound", Status.FAIL, "is not known"),
        ("InvalidParameterValue", "DryRunOperation", Status.FAIL, "the instance profile is the cause"),
        ("VPCIdNotSpecified", "VPCIdNotSpecified", Status.UNKNOWN, "is not the cause"),
    ],
)
def test_two_dry_runs_find_the_cause(seen: str, without: str | None, status: Status, words: str) -> None:
    """With the instance profile, and without it: the page's first advice for AccessDenied at a launch."""
    outcome = permission_checks.dry_run_allows(
        answers(dry_run=DryRun(seen), dry_run_without_profile=DryRun(without) if without else None)
    )

    assert outcome.status is status
    assert words in outcome.note


@pytest.mark.parametrize("trouble", [Trouble.THROTTLED, Trouble.UNREACHABLE, Trouble.REJECTED, Trouble.NO_REGION])
def test_a_dry_run_that_was_not_answered_is_no_verdict_of_ec2s(trouble: Trouble) -> None:
    """Only what EC2 says of the launch counts."""
    refusal = Refused(trouble, "ec2:RunInstances", "RequestLimitExceeded")

    tried = dry_run(CannedApi({"run_instances": refusal}, "eu-west-1"), {}, None)

    assert tried is refusal
    assert permission_checks.dry_run_allows(answers(dry_run=tried)).status is Status.UNKNOWN


def result(outcome: Outcome, name: str = "launch.role") -> Result:
    """Return a result."""
    return Result(name, "a title", outcome)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((), Outlook.OK),
        ((passed("a"),), Outlook.OK),
        ((passed("a"), unknown("b")), Outlook.CANNOT_TELL),
        ((skipped("a"),), Outlook.CANNOT_TELL),
        ((unknown("a"), may_fail("b")), Outlook.MAY_FAIL),
        ((may_fail("a"), failed("b"), unknown("c")), Outlook.WILL_FAIL),
    ],
)
def test_what_is_known_goes_before_what_is_not(outcomes: Any, expected: Outlook) -> None:  # noqa: ANN401 - any outcomes
    """Will fail, may fail, cannot tell, ok: the gravest known one, and the check that causes it."""
    results = tuple(result(each, f"launch.{number}") for number, each in enumerate(outcomes))

    assert outlook(results) is expected
    reason = deciding_result(results)
    assert (reason is None) == (expected is Outlook.OK)


def test_the_exit_status_is_a_contract() -> None:
    """As the issue and the manual have it."""
    assert {each.name: each.value for each in Outlook} == {"OK": 0, "MAY_FAIL": 1, "WILL_FAIL": 2, "CANNOT_TELL": 3}


def test_a_dry_run_that_was_not_made_leaves_no_doubt() -> None:
    """It is optional, and the only check that is."""
    assert outlook((result(skipped("no image"), "launch.dry_run"),)) is Outlook.OK


def test_the_document_has_the_fix() -> None:
    """A pipeline can show it."""
    shown = document("launch", (result(will_fail("empty", profile_checks.fill("web"), code="X")),))

    assert json.loads(json.dumps(shown)) == shown
    assert (shown["schema"], shown["outlook"], shown["because"]) == (1, "will_fail", "launch.role")
    assert shown["checks"][0]["facts"] == {"code": "X"}
    assert shown["checks"][0]["fix"][0]["command"].startswith("aws iam add-role-to-instance-profile")


def test_names_are_quoted_in_commands() -> None:
    """IAM's names may contain a shell's special characters; a pasted name stays one word."""
    commands = [step.command for step in profile_checks.make_room("a=b", old="c,d", new="e")]

    assert "--instance-profile-name=a=b" in commands[1]
    assert profile_checks.create("$(x)").command.count("'$(x)'") == 2


def test_a_name_whose_role_cannot_be_read_is_of_unknown_kind() -> None:
    """Where the role of that name could not be read, a confusion is possible."""
    refusal = Refused(Trouble.ACCESS_DENIED, "iam:GetRole", "AccessDenied")

    outcome = profile_checks.profile_exists(
        answers(profile_name=ResourceName("web"), namesake=refusal, holders=refusal)
    )

    assert outcome.status is Status.FAIL
    assert "iam:GetRole" in outcome.note


def test_a_role_of_another_account_cannot_be_passed() -> None:
    """A role is passed within its own account only."""
    given = parse_role("arn:aws:iam::999999999999:role/web")

    outcome = profile_checks.role_exists(answers(role_name=given, role=Role("web", None, ROLE_ARN, None)))

    assert outcome.status is Status.FAIL
    assert "own account" in outcome.note


def test_a_profile_without_its_trust_policy_is_undecided() -> None:
    """What cannot be read is not taken for a denial."""
    outcome = profile_checks.trusts_ec2(answers(role=Role("web", None, ROLE_ARN, None)))

    assert outcome.status is Status.UNKNOWN


def test_an_empty_profile_has_room() -> None:
    """For its one role."""
    assert profile_checks.has_room(answers(profile=Profile("web", None, None, None))).status is Status.PASS


def test_a_caller_of_an_unknown_kind_leaves_permissions_unknown() -> None:
    """An ARN of a new kind, or of an imitation of STS, decides nothing."""
    caller = {"Arn": "arn:aws:sts::123456789012:user/moto", "Account": "123456789012", "UserId": "AKIAEXAMPLE"}

    results = preflight.launch(CannedApi({"get_caller_identity": caller}, "eu-west-1"), ResourceName("w"), None, {})

    (found,) = [each.outcome for each in results if each.id == "launch.pass_role"]
    assert found.status is Status.UNKNOWN
    assert "a kind of principal that is not known" in found.note


def test_the_arn_of_a_role_is_never_tried() -> None:
    """No dry run: there is no instance profile to launch with."""
    api = CannedApi({}, "eu-west-1")

    results = preflight.launch(api, parse_profile(ROLE_ARN), USER, {"ImageId": "ami-1"})

    assert results[-1].outcome.note == "No dry run: there is no instance profile to launch with."
    assert "ec2:RunInstances" not in {each["action"] for each in api.asked}


def test_a_user_with_the_name_of_the_callers_role_is_somebody_else() -> None:
    """A dry run would check the caller."""
    caller = {"Arn": SESSION.arn, "Account": "123456789012", "UserId": "AROAEXAMPLE:run-1"}
    api = CannedApi({"get_caller_identity": caller}, "eu-west-1")
    user = parse_principal("arn:aws:iam::123456789012:user/deployer")

    preflight.launch(api, ResourceName("w"), user, {"ImageId": "ami-1"})

    assert "ec2:RunInstances" not in {each["action"] for each in api.asked}


@pytest.mark.parametrize("arn", [SESSION.arn, "arn:aws:iam::123456789012:role/ci/deployer"])
def test_a_role_and_its_session_are_the_same_principal(arn: str) -> None:
    """A session that names its own role names itself."""
    caller = {"Arn": SESSION.arn, "Account": "123456789012", "UserId": "AROAEXAMPLE:run-1"}
    api = CannedApi({"get_caller_identity": caller}, "eu-west-1")

    preflight.launch(api, ResourceName("w"), parse_principal(arn), {"ImageId": "ami-1"})

    assert "ec2:RunInstances" in {each["action"] for each in api.asked}


def test_profiles_that_could_not_be_read_are_looked_up_by_hand() -> None:
    """Where the role was found, and the profiles that contain it were not, the fix has the command."""
    refusal = Refused(Trouble.ACCESS_DENIED, "iam:ListInstanceProfilesForRole", "AccessDenied")

    outcome = profile_checks.profile_exists(
        answers(profile_name=ResourceName("web"), namesake=Role("web", None, ROLE_ARN, None), holders=refusal)
    )

    assert "iam:ListInstanceProfilesForRole is not allowed" in outcome.note
    assert (
        "list-instance-profiles-for-role --role-name=web"
        in document("launch", (result(outcome),))["checks"][0]["fix"][0]["command"]
    )
