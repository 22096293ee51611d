"""Checks of what STS, EC2 and IAM say: credentials, association, metadata options, instance profile, role, trust."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from rolewatch.aws import revocation, trust_policy
from rolewatch.aws.checks import Outcome, Status, failed, passed, refused, skipped, unknown
from rolewatch.aws.client import Missing, Refused, Trouble
from rolewatch.aws.diagnose.findings import SECOND_CALL_AFTER, Context
from rolewatch.aws.diagnose.local_checks import NO_TOKEN, NOT_HERE, ON_INSTANCE
from rolewatch.aws.queries import Association, Caller, Instance, Role
from rolewatch.aws.trust_policy import Trust
from rolewatch.aws_names import INSTANCE_ID
from rolewatch.faults import Fault
from rolewatch.monitor.classify import matches
from rolewatch.shell import option, placeholder
from rolewatch.text import rfc3339
from rolewatch.vocabulary import SESSIONS_REVOKED, Evidence, Responder, Scalar

_TWICE = f" IAM said so twice, {SECOND_CALL_AFTER:.0f} s apart; it is eventually consistent."
_ONCE = " IAM said so once; right after a change it may be wrong for some seconds."


def elsewhere(context: Context) -> str:
    """Return who can make the calls to AWS instead, and with which command."""
    instance_id = option("instance-id", context.instance_id or placeholder("instance_id"))
    where = f"{instance_id} {option('region', context.region or placeholder('region'))}"
    return (
        "anyone who may read EC2 and IAM in the account (policy diagnose-workstation.json), from anywhere: "
        f"rolewatch diagnose {where}"
    )


def no_answer(context: Context, answer: Refused) -> Outcome:
    """Return the outcome of a check whose call AWS did not answer."""
    return refused(answer, elsewhere(context))


def served_credentials(context: Context) -> Outcome:
    """Check what STS says of the served credentials."""
    if context.local is None or context.local.answered is None:
        return NO_TOKEN if context.local else NOT_HERE
    proven = context.aws.proof
    if isinstance(proven, Refused):
        return _unproven(context, proven)
    if proven is None or context.served_role is None:
        return unknown("IMDS serves no credentials to try.")
    facts: dict[str, Scalar | None] = {
        "arn": proven.arn,
        "role": proven.role,
        "role_id": proven.role_id,
        "instance_id": proven.session,
    }
    is_other_role = (proven.role or "").lower() != context.served_role.lower()
    if not is_other_role and proven.session == (context.instance_id or proven.session):
        return passed(f"AWS accepts the served credentials: {proven.arn}.", **facts)
    evidence: dict[str, Scalar] = {"responder": Responder.NOT_EC2.value}
    if INSTANCE_ID.fullmatch(proven.session or "") and proven.session != context.instance_id:
        evidence = {"responder": Responder.OTHER_INSTANCE.value, "answering_instance_id": proven.session or ""}
    whose = f"IMDS lists {context.served_role}" if is_other_role else f"this instance is {context.instance_id}"
    note = f"The served credentials are of {proven.arn}, and {whose}: this instance's IMDS did not give them."
    if evidence["responder"] in context.local.accepted:
        return passed(f"{note} accept_responder under [imds] accepts that.", **facts)
    return failed(note, Fault.IMDS_INTERCEPTED, evidence, **facts)


def _unproven(context: Context, refusal: Refused) -> Outcome:
    if refusal.trouble is Trouble.REJECTED:
        evidence: dict[str, Scalar] = {"code": refusal.code}
        if context.served_role:
            evidence["role"] = context.served_role
        return failed(f"AWS STS refuses the served credentials ({refusal.code}).", Fault.CREDENTIALS_REJECTED, evidence)
    return no_answer(context, refusal)


def caller(context: Context) -> Outcome:
    """Check the caller's account against the instance's."""
    who = context.aws.caller
    if isinstance(who, Refused):
        return no_answer(context, who)
    if context.account_id not in (None, who.account_id):
        return failed(
            f"AWS is called as {who.arn}, and the instance is in the account {context.account_id}: IAM is not called.",
            arn=who.arn,
            account_id=who.account_id,
        )
    how = f" ({context.aws.method})" if context.aws.method else ""
    return passed(f"AWS is called as {who.arn}{how}.", arn=who.arn, account_id=who.account_id)


def known_instance(context: Context) -> Outcome | None:
    """Need: the instance's id is known."""
    if context.aws.instance is not None:
        return None
    if isinstance(context.aws.caller, Refused) and context.aws.caller.trouble in (
        Trouble.NO_CREDENTIALS,
        Trouble.NO_SDK,
    ):
        return no_answer(context, context.aws.caller)
    note = "The instance's id is not known, because IMDS does not give it."
    return Outcome(unknown(note).status, note, who=elsewhere(context))


def attached(context: Context) -> Outcome:
    """Check whether an instance profile is attached."""
    instance, association = context.aws.instance, context.aws.association
    found = context.aws.attached
    if found is not None:
        manager = instance.manager if isinstance(instance, Instance) else None
        managed = f" {manager} manages this instance: change its settings there." if manager else ""
        return passed(
            f"EC2 has {found.profile_arn or 'an instance profile'} attached.{managed}",
            association_id=found.id,
            instance_profile_arn=found.profile_arn,
            instance_profile_id=context.aws.attached_id,
        )
    if isinstance(instance, Missing):
        return _no_instance(context)
    if isinstance(association, Refused) and isinstance(instance, Refused):
        return no_answer(context, association)
    if isinstance(instance, Instance) and instance.state == "terminated":
        return failed(f"The instance {instance.id} is terminated.", state=instance.state)
    evidence: Evidence = {"instance_profile": context.info.name} if context.info and context.info.name else {}
    return failed("EC2 has no instance profile attached to the instance.", Fault.INSTANCE_PROFILE_DETACHED, evidence)


def _no_instance(context: Context) -> Outcome:
    caller_of = context.aws.caller
    account = f" of the account {caller_of.account_id}" if isinstance(caller_of, Caller) else ""
    note = (
        f"EC2 knows no instance {context.instance_id} in {context.region or 'this Region'}{account}: "
        "the Region or the account is another, or the instance is long gone. boto3 before 1.42.94 does not find an "
        "instance that a service manages and EC2 hides."
    )
    return Outcome(unknown(note).status, note, who=elsewhere(context))


def association_state(context: Context) -> Outcome:
    """Check the association's state."""
    association = context.aws.association
    if isinstance(association, Refused):
        return no_answer(context, association)
    if not isinstance(association, Association):
        return skipped("No association was found.")
    note = f"The association {association.id} is {association.state}."
    if association.state == "associated":
        return passed(note, state=association.state)
    return failed(f"{note} Wait until that is done.", state=association.state)


def metadata_options(context: Context) -> Outcome:
    """Check the instance's metadata options."""
    instance = context.aws.instance
    if isinstance(instance, Refused):
        return no_answer(context, instance)
    if not isinstance(instance, Instance):
        return _no_instance(context)
    chosen = instance.options
    facts = {
        "endpoint": chosen.endpoint,
        "tokens": chosen.tokens,
        "hop_limit": chosen.hop_limit,
        "ipv6": chosen.ipv6,
        "state": chosen.state,
    }
    if chosen.endpoint == "disabled":
        evidence: Evidence = {"phase": "token", "http_status": 403}
        return failed("EC2 has the IMDS endpoint disabled.", Fault.IMDS_DISABLED, evidence, **facts)
    if chosen.endpoint is None:
        return unknown("EC2 returned no metadata options.")
    pending = " A change of them is not applied yet." if chosen.state == "pending" else ""
    containers = " Containers behind a bridge need a hop limit of 2." if chosen.hop_limit == 1 else ""
    return passed(
        f"IMDS is {chosen.endpoint}, tokens are {chosen.tokens}, the hop limit is {chosen.hop_limit}."
        f"{pending}{containers}",
        **facts,
    )


def iam_answered(context: Context) -> Outcome | None:
    """Need: IAM answered."""
    answer = context.aws.profile
    if isinstance(answer, Refused):
        return no_answer(context, answer)
    if answer is not None:
        return None
    for other in (context.aws.association, context.aws.instance, context.aws.caller):
        if isinstance(other, Refused):
            return no_answer(context, other)
    if isinstance(context.aws.instance, Instance) and context.aws.attached is None:
        return skipped("No instance profile is attached.")
    note = "The instance profile's name is not known: an error document does not repeat it."
    return Outcome(Status.UNKNOWN, note, who=elsewhere(context))


def profile_exists(context: Context) -> Outcome | None:
    """Need: IAM has the instance profile."""
    return skipped("There is no instance profile of that name.") if context.aws.known_profile is None else None


def has_role(context: Context) -> Outcome | None:
    """Need: the instance profile has a role."""
    return None if context.aws.role_in_profile else skipped("The instance profile has no role.")


def profile(context: Context) -> Outcome:
    """Check whether IAM has an instance profile of that name."""
    found = context.aws.known_profile
    if found is not None:
        return passed(
            f"IAM has the instance profile {found.name}.", instance_profile=found.name, instance_profile_id=found.id
        )
    name = context.aws.profile_name
    return failed(
        f"IAM has no instance profile {name}.{_again(context)}", Fault.INSTANCE_PROFILE_NOT_FOUND, _evidence(context)
    )


def same_id(context: Context) -> Outcome:
    """Check whether IAM's instance profile is the attached one: EC2 uses the id."""
    profile = context.aws.known_profile
    if profile is None or profile.id is None:
        return unknown("IAM returned no id.")
    ids: list[tuple[str, str]] = []
    if context.aws.attached_id:
        ids.append(("EC2 has", context.aws.attached_id))
    if context.info and context.info.id:
        ids.append(("IMDS names", context.info.id))
    if not ids:
        return unknown("Neither EC2 nor IMDS gave the id of the attached instance profile.")
    facts: dict[str, Scalar | None] = {
        "iam_id": profile.id,
        "ec2_id": context.aws.attached_id,
        "imds_id": context.info.id if context.info else None,
    }
    other = [f"{who} {which}" for who, which in ids if which != profile.id]
    if not other:
        return passed(f"The attached instance profile is the one that IAM has: {profile.id}.", **facts)
    return failed(
        f"The instance profile {profile.name} was deleted and created anew under its name: IAM has {profile.id}, "
        f"{' and '.join(other)}.{_again(context)}",
        Fault.INSTANCE_PROFILE_REPLACED,
        _evidence(context),
        **facts,
    )


def role_in_profile(context: Context) -> Outcome:
    """Check whether the instance profile has a role."""
    found = context.aws.role_in_profile
    if found is not None:
        return passed(f"The instance profile has the role {found.name}.", role=found.name, role_id=found.id)
    name = context.aws.profile_name
    return failed(
        f"The instance profile {name} has no role.{_again(context)}",
        Fault.INSTANCE_PROFILE_WITHOUT_ROLE,
        _evidence(context),
    )


def serves_role(context: Context) -> Outcome | None:
    """Need: IMDS serves a role."""
    if context.local is None:
        return skipped("What IMDS serves is only visible on the instance.", ON_INSTANCE)
    return None if context.served_role else skipped("IMDS serves no role to compare.")


def same_role(context: Context) -> Outcome:
    """Check whether IMDS serves the role that IAM has in the instance profile."""
    role = context.aws.role_in_profile
    if role is None or context.served_role is None:
        return unknown("There are no two roles to compare.")
    if role.name.lower() == context.served_role.lower():
        return passed(f"IMDS serves the role {role.name}, as IAM has it.")
    gone = " The old role was deleted." if isinstance(context.aws.role, Missing) else ""
    return failed(
        f"IAM has the role {role.name} in the instance profile, and IMDS still serves {context.served_role}; that is "
        f"normal for up to about an hour after a swap.{gone}",
        Fault.ROLE_SWAP_PENDING,
        {"role": context.served_role, "instance_profile": context.aws.profile_name or ""},
        iam_role=role.name,
        imds_role=context.served_role,
    )


def expected_role_in_profile(context: Context) -> Outcome:
    """Check the role in the instance profile against the expected one, whatever IMDS still serves."""
    role = context.aws.role_in_profile
    if not context.expected_role or role is None:
        return skipped("No role is expected: name one with --expect-role, or in the settings.")
    wanted = ", ".join(context.expected_role)
    if matches(role.name, context.expected_role):
        return passed(f"The role {role.name} in the instance profile is the expected one.", role=role.name)
    return failed(
        f"The instance profile has the role {role.name}, expected is {wanted}.",
        Fault.ROLE_MISMATCH,
        {"role": role.name, "expected_role": wanted, "instance_profile": context.aws.profile_name or ""},
    )


def same_role_id(context: Context) -> Outcome:
    """Check whether the served credentials are of the role that exists: a role created anew has another id."""
    role = _role(context)
    proven = context.aws.proof if isinstance(context.aws.proof, Caller) else None
    if isinstance(context.aws.role, Missing):
        return failed(f"The role {context.served_role} that IMDS serves was deleted.", imds_role=context.served_role)
    if isinstance(context.aws.role, Refused):
        return no_answer(context, context.aws.role)
    if role is None or role.id is None or proven is None or proven.role_id is None:
        return unknown("STS did not return the id of the role of the served credentials.")
    facts: dict[str, Scalar | None] = {"iam_role_id": role.id, "sts_role_id": proven.role_id}
    if (proven.role or "").lower() != role.name.lower():
        return unknown(f"The served credentials are of the role {proven.role}: there is no id to compare.", **facts)
    if role.id == proven.role_id:
        return passed(f"The served credentials are of the role that IAM has: {role.id}.", **facts)
    return failed(
        f"The role {role.name} was deleted and created anew under its name: IAM has {role.id}, the served credentials "
        f"are of {proven.role_id}.",
        Fault.ROLE_SWAP_PENDING,
        {"role": role.name, "instance_profile": context.aws.profile_name or ""},
        **facts,
    )


def trusts_ec2(context: Context) -> Outcome:
    """Check whether the role's trust policy lets EC2 assume it."""
    role = context.aws.role_in_profile
    if role is None:
        return skipped("The instance profile has no role with a trust policy.")
    reading = trust_policy.judge(role.trust, context.partition)
    note = f"Role {role.name}: {reading.why}"
    if reading.trust is Trust.ALLOWS:
        if context.local and context.local.finding(Fault.ASSUME_ROLE_UNAUTHORIZED):
            note += " IMDS still shows the error; that ends at EC2's next refresh."
        return passed(note, role=role.name)
    if reading.trust is Trust.UNDECIDED:
        return unknown(f"{note} IMDS is the judge.", role=role.name)
    evidence: dict[str, Scalar] = {"role": role.name}
    if context.aws.profile_name:
        evidence["instance_profile"] = context.aws.profile_name
    return failed(note, Fault.TRUST_POLICY_DENIES_EC2, evidence, role=role.name)


_EXPLICIT_DENY = " A revoked session is denied in this way, too."
_LONGEST_LIFE = timedelta(hours=12)
"""No set of credentials for an instance lives longer: about six hours, and twelve is the most that a role allows."""


def revoked(context: Context) -> Outcome:
    """Check the role's inline policies for one that denies the sessions that were issued before a time."""
    policies, role = context.aws.policies, context.aws.policies_of or ""
    if isinstance(policies, Refused):
        outcome = no_answer(context, policies)
        denied = _EXPLICIT_DENY if "explicit deny in an identity" in policies.detail else ""
        return replace(outcome, note=f"{outcome.note} Whether sessions are revoked was not checked.{denied}")
    if policies is None or isinstance(policies, Missing):
        return iam_answered(context) or skipped("There is no role whose policies could be read.")
    issued = context.issued or (context.now - _LONGEST_LIFE if context.now else None)
    later = [each for each in revocation.find(policies) if issued is None or each.before > issued]
    if not later:
        return passed(
            f"No inline policy of the role {role} denies sessions by aws:TokenIssueTime; managed ones are not read."
        )
    found = later[0]
    facts = {"policy": found.policy, "role": role, "before": rfc3339(found.before)}
    what = "every call" if found.everything else "some calls"
    note = f"The policy {found.policy} of the role {role} denies {what} of sessions issued before {facts['before']}"
    if not found.everything:
        return unknown(f"{note}, under its conditions.", **facts)
    if context.issued is None:
        return unknown(
            f"{note}. Whether the instance's credentials are older is only visible on the instance.", **facts
        )
    return failed(
        f"{note}, and the served ones were issued at {rfc3339(context.issued)}. Neither IMDS nor sts:GetCallerIdentity "
        "shows that. It ends with EC2's next rotation after that time; EC2 renews the credentials about every hour.",
        Fault.CREDENTIALS_REJECTED,
        {"code": SESSIONS_REVOKED, "role": role},
        **facts,
    )


def _role(context: Context) -> Role | None:
    """Return IAM's role of the name that IMDS serves."""
    if isinstance(context.aws.role, Role):
        return context.aws.role
    role = context.aws.role_in_profile
    return role if role and role.name.lower() == (context.served_role or "").lower() else None


def _evidence(context: Context) -> dict[str, Scalar]:
    """Return the instance profile's name and attached id, as far as they are known."""
    evidence: dict[str, Scalar] = {}
    if context.aws.profile_name:
        evidence["instance_profile"] = context.aws.profile_name
    attached = context.aws.attached_id or (context.info.id if context.info else None)
    if attached:
        evidence["instance_profile_id"] = attached
    return evidence


def _again(context: Context) -> str:
    return _TWICE if context.aws.profile_twice else _ONCE
