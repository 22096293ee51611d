"""The checks of what STS and EC2 say: whose credentials, what is attached, how IMDS is set."""

from __future__ import annotations

from rolewatch.aws.checks import Outcome, failed, passed, refused, skipped, unknown
from rolewatch.aws.client import Missing, Refused, Trouble
from rolewatch.aws.diagnose.collect import Context
from rolewatch.aws.queries import Association, Caller, Instance
from rolewatch.faults import Fault
from rolewatch.shell import option, placeholder
from rolewatch.vocabulary import Evidence, Scalar


def elsewhere(context: Context) -> str:
    """Say who could ask AWS instead, and with which command."""
    instance_id = option("instance-id", context.instance_id or placeholder("instance_id"))
    where = f"{instance_id} {option('region', context.region or placeholder('region'))}"
    return (
        "whoever may read EC2 and IAM in the account (the policy diagnose-workstation.json), from anywhere: "
        f"rolewatch diagnose {where}"
    )


def no_answer(context: Context, answer: Refused) -> Outcome:
    """Return the outcome of a question that AWS did not answer."""
    return refused(answer, elsewhere(context))


def proof(context: Context) -> Outcome:
    """Judge what STS says of the served credentials."""
    proven = context.proof
    if proven is None:
        return unknown("IMDS serves no credentials to try.")
    if isinstance(proven, Refused):
        return _unproven(context, proven)
    facts: dict[str, Scalar | None] = {
        "arn": proven.arn,
        "role": proven.role,
        "role_id": proven.role_id,
        "instance_id": proven.session,
    }
    if (proven.role or "").lower() != (context.served_role or "").lower():
        return failed(f"The served credentials are of {proven.arn}, and IMDS lists {context.served_role}.", **facts)
    if context.instance_id and proven.session != context.instance_id:
        return failed(f"The served credentials are those of {proven.session}, not of this instance.", **facts)
    return passed(f"AWS accepts the served credentials: {proven.arn}.", **facts)


def _unproven(context: Context, refusal: Refused) -> Outcome:
    if refusal.trouble is Trouble.REJECTED:
        evidence: dict[str, Scalar] = {"code": refusal.code}
        if context.served_role:
            evidence["role"] = context.served_role
        return failed(f"AWS STS refuses the served credentials ({refusal.code}).", Fault.CREDENTIALS_REJECTED, evidence)
    return no_answer(context, refusal)


def caller(context: Context) -> Outcome:
    """Say who asks AWS, and whether that is somebody of the instance's account."""
    who = context.asked.caller
    if isinstance(who, Refused):
        return no_answer(context, who)
    if context.account_id not in (None, who.account_id):
        return failed(
            f"AWS is asked as {who.arn}, and the instance is in the account {context.account_id}: IAM is not asked.",
            arn=who.arn,
            account_id=who.account_id,
        )
    how = f" ({context.asked.method})" if context.asked.method else ""
    return passed(f"AWS is asked as {who.arn}{how}.", arn=who.arn, account_id=who.account_id)


def known_instance(context: Context) -> Outcome | None:
    """Need: the instance's id is known."""
    if context.asked.instance is not None:
        return None
    if isinstance(context.asked.caller, Refused) and context.asked.caller.trouble in (
        Trouble.NO_CREDENTIALS,
        Trouble.NO_SDK,
    ):
        return no_answer(context, context.asked.caller)
    note = "The instance's id is not known, because IMDS does not tell it."
    return Outcome(unknown(note).status, note, who=elsewhere(context))


def attached(context: Context) -> Outcome:
    """Judge whether an instance profile is attached."""
    instance, association = context.asked.instance, context.asked.association
    found = context.attached
    if found is not None:
        return passed(
            f"EC2 has {found.profile_arn or 'an instance profile'} attached.",
            association_id=found.id,
            instance_profile_arn=found.profile_arn,
            instance_profile_id=context.attached_id,
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
    caller_of = context.asked.caller
    account = f" of the account {caller_of.account_id}" if isinstance(caller_of, Caller) else ""
    note = (
        f"EC2 knows no instance {context.instance_id} in {context.region or 'this Region'}{account}: "
        "the Region or the account is another, or the instance is long gone."
    )
    return Outcome(unknown(note).status, note, who=elsewhere(context))


def state(context: Context) -> Outcome:
    """Judge the association's state."""
    association = context.asked.association
    if isinstance(association, Refused):
        return no_answer(context, association)
    if not isinstance(association, Association):
        return skipped("Nothing is attached that could have a state.")
    told = f"The association {association.id} is {association.state}."
    if association.state == "associated":
        return passed(told, state=association.state)
    return failed(f"{told} Wait until that is done.", state=association.state)


def options(context: Context) -> Outcome:
    """Judge the instance's metadata options."""
    instance = context.asked.instance
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
        return unknown("EC2 did not tell the metadata options.")
    pending = " A change of them is not applied yet." if chosen.state == "pending" else ""
    containers = " Containers behind a bridge need a hop limit of 2." if chosen.hop_limit == 1 else ""
    return passed(
        f"IMDS is {chosen.endpoint}, tokens are {chosen.tokens}, the hop limit is {chosen.hop_limit}."
        f"{pending}{containers}",
        **facts,
    )
