"""The checks of what IAM says: the instance profile, its id, its role, and whom that trusts."""

from __future__ import annotations

from rolewatch.aws import trust_policy
from rolewatch.aws.checks import Outcome, Status, failed, passed, skipped, unknown
from rolewatch.aws.client import Missing, Refused, Trouble
from rolewatch.aws.diagnose.collect import SECOND_LOOK, Context
from rolewatch.aws.diagnose.ec2_checks import elsewhere, no_answer
from rolewatch.aws.diagnose.imds_checks import ON_INSTANCE
from rolewatch.aws.queries import Caller, Instance, Role
from rolewatch.aws.trust_policy import Trust
from rolewatch.faults import Fault
from rolewatch.monitor.classify import matches
from rolewatch.vocabulary import Scalar

_TWICE = f" IAM said so twice, {SECOND_LOOK:.0f} s apart; it is eventually consistent."
_ONCE = " IAM said so once; right after a change it may be wrong for some seconds."


def asked(context: Context) -> Outcome | None:
    """Need: IAM was asked, and answered."""
    answer = context.asked.profile
    if isinstance(answer, Refused):
        return no_answer(context, answer)
    if answer is not None:
        return None
    for told in (context.asked.association, context.asked.instance, context.asked.caller):
        if isinstance(told, Refused):
            return no_answer(context, told)
    nothing = isinstance(context.asked.instance, Instance) and context.attached is None
    if nothing:
        return skipped("No instance profile is attached that IAM could be asked for.")
    note = "The instance profile's name is not known: an error document does not repeat it."
    return Outcome(Status.UNKNOWN, note, who=elsewhere(context))


def existing(context: Context) -> Outcome | None:
    """Need: IAM has the instance profile."""
    return skipped("There is no instance profile of that name.") if context.profile is None else None


def with_role(context: Context) -> Outcome | None:
    """Need: the instance profile holds a role."""
    return None if context.profile and context.profile.role else skipped("The instance profile holds no role.")


def exists(context: Context) -> Outcome:
    """Judge whether IAM has an instance profile of that name."""
    if context.profile is not None:
        return passed(
            f"IAM has the instance profile {context.profile.name}.",
            instance_profile=context.profile.name,
            instance_profile_id=context.profile.id,
        )
    name = context.asked.profile_name
    return failed(
        f"IAM has no instance profile {name}.{_again(context)}", Fault.INSTANCE_PROFILE_NOT_FOUND, _evidence(context)
    )


def same_id(context: Context) -> Outcome:
    """Judge whether IAM's instance profile is the attached one: EC2 goes by the id."""
    profile = context.profile
    if profile is None or profile.id is None:
        return unknown("IAM told no id.")
    told: list[tuple[str, str]] = []
    if context.attached_id:
        told.append(("EC2 has", context.attached_id))
    if context.info and context.info.id:
        told.append(("IMDS tells of", context.info.id))
    if not told:
        return unknown("Neither EC2 nor IMDS told the id of the attached instance profile.")
    facts: dict[str, Scalar | None] = {
        "iam_id": profile.id,
        "ec2_id": context.attached_id,
        "imds_id": context.info.id if context.info else None,
    }
    other = [f"{who} {which}" for who, which in told if which != profile.id]
    if not other:
        return passed(f"The attached instance profile is the one that IAM has: {profile.id}.", **facts)
    return failed(
        f"The instance profile {profile.name} was deleted and created anew under its name: IAM has {profile.id}, "
        f"{' and '.join(other)}.{_again(context)}",
        Fault.INSTANCE_PROFILE_REPLACED,
        _evidence(context),
        **facts,
    )


def holds_role(context: Context) -> Outcome:
    """Judge whether the instance profile holds a role."""
    profile = context.profile
    if profile is not None and profile.role is not None:
        return passed(
            f"The instance profile holds the role {profile.role.name}.",
            role=profile.role.name,
            role_id=profile.role.id,
        )
    name = context.asked.profile_name
    return failed(
        f"The instance profile {name} holds no role.{_again(context)}",
        Fault.INSTANCE_PROFILE_WITHOUT_ROLE,
        _evidence(context),
    )


def served(context: Context) -> Outcome | None:
    """Need: IMDS serves a role."""
    if context.look is None:
        return skipped("What IMDS serves can only be seen on the instance.", ON_INSTANCE)
    return None if context.served_role else skipped("IMDS serves no role to compare.")


def same_role(context: Context) -> Outcome:
    """Judge whether IMDS serves the role that IAM has in the instance profile."""
    held = context.profile.role if context.profile else None
    if held is None or context.served_role is None:
        return unknown("There are no two roles to compare.")
    if held.name.lower() == context.served_role.lower():
        return passed(f"IMDS serves the role {held.name}, as IAM has it.")
    gone = " The old role was deleted." if isinstance(context.asked.role, Missing) else ""
    return failed(
        f"IAM has the role {held.name} in the instance profile, and IMDS still serves {context.served_role}; that is "
        f"normal for up to about an hour after a swap.{gone}",
        Fault.ROLE_SWAP_PENDING,
        {"role": context.served_role, "instance_profile": context.asked.profile_name or ""},
        iam_role=held.name,
        imds_role=context.served_role,
    )


def expected(context: Context) -> Outcome:
    """Judge the role in the instance profile against the expected one, whatever IMDS still serves."""
    held = context.profile.role if context.profile else None
    if not context.expected_role or held is None:
        return skipped("No role is expected: name one with --expect-role, or in the settings.")
    wanted = ", ".join(context.expected_role)
    if matches(held.name, context.expected_role):
        return passed(f"The role {held.name} in the instance profile is the expected one.", role=held.name)
    return failed(
        f"The instance profile holds the role {held.name}, expected is {wanted}.",
        Fault.ROLE_MISMATCH,
        {"role": held.name, "expected_role": wanted, "instance_profile": context.asked.profile_name or ""},
    )


def same_role_id(context: Context) -> Outcome:
    """Judge whether the served credentials are of the role that exists: one created anew has another id."""
    role = _role(context)
    proven = context.proof if isinstance(context.proof, Caller) else None
    if isinstance(context.asked.role, Missing):
        return failed(f"The role {context.served_role} that IMDS serves was deleted.", imds_role=context.served_role)
    if isinstance(context.asked.role, Refused):
        return no_answer(context, context.asked.role)
    if isinstance(context.proof, Refused) and context.proof.trouble is not Trouble.REJECTED:
        return unknown("STS did not tell the id of the role that the served credentials are of.")
    if role is None or role.id is None or proven is None or proven.role_id is None:
        return unknown("STS did not tell the id of the role that the served credentials are of.")
    facts: dict[str, Scalar | None] = {"iam_role_id": role.id, "sts_role_id": proven.role_id}
    if role.id == proven.role_id:
        return passed(f"The served credentials are of the role that IAM has: {role.id}.", **facts)
    return failed(
        f"The role {role.name} was deleted and created anew under its name: IAM has {role.id}, the served credentials "
        f"are of {proven.role_id}.",
        Fault.ROLE_SWAP_PENDING,
        {"role": role.name, "instance_profile": context.asked.profile_name or ""},
        **facts,
    )


def trusts_ec2(context: Context) -> Outcome:
    """Judge whether the role's trust policy lets EC2 assume it."""
    held = context.profile.role if context.profile else None
    if held is None:
        return skipped("The instance profile holds no role whose trust policy could be read.")
    reading = trust_policy.judge(held.trust, context.partition)
    note = f"Role {held.name}: {reading.why}"
    if reading.trust is Trust.ALLOWS:
        if context.finding(Fault.ASSUME_ROLE_UNAUTHORIZED):
            note += " IMDS still says that EC2 may not: it was mended since, and shows at EC2's next refresh."
        return passed(note, role=held.name)
    if reading.trust is Trust.UNDECIDED:
        return unknown(f"{note} IMDS is the judge.", role=held.name)
    evidence: dict[str, Scalar] = {"role": held.name}
    if context.asked.profile_name:
        evidence["instance_profile"] = context.asked.profile_name
    return failed(note, Fault.TRUST_POLICY_DENIES_EC2, evidence, role=held.name)


def _role(context: Context) -> Role | None:
    """Return IAM's role of the name that IMDS serves."""
    if isinstance(context.asked.role, Role):
        return context.asked.role
    held = context.profile.role if context.profile else None
    return held if held and held.name.lower() == (context.served_role or "").lower() else None


def _evidence(context: Context) -> dict[str, Scalar]:
    """Return name and attached id, as far as they are known."""
    evidence: dict[str, Scalar] = {}
    if context.asked.profile_name:
        evidence["instance_profile"] = context.asked.profile_name
    attached = context.attached_id or (context.info.id if context.info else None)
    if attached:
        evidence["instance_profile_id"] = attached
    return evidence


def _again(context: Context) -> str:
    return _TWICE if context.asked.profile_twice else _ONCE
