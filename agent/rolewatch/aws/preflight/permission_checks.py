"""Checks of ``preflight``: whether a principal may do something, by the policy simulator or by a dry run. Pure."""

from __future__ import annotations

from rolewatch.aws.checks import Outcome, may_fail, passed, refused, skipped, unknown, will_fail
from rolewatch.aws.client import Missing, Refused, Trouble
from rolewatch.aws.preflight.answers import Answers, Decision, DryRun, DryRunAnswer, Simulated
from rolewatch.aws.preflight.names import Kind, Principal
from rolewatch.aws.preflight.profile_checks import ASK_ADMIN, allow
from rolewatch.faults.remedy import Step

WHO = "someone with iam:SimulatePrincipalPolicy, or the principal itself, by a dry run"

_SHOWN = 5
"""The number of policies or condition keys that a sentence lists; there may be dozens."""


def same_account(answers: Answers) -> Outcome:
    """Return who the caller is, and whether that account is the principal's."""
    caller, principal = answers.caller, answers.principal
    if isinstance(caller, Refused):
        return refused(caller)
    if isinstance(principal, Principal) and principal.account != caller.account_id:
        return will_fail(
            f"The credentials belong to account {caller.account_id} and the principal to account {principal.account}. "
            "IAM answers for its own account only, and a role can only be passed within one account. Use credentials "
            f"of account {principal.account}.",
            account_id=caller.account_id,
        )
    return passed(f"The caller is {caller.arn}.", arn=caller.arn, account_id=caller.account_id)


def permission(action: str, answers: Answers) -> Outcome:
    """Return whether the principal may do *action*, by simulation."""
    seen, principal = answers.simulated.get(action), answers.principal
    if isinstance(principal, Refused):
        return refused(principal, WHO)
    if isinstance(seen, Simulated):
        return _judge_simulation(seen, principal)
    if isinstance(seen, Refused):
        return refused(seen, WHO)
    if isinstance(seen, Missing):
        hint = " Its role may have a path, which the ARN of a session lacks: give the role's ARN with --principal."
        return unknown(
            f"IAM has no principal {principal.arn}.{hint if principal.kind is Kind.SESSION else ''}",
            code=seen.code or None,
        )
    return _not_simulated(action, principal)


def _not_simulated(action: str, principal: Principal) -> Outcome:
    if principal.kind is Kind.ROOT:
        return passed("No policy of its account limits the root user.", action=action)
    if principal.kind is Kind.FEDERATED:
        return skipped(f"IAM's policy simulator does not accept {principal.shown}.", WHO)
    return skipped(f"The resource of {action} is not known: see the checks above.")


def _judge_simulation(seen: Simulated, principal: Principal) -> Outcome:
    what = f"{seen.action} on {seen.resource}"
    facts = {"action": seen.action, "resource": seen.resource, "decision": seen.decision.value}
    who = principal.shown[:1].upper() + principal.shown[1:]
    if seen.missing:
        verb = "allows" if seen.decision is Decision.ALLOWED else "denies"
        return may_fail(
            f"The simulation {verb} {what}, but it lacks these condition keys of the policies: "
            f"{_listed(seen.missing)}. The real request may be decided otherwise.",
            missing=_listed(seen.missing),
            **facts,
        )
    if seen.decision is Decision.ALLOWED:
        session = " A session policy may still deny it." if principal.kind is Kind.SESSION else ""
        return passed(f"{who} may {what}, by simulation.{session}", **facts)
    # First what no policy of the principal's can change.
    if seen.organization is False:
        why = "a service control policy of the organization does not allow it"
        step = Step(f"Have {seen.action} allowed by the administrator of the organization's service control policies.")
    elif seen.boundary is False:
        why = "the permissions boundary does not allow it"
        step = Step(f"Have {seen.action} allowed in the permissions boundary of {principal.shown}. {ASK_ADMIN}")
    elif seen.decision is Decision.EXPLICIT_DENY:
        why = f"a policy denies it{f' ({_listed(seen.policies)})' if seen.policies else ''}"
        step = Step(f"Remove {seen.action} on {seen.resource} from the policy's Deny statement. {ASK_ADMIN}")
    else:
        why, step = "no policy allows it", allow(seen.action, seen.resource, principal.shown)
    return will_fail(f"{who} may not {what}: {why}.", step, **facts)


def may_run_instances(answers: Answers) -> Outcome:
    """Return whether the principal may ``ec2:RunInstances``. A dry run that succeeded decides before the simulator."""
    action = "ec2:RunInstances"
    if _succeeded(answers.dry_run) or _succeeded(answers.dry_run_without_profile):
        return passed(f"EC2 allowed {action} in a dry run.", action=action)
    seen = answers.simulated.get(action)
    if not (
        isinstance(answers.principal, Principal)
        and isinstance(seen, Simulated)
        and seen.decision is Decision.IMPLICIT_DENY
        and not seen.missing
        and seen.organization is not False
        and seen.boundary is not False
    ):
        return permission(action, answers)
    # Policies that allow the action on some resources only look like this.
    return may_fail(
        f"{action} is not allowed on every resource (*), which AWS's page asks for. A policy may still allow it for "
        "certain images, types or subnets, and a launch with these works.",
        Step("To decide it, name what to launch: a dry run with --image-id asks EC2 itself."),
        allow(action, "*"),
        action=action,
        decision=seen.decision.value,
    )


def may_pass_role(answers: Answers) -> Outcome:
    """Return whether the principal may ``iam:PassRole`` the role to EC2. A dry run that succeeded decides first."""
    if _succeeded(answers.dry_run):
        return passed("EC2 allowed iam:PassRole in a dry run.", action="iam:PassRole")
    return permission("iam:PassRole", answers)


def may_add_role(answers: Answers) -> Outcome:
    """Return whether the principal may ``iam:AddRoleToInstanceProfile``."""
    return permission("iam:AddRoleToInstanceProfile", answers)


def may_list_profiles(answers: Answers) -> Outcome:
    """Return whether the principal may ``iam:ListInstanceProfiles``. The caller's own call decides first."""
    action, attempt = "iam:ListInstanceProfiles", answers.list_attempt
    if attempt is not None and not isinstance(attempt, Refused):
        return passed(f"AWS allowed a call of {action}.", action=action)
    if attempt is not None and attempt.trouble is Trouble.ACCESS_DENIED:
        return will_fail(
            f"{attempt.sentence} The console's list of roles stays empty without it.",
            allow(action, "*"),
            action=action,
        )
    return permission(action, answers)


def dry_run_allows(answers: Answers) -> Outcome:
    """Return what the dry run shows; the second one, without the instance profile, tells the role from the rest."""
    seen, without = answers.dry_run, answers.dry_run_without_profile
    if seen is None:
        return skipped(answers.no_dry_run)
    if isinstance(seen, Refused):
        return refused(seen)
    who = answers.principal.shown if isinstance(answers.principal, Principal) else "the caller"
    if seen.allowed:
        return passed(f"EC2 would launch an instance with this instance profile for {who}.", code=seen.code)
    codes = {"code": seen.code, "code_without": without.code if isinstance(without, DryRun) else None}
    if seen.unauthorized:
        note, missing = _unauthorized(without, who)
        return will_fail(note, Step(f"Have {missing} allowed. {ASK_ADMIN}"), **codes)
    if _succeeded(without):
        return will_fail(
            f"EC2 answers {seen.code} with the instance profile, and would launch without it: the instance profile is "
            "the cause.",
            **codes,
        )
    return unknown(
        f"EC2 answers {seen.code}, and the instance profile is not the cause: the parameters of the dry run are "
        "wrong. Check --image-id, --instance-type, --subnet-id and --region.",
        **codes,
    )


def _unauthorized(without: DryRunAnswer, who: str) -> tuple[str, str]:
    """Return a sentence and the missing permission, as far as the dry run *without* instance profile shows it."""
    if _succeeded(without):
        note = (
            f"EC2 does not let {who} launch with the instance profile, but would without it: the role is the cause, "
            "and iam:PassRole is missing."
        )
        return note, "iam:PassRole on the role"
    if isinstance(without, DryRun) and without.unauthorized:
        note = (
            f"EC2 does not let {who} launch with the instance profile or without it: ec2:RunInstances is missing. "
            "The dry run does not show whether iam:PassRole is missing, too."
        )
        return note, "ec2:RunInstances"
    note = f"EC2 does not let {who} launch with the instance profile. Whether it would without one is not known."
    return note, "ec2:RunInstances, and iam:PassRole on the role"


def _succeeded(answer: DryRunAnswer) -> bool:
    return isinstance(answer, DryRun) and answer.allowed


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
