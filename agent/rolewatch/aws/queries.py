"""The questions to AWS: each function makes one call and returns its answer as a value.

Ids and names of an unexpected shape become None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rolewatch.aws import client
from rolewatch.aws.client import Api, Missing, Refused, Trouble
from rolewatch.aws_names import ACCOUNT_ID, NAME, UNIQUE_ID, parse_arn

_SESSION = re.compile(r"[\w+=,.@:-]{1,64}", re.ASCII)
_ASSOCIATION_ID = re.compile(r"iip-assoc-[0-9a-f]{8,17}", re.ASCII)
_PRINCIPAL = re.compile(r"[\w.-]{1,100}", re.ASCII)
_WORD = re.compile(r"[a-z][a-z-]{1,24}", re.ASCII)


@dataclass(frozen=True)
class Caller:
    """The answer of ``sts:GetCallerIdentity``."""

    arn: str
    account_id: str
    role: str | None = None
    """The role's name, for a session of an assumed role."""
    role_id: str | None = None
    """The role's id, ``AROA…``: the part of UserId before the colon."""
    session: str | None = None
    """The session's name; for the role of an instance, the instance id."""


@dataclass(frozen=True)
class MetadataOptions:
    """The instance metadata options that EC2 has for the instance."""

    endpoint: str | None = None
    tokens: str | None = None
    hop_limit: int | None = None
    ipv6: str | None = None
    tags: str | None = None
    state: str | None = None


@dataclass(frozen=True)
class Instance:
    """The answer of ``ec2:DescribeInstances`` for one instance."""

    id: str
    state: str | None = None
    """``running``, ``stopped``…"""
    profile_arn: str | None = None
    profile_id: str | None = None
    """``IamInstanceProfile.Id`` (AWS's page calls it IamInstanceProfileId)."""
    options: MetadataOptions = MetadataOptions()
    manager: str | None = None
    """The service that manages it, such as ``eks.amazonaws.com``. EC2 may hide such instances."""


@dataclass(frozen=True)
class Association:
    """The answer of ``ec2:DescribeIamInstanceProfileAssociations`` for one instance."""

    id: str | None
    """``iip-assoc-…``; None where only `Instance` shows it."""
    state: str | None
    """``associating``, ``associated``, ``disassociating``, ``disassociated``."""
    profile_arn: str | None
    profile_id: str | None
    """``AIPA…``. EC2 identifies the profile by this, not by its name."""


@dataclass(frozen=True)
class Role:
    """The answer of ``iam:GetRole``."""

    name: str
    id: str | None
    """``AROA…``"""
    arn: str | None
    trust: Any
    """The trust policy as decoded JSON; `trust_policy` judges it."""


@dataclass(frozen=True)
class Profile:
    """The answer of ``iam:GetInstanceProfile``."""

    name: str
    id: str | None
    """``AIPA…``"""
    arn: str | None
    role: Role | None
    """None where the profile is empty. It can hold one role at most."""


def last_segment(arn: str | None) -> str | None:
    """Return the name at the end of *arn*, which may hold a path: ``…:instance-profile/application/web``."""
    parts = parse_arn(arn)
    return _shaped(NAME, parts.name) if parts else None


def account_of(arn: str | None) -> str | None:
    """Return the account id in *arn*."""
    parts = parse_arn(arn)
    return parts.account if parts else None


def caller(api: Api) -> Caller | Refused:
    """Return the identity of the credentials."""
    answer = api.ask(client.CALLER)
    if isinstance(answer, (Missing, Refused)):
        return answer if isinstance(answer, Refused) else unexpected(client.CALLER)
    arn = parse_arn(_text(answer, "Arn"))
    account = _shaped(ACCOUNT_ID, answer.get("Account"))
    if arn is None or account is None:
        return unexpected(client.CALLER)
    role, _, session = arn.path.partition("/")
    is_session = arn.kind == "assumed-role" and NAME.fullmatch(role) and _SESSION.fullmatch(session)
    return Caller(
        arn=arn.text,
        account_id=account,
        role=role if is_session else None,
        role_id=_shaped(UNIQUE_ID, str(answer.get("UserId", "")).partition(":")[0]) if is_session else None,
        session=session if is_session else None,
    )


def instance(api: Api, instance_id: str) -> Instance | Missing | Refused:
    """Return EC2's description of the instance."""
    answer = api.ask(client.INSTANCES, InstanceIds=[instance_id])
    if isinstance(answer, (Missing, Refused)):
        return answer
    found = [each for group in rows_of(answer, "Reservations") for each in rows_of(group, "Instances")]
    if not found:
        return Missing(client.INSTANCES.action)
    names = ("IamInstanceProfile", "MetadataOptions", "State", "Operator")
    profile, options, state, operator = (_field(found[0], name) for name in names)
    hop_limit = options.get("HttpPutResponseHopLimit")
    return Instance(
        id=instance_id,
        state=_shaped(_WORD, state.get("Name")),
        profile_arn=_arn(profile),
        profile_id=_profile_id(profile.get("Id")),
        options=MetadataOptions(
            endpoint=_shaped(_WORD, options.get("HttpEndpoint")),
            tokens=_shaped(_WORD, options.get("HttpTokens")),
            hop_limit=hop_limit if isinstance(hop_limit, int) else None,
            ipv6=_shaped(_WORD, options.get("HttpProtocolIpv6")),
            tags=_shaped(_WORD, options.get("InstanceMetadataTags")),
            state=_shaped(_WORD, options.get("State")),
        ),
        manager=_shaped(_PRINCIPAL, operator.get("Principal")) if operator.get("Managed") is True else None,
    )


def association(api: Api, instance_id: str) -> Association | Missing | Refused:
    """Return the instance profile association of the instance; `Missing` where there is none.

    During a replacement there are several: the associated one wins over one that is disassociating.
    """
    answer = api.ask(client.ASSOCIATIONS, Filters=[{"Name": "instance-id", "Values": [instance_id]}])
    if isinstance(answer, (Missing, Refused)):
        return answer
    order = ("associated", "associating", "disassociating")
    rows = [row for row in rows_of(answer, "IamInstanceProfileAssociations") if row.get("State") in order]
    if not rows:
        return Missing(client.ASSOCIATIONS.action)
    row = min(rows, key=lambda each: order.index(str(each.get("State"))))
    profile = _field(row, "IamInstanceProfile")
    return Association(
        id=_shaped(_ASSOCIATION_ID, row.get("AssociationId")),
        state=_shaped(_WORD, row.get("State")),
        profile_arn=_arn(profile),
        profile_id=_profile_id(profile.get("Id")),
    )


def profile(api: Api, name: str) -> Profile | Missing | Refused:
    """Return IAM's instance profile *name* with its role and trust policy."""
    answer = api.ask(client.PROFILE, InstanceProfileName=name)
    if isinstance(answer, (Missing, Refused)):
        return answer
    found = _field(answer, "InstanceProfile")
    roles = rows_of(found, "Roles")
    return Profile(
        name=_shaped(NAME, found.get("InstanceProfileName")) or name,
        id=_profile_id(found.get("InstanceProfileId")),
        arn=_arn(found),
        role=_role(roles[0]) if roles else None,
    )


def role(api: Api, name: str) -> Role | Missing | Refused:
    """Return IAM's role *name*."""
    answer = api.ask(client.ROLE, RoleName=name)
    if isinstance(answer, (Missing, Refused)):
        return answer
    return _role(_field(answer, "Role")) or unexpected(client.ROLE)


def inline_policies(api: Api, role: str) -> Mapping[str, Any] | Missing | Refused:
    """Return the documents of the inline policies of *role* in IAM, by their names. One call for each, and one more."""
    answer = api.ask(client.ROLE_POLICIES, RoleName=role, MaxItems=1000)
    if isinstance(answer, (Missing, Refused)):
        return answer
    if answer.get("IsTruncated"):
        return Refused(Trouble.ERROR, client.ROLE_POLICIES.action, detail="the role has too many policies")
    names = answer.get("PolicyNames")
    documents: dict[str, Any] = {}
    for name in names if isinstance(names, list) else ():
        policy = api.ask(client.ROLE_POLICY, RoleName=role, PolicyName=name)
        if isinstance(policy, Refused):
            return policy
        if not isinstance(policy, Missing):
            documents[str(name)] = policy.get("PolicyDocument")
    return documents


def _role(found: Mapping[str, Any]) -> Role | None:
    name = _shaped(NAME, found.get("RoleName"))
    if name is None:
        return None
    return Role(
        name=name,
        id=_shaped(UNIQUE_ID, found.get("RoleId")),
        arn=_arn(found),
        trust=found.get("AssumeRolePolicyDocument"),
    )


def _arn(found: Mapping[str, Any]) -> str | None:
    arn = parse_arn(_text(found, "Arn"))
    return arn.text if arn else None


def _text(found: Mapping[str, Any], key: str) -> str | None:
    value = found.get(key)
    return value if isinstance(value, str) else None


def _profile_id(value: object) -> str | None:
    text = _shaped(UNIQUE_ID, value)
    return text if text and text.startswith("AIPA") else None


def rows_of(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the dicts in the list *key* of *answer*, or an empty list."""
    value = answer.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _field(answer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = answer.get(key)
    return value if isinstance(value, dict) else {}


def _shaped(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def unexpected(call: client.Call) -> Refused:
    """Return the refusal for an answer of *call* that lacks what the API reference promises."""
    return Refused(Trouble.ERROR, call.action, detail="the answer does not match the API reference")
