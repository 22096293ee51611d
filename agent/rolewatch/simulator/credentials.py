"""The ``iam`` items and identity credentials, and when they rotate: a function of the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rolewatch.simulator import instance
from rolewatch.simulator.conditions import Association, Conditions, Listing
from rolewatch.simulator.instance import Item, Tree, rfc3339, written


@dataclass(frozen=True)
class Term:
    """From when to when a set of credentials lives, by IMDS's clock."""

    serial: str
    """Tells one set from the next."""
    refreshed: datetime
    """When EC2 refreshed the ``iam`` items last. It goes on doing so where the set itself is stuck."""
    last_updated: datetime
    expiration: datetime


class Rotation:
    """Renews the credentials every period, on the local clock, divided by the speed."""

    def __init__(self, conditions: Conditions, *, now: datetime, speed: float) -> None:
        """Begin a third of a period before *now*: the first rotation is due in two thirds."""
        self._speed = speed
        self._forced = 0
        self._period = timedelta(0)
        self.enter(conditions, now)

    def enter(self, conditions: Conditions, now: datetime) -> None:
        """Go on under *conditions*. The set stays the same, unless they say otherwise."""
        period = conditions.period / self._speed
        if period != self._period:
            self._epoch = now - period / 3
        self._conditions, self._period, self._entered = conditions, period, now
        self._age = conditions.age

    def rotate(self, now: datetime) -> None:
        """Renew the set now, whatever the conditions say; the next period begins."""
        self._forced += 1
        self._epoch = self._entered = now
        if self._age is not None:
            self._age = timedelta(0)

    def term(self, now: datetime) -> Term:
        """Return the term of the set that is served at *now* (local), in times of IMDS's clock."""
        conditions = self._conditions
        refreshed = self._refreshed(now)
        if self._age is not None:
            updated, life = self._entered - self._age, conditions.life + conditions.life_spread
        else:
            updated = refreshed if conditions.rotates else self._refreshed(self._entered)
            life = (conditions.life + conditions.life_spread * _share(updated)) / self._speed
        updated = _whole(updated + conditions.imds_ahead)
        return Term(
            serial=f"{updated.isoformat()}/{self._forced}",
            refreshed=_whole(refreshed + conditions.imds_ahead),
            last_updated=updated,
            expiration=_whole(updated + life),
        )

    def _refreshed(self, now: datetime) -> datetime:
        return self._epoch + self._period * ((now - self._epoch) // self._period)


def _whole(moment: datetime) -> datetime:
    """Cut to whole seconds: IMDS writes no others."""
    return moment.replace(microsecond=0)


def _share(moment: datetime) -> float:
    """Return a share from 0 to 1 that looks arbitrary and is not."""
    return (moment.minute * 60 + moment.second) * 7919 % 3600 / 3600


_TROUBLESHOOTING = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc"
)
_IAM_SINCE = "2012-01-12"
"""The version of the metadata that brought ``iam/`` (EC2 user guide, "Instance metadata categories")."""
_IDENTITY_SINCE = "2018-05-23"
_INFO_LEAD = timedelta(seconds=32)
"""How much older ``iam/info`` is than the credentials of the same refresh: 32 s in a recording of 2021."""
_CONTAINER_NAMESPACE = "meta-data/iam-ecs-0f3a9d5c7b1e4826"
_CONTAINER_ROLE = "shop-task-role"


class Chain:
    """Writes the documents of one moment, and notes every secret that it writes."""

    def __init__(self, conditions: Conditions, term: Term, *, seed: str) -> None:
        """Write what *conditions* and *term* say; *seed* makes the secrets."""
        self._conditions = conditions
        self._term = term
        self._seed = seed
        self.secrets: dict[str, None] = {}

    def plant(self, tree: Tree) -> None:
        """Put every item of the chain into *tree*."""
        self._plant_identity(tree)
        if self._conditions.container_roles:
            self._plant_container(tree)
        if self._conditions.association is Association.DETACHED:
            return
        tree.add("meta-data/iam/info", self._item(self.info(), self._info_time))
        self._plant_roles(tree)

    def info(self) -> dict[str, str]:
        """Return ``iam/info``."""
        conditions = self._conditions
        profile = conditions.instance_profile
        profile_id = instance.fake_profile_id(profile)
        about = {"InstanceProfileArn": _profile_arn(profile), "InstanceProfileId": profile_id}
        updated = {"LastUpdated": rfc3339(self._info_time)}
        if conditions.association is Association.NOT_FOUND:
            missing = f"Instance Profile with Id {profile_id} cannot be found."
            return {"Code": "InstanceProfileNotFound", "Message": _documented(missing), **updated}
        if conditions.association is Association.WITHOUT_ROLE:
            message = _documented("Instance Profile does not contain a role.")
            named = about if conditions.profile_named else {}
            return {"Code": "Success", "Message": message, **updated, **named}
        return {"Code": "Success", **updated, **about}

    def credentials(self, role: str) -> dict[str, str]:
        """Return the credentials document of *role*."""
        conditions = self._conditions
        if conditions.message:
            message = conditions.message.replace("{role}", role)
            return {"Code": conditions.code, "Message": message, "LastUpdated": rfc3339(self._term.last_updated)}
        fields = self._set(role)
        if not conditions.code:
            del fields["Code"]
        for name in conditions.lacking:
            del fields[name]
        fields.update(dict.fromkeys(conditions.blank, ""))
        return fields

    @property
    def _info_time(self) -> datetime:
        return self._term.refreshed - _INFO_LEAD

    def _plant_roles(self, tree: Tree) -> None:
        conditions = self._conditions
        path = "meta-data/iam/security-credentials"
        roles = [role for role in (conditions.role, conditions.second_role) if role]
        if conditions.listing is Listing.ABSENT:
            return
        listed = "\n".join(roles) if conditions.listing is Listing.ROLE else ""
        newline = "\n" if conditions.trailing_newline and listed else ""
        tree.list_as(path, (listed + newline).encode(), self._info_time, since=_IAM_SINCE)
        if conditions.listing is Listing.ROLE and conditions.document:
            for role in roles:
                tree.add(f"{path}/{role}", self._item(self.credentials(role), self._info_time))

    def _plant_identity(self, tree: Tree) -> None:
        """Add the credentials that every instance has, role or not; good for GetCallerIdentity alone."""
        path = "meta-data/identity-credentials/ec2"
        info = {
            "Code": "Success",
            "LastUpdated": rfc3339(self._term.refreshed),
            "AccountId": instance.ACCOUNT_ID,
        }
        tree.add(f"{path}/info", self._item(info, self._term.refreshed, since=_IDENTITY_SINCE))
        fields = self._set("aws:ec2-instance")
        tree.add(f"{path}/security-credentials/ec2-instance", self._item(fields, since=_IDENTITY_SINCE))

    def _plant_container(self, tree: Tree) -> None:
        fields = self._set(_CONTAINER_ROLE)
        tree.add(f"{_CONTAINER_NAMESPACE}/security-credentials/{_CONTAINER_ROLE}", self._item(fields))

    def _set(self, role: str) -> dict[str, str]:
        made = instance.secrets(self._seed, role, self._term.serial)
        self.secrets.update(dict.fromkeys(made.strings))
        return {
            "Code": "Success",
            "LastUpdated": rfc3339(self._term.last_updated),
            "Type": "AWS-HMAC",
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "Token": made.token,
            "Expiration": rfc3339(self._term.expiration),
        }

    def _item(self, fields: Mapping[str, str], modified: datetime | None = None, *, since: str = _IAM_SINCE) -> Item:
        newline = "\n" if self._conditions.trailing_newline else ""
        text = written(fields, self._conditions.style) + newline
        return Item(text.encode(), modified or self._term.last_updated, since)


def _profile_arn(name: str) -> str:
    return f"arn:aws:iam::{instance.ACCOUNT_ID}:instance-profile/{name}"


def _documented(message: str) -> str:
    """End *message* as AWS does, two blanks and all (recorded in 2024)."""
    return f"{message}  Please see documentation at {_TROUBLESHOOTING}."
