"""The simulated instance: what its metadata says at one moment, under the conditions of a scenario. No I/O.

Ids, addresses and secrets are made up. `Rotation` says which set of credentials is current, `IamItems` writes the
documents of the role, and `Instance` puts both together.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Callable

from rolewatch.simulator.conditions import HEALTHY, Association, Conditions, Listing, Style

ACCOUNT_ID = "111122223333"
"""One of the account ids that AWS's own documentation uses."""
_SET_BYTES = 798
"""Random bytes in a session token: documents get the size that was recorded, 1322 to 1610 bytes."""


def secret_fields(*seed: str) -> dict[str, str]:
    """Return the three secret fields of the set of credentials that belongs to *seed*. They are valid nowhere.

    An access key id of 20 characters (``ASIA…``), a secret access key of 40, and a token of about 1080.
    """
    noise = _noise("/".join(seed), _SET_BYTES)
    letters = base64.b32encode(noise[:30]).decode("ascii").replace("=", "")
    text = base64.b64encode(noise).decode("ascii")
    return {
        "AccessKeyId": ("ASIAFAKE" + letters)[:20],
        "SecretAccessKey": ("fake/" + text[100:])[:40],
        "Token": "IQoJb3JpZ2luX2VjFAKE" + text,
    }


def fake_profile_id(name: str) -> str:
    """Return the id of the instance profile called *name*: ``AIPA`` and 17 characters."""
    return "AIPAFAKE" + base64.b32encode(_noise(name, 10)).decode("ascii")[:13]


def token_key(seed: str) -> bytes:
    """Return the 32 bytes that sign the session tokens of *seed*."""
    return _noise("session tokens/" + seed, 32)


def _noise(seed: str, length: int) -> bytes:
    return hashlib.shake_256(f"rolewatch simulator/{seed}".encode()).digest(length)


VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
    "latest",
)
"""What ``GET /`` lists. Later dates exist; clients take ``latest`` or a date they know."""


@dataclass(frozen=True)
class Item:
    """One document or listing."""

    body: bytes = field(repr=False)
    modified: datetime
    """When it changed last, by IMDS's clock."""
    since: str = "1.0"
    """The first version of the metadata that has it."""


class Tree:
    """Items by their path below the version, such as ``meta-data/iam/info``."""

    def __init__(self, modified: datetime) -> None:
        """Begin empty; listings bear the time *modified*."""
        self._modified = modified
        self._items: dict[str, Item] = {}
        self._listings: dict[str, Item] = {}

    def add(self, path: str, item: Item) -> None:
        """Add *item*; the directories above it follow from its path."""
        self._items[path] = item

    def add_listing(self, path: str, item: Item) -> None:
        """Respond with *item* for the directory *path*, instead of the names of its entries."""
        self._listings[path] = item

    def find(self, path: str, version: str) -> Item | None:
        """Return the item or the listing at *path*, with or without a slash at its end, or None.

        The path of a document with a slash at its end names nothing.
        """
        directory = path.endswith("/") or not path
        key = path.strip("/")
        item = self._listings.get(key) or (None if directory else self._items.get(key))
        if item is not None:
            return item if item.since <= version else None
        names = self._names(key + "/" if key else "", version)
        return Item("\n".join(names).encode(), self._modified) if names else None

    def _names(self, prefix: str, version: str) -> list[str]:
        """Return the entries of a directory. Directories end with a slash, except right below the version."""
        names = set()
        for path, item in [*self._items.items(), *self._listings.items()]:
            if path.startswith(prefix) and item.since <= version:
                first, slash, _ = path[len(prefix) :].partition("/")
                names.add(first + ("/" if prefix and (slash or path in self._listings) else ""))
        return sorted(names)


def as_json(fields: Mapping[str, str | None], style: Style = Style.RECORDED) -> str:
    """Return *fields* as a JSON object in *style*."""
    if style is Style.COMPACT:
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))
    if style is Style.LOWER_CASE:
        fields = {key.lower(): value for key, value in fields.items()}
    return json.dumps(fields, indent=2, separators=(",", " : "))


def rfc3339(moment: datetime) -> str:
    """Return *moment*, which is UTC, as IMDS writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


INSTANCE_ID = "i-0123456789abcdef0"
REGION = "eu-west-1"
ZONE = REGION + "a"
_MAC = "0a:12:34:56:78:9a"
_PRIVATE_IP = "10.0.1.17"
_PUBLIC_IP = "203.0.113.25"
_PRIVATE_NAME = f"ip-10-0-1-17.{REGION}.compute.internal"
_PUBLIC_NAME = f"ec2-203-0-113-25.{REGION}.compute.amazonaws.com"
_INTERFACE = f"network/interfaces/macs/{_MAC}"
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAK rolewatch-simulator"

_ITEMS: dict[str, str] = {
    "ami-id": "ami-0123456789abcdef0",
    "ami-launch-index": "0",
    "ami-manifest-path": "(unknown)",
    "block-device-mapping/ami": "/dev/xvda",
    "block-device-mapping/root": "/dev/xvda",
    "events/maintenance/history": "[]",
    "events/maintenance/scheduled": "[]",
    "hostname": _PRIVATE_NAME,
    "instance-action": "none",
    "instance-id": INSTANCE_ID,
    "instance-life-cycle": "on-demand",
    "instance-type": "t3.micro",
    "local-hostname": _PRIVATE_NAME,
    "local-ipv4": _PRIVATE_IP,
    "mac": _MAC,
    f"{_INTERFACE}/device-number": "0",
    f"{_INTERFACE}/interface-id": "eni-0123456789abcdef0",
    f"{_INTERFACE}/ipv4-associations/{_PUBLIC_IP}": _PRIVATE_IP,
    f"{_INTERFACE}/local-hostname": _PRIVATE_NAME,
    f"{_INTERFACE}/local-ipv4s": _PRIVATE_IP,
    f"{_INTERFACE}/mac": _MAC,
    f"{_INTERFACE}/owner-id": ACCOUNT_ID,
    f"{_INTERFACE}/public-hostname": _PUBLIC_NAME,
    f"{_INTERFACE}/public-ipv4s": _PUBLIC_IP,
    f"{_INTERFACE}/security-group-ids": "sg-0123456789abcdef0",
    f"{_INTERFACE}/security-groups": "default",
    f"{_INTERFACE}/subnet-id": "subnet-0123456789abcdef0",
    f"{_INTERFACE}/subnet-ipv4-cidr-block": "10.0.1.0/24",
    f"{_INTERFACE}/vpc-id": "vpc-0123456789abcdef0",
    f"{_INTERFACE}/vpc-ipv4-cidr-block": "10.0.0.0/16",
    f"{_INTERFACE}/vpc-ipv4-cidr-blocks": "10.0.0.0/16",
    "placement/availability-zone": ZONE,
    "placement/availability-zone-id": "euw1-az1",
    "placement/region": REGION,
    "profile": "default-hvm",
    "public-hostname": _PUBLIC_NAME,
    "public-ipv4": _PUBLIC_IP,
    "public-keys/0/openssh-key": _KEY,
    "reservation-id": "r-0123456789abcdef0",
    "security-groups": "default",
    "services/domain": "amazonaws.com",
    "services/partition": "aws",
    "system": "nitro",
}
"""Below ``meta-data/``. Ids are of AWS's shapes and made up, addresses are those of documentation (RFC 5737)."""

_SINCE = {
    "placement/availability-zone-id": "2019-10-01",
    "placement/region": "2020-08-24",
    "services/domain": "2014-02-25",
    "services/partition": "2015-10-20",
}
"""The version that brought an item (EC2 user guide, "Instance metadata categories")."""
_TAGS_SINCE = "2021-03-23"


def _add_instance_items(tree: Tree, conditions: Conditions, started: datetime) -> None:
    """Add every item that does not depend on the credentials. *started*: by IMDS's clock."""
    for path, text in _ITEMS.items():
        tree.add("meta-data/" + path, Item(text.encode(), started, _SINCE.get(path, "1.0")))
    tree.add_listing("meta-data/public-keys", Item(b"0=rolewatch-simulator", started))
    tree.add("dynamic/instance-identity/document", Item(as_json(_identity(started)).encode(), started, "2009-04-04"))
    for key, value in conditions.tags:
        text = value.replace("{role}", conditions.role)
        tree.add(f"meta-data/tags/instance/{key}", Item(text.encode(), started, _TAGS_SINCE))


def _identity(started: datetime) -> dict[str, str | None]:
    """Return the instance identity document: the keys as in the EC2 user guide."""
    return {
        "accountId": ACCOUNT_ID,
        "architecture": "x86_64",
        "availabilityZone": ZONE,
        "billingProducts": None,
        "devpayProductCodes": None,
        "marketplaceProductCodes": None,
        "imageId": _ITEMS["ami-id"],
        "instanceId": INSTANCE_ID,
        "instanceType": _ITEMS["instance-type"],
        "kernelId": None,
        "pendingTime": rfc3339(started),
        "privateIp": _PRIVATE_IP,
        "ramdiskId": None,
        "region": REGION,
        "version": "2017-09-30",
    }


@dataclass(frozen=True)
class Term:
    """When a set of credentials begins and ends, by IMDS's clock."""

    serial: str
    """Identifies the set."""
    refreshed: datetime
    """When EC2 refreshed the ``iam`` items last. It goes on doing so when the set itself is stuck."""
    last_updated: datetime
    expiration: datetime


class Rotation:
    """Rotates the credentials every period, on the local clock, divided by the speed."""

    def __init__(self, conditions: Conditions, *, now: datetime, speed: float) -> None:
        """Begin a third of a period before *now*: the first rotation is due in two thirds."""
        self._speed = speed
        self._forced = 0
        self._period = timedelta(0)
        self.enter(conditions, now)

    def enter(self, conditions: Conditions, now: datetime) -> None:
        """Continue under *conditions*. The set stays the same, unless they change it."""
        period = conditions.period / self._speed
        if period != self._period:
            self._epoch = now - period / 3
        self._conditions, self._period, self._entered = conditions, period, now
        self._age = conditions.age

    def rotate(self, now: datetime) -> None:
        """Rotate the set now, under any conditions; the next period begins."""
        self._forced += 1
        self._epoch = self._entered = now
        if self._age is not None:
            self._age = timedelta(0)

    def term(self, now: datetime) -> Term:
        """Return the term of the set that is served at *now* (local clock)."""
        conditions = self._conditions
        refreshed = self._refreshed(now)
        if self._age is not None:
            updated, lifetime = self._entered - self._age, conditions.lifetime + conditions.lifetime_spread
        else:
            updated = refreshed if conditions.rotates else self._refreshed(self._entered)
            lifetime = (conditions.lifetime + conditions.lifetime_spread * _share(updated)) / self._speed
        updated = _whole(updated + conditions.imds_ahead)
        return Term(
            serial=f"{updated.isoformat()}/{self._forced}",
            refreshed=_whole(refreshed + conditions.imds_ahead),
            last_updated=updated,
            expiration=_whole(updated + lifetime),
        )

    def _refreshed(self, now: datetime) -> datetime:
        return self._epoch + self._period * ((now - self._epoch) // self._period)


def _whole(moment: datetime) -> datetime:
    """Cut to whole seconds: IMDS writes no others."""
    return moment.replace(microsecond=0)


def _share(moment: datetime) -> float:
    """Return a share from 0 to 1 that looks arbitrary, and is always the same for *moment*."""
    return (moment.minute * 60 + moment.second) * 7919 % 3600 / 3600


TROUBLESHOOTING = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc"
)
_IAM_SINCE = "2012-01-12"
"""The version of the metadata that brought ``iam/`` (EC2 user guide, "Instance metadata categories")."""
_IDENTITY_SINCE = "2018-05-23"
_INFO_LEAD = timedelta(seconds=32)
"""How much older ``iam/info`` is than the credentials of the same refresh: 32 s in a recording of 2021."""
_CONTAINER_NAMESPACE = "meta-data/iam-ecs-0f3a9d5c7b1e4826"
_CONTAINER_ROLE = "shop-task-role"


class IamItems:
    """Writes the documents of one moment, and records every secret in them."""

    def __init__(self, conditions: Conditions, term: Term, *, seed: str) -> None:
        """Write what *conditions* and *term* say; *seed* makes the secrets."""
        self._conditions = conditions
        self._term = term
        self._seed = seed
        self._info_time = term.refreshed - _INFO_LEAD
        self.secrets: set[str] = set()

    def add_to(self, tree: Tree) -> None:
        """Add every item to *tree*."""
        self._add_identity(tree)
        if self._conditions.container_roles:
            path = f"{_CONTAINER_NAMESPACE}/security-credentials/{_CONTAINER_ROLE}"
            tree.add(path, self._item(self._set(_CONTAINER_ROLE)))
        if self._conditions.association is not Association.DETACHED:
            tree.add("meta-data/iam/info", self._item(self._info(), self._info_time))
            self._add_roles(tree)

    def _add_identity(self, tree: Tree) -> None:
        """Add the credentials that every instance has, even without a role. They only allow GetCallerIdentity."""
        path = "meta-data/identity-credentials/ec2"
        info = {"Code": "Success", "LastUpdated": rfc3339(self._term.refreshed), "AccountId": ACCOUNT_ID}
        tree.add(f"{path}/info", self._item(info, self._term.refreshed, since=_IDENTITY_SINCE))
        fields = self._set("aws:ec2-instance")
        tree.add(f"{path}/security-credentials/ec2-instance", self._item(fields, since=_IDENTITY_SINCE))

    def _info(self) -> dict[str, str]:
        """Return ``iam/info``."""
        conditions = self._conditions
        profile = conditions.instance_profile
        profile_id = fake_profile_id(profile)
        arn = f"arn:aws:iam::{ACCOUNT_ID}:instance-profile/{profile}"
        names = {"InstanceProfileArn": arn, "InstanceProfileId": profile_id}
        updated = {"LastUpdated": rfc3339(self._info_time)}
        if conditions.association is Association.NOT_FOUND:
            missing = f"Instance Profile with Id {profile_id} cannot be found."
            return {"Code": "InstanceProfileNotFound", "Message": _documented(missing), **updated}
        if conditions.association is Association.WITHOUT_ROLE:
            message = _documented("Instance Profile does not contain a role.")
            return {"Code": "Success", "Message": message, **updated, **(names if conditions.profile_named else {})}
        return {"Code": "Success", **updated, **names}

    def _add_roles(self, tree: Tree) -> None:
        conditions = self._conditions
        path = "meta-data/iam/security-credentials"
        roles = [role for role in (conditions.role, conditions.second_role) if role]
        if conditions.listing is Listing.ABSENT:
            return
        listed = "\n".join(roles) if conditions.listing is Listing.ROLE else ""
        newline = "\n" if conditions.trailing_newline and listed else ""
        tree.add_listing(path, Item((listed + newline).encode(), self._info_time, _IAM_SINCE))
        if conditions.listing is Listing.ROLE and conditions.has_document:
            for role in roles:
                tree.add(f"{path}/{role}", self._item(self._credentials(role), self._info_time))

    def _credentials(self, role: str) -> dict[str, str]:
        """Return the credentials document of *role*."""
        conditions = self._conditions
        if conditions.message:
            message = conditions.message.replace("{role}", role)
            return {"Code": conditions.code, "Message": message, "LastUpdated": rfc3339(self._term.last_updated)}
        fields = self._set(role)
        for name in (*conditions.missing, *(() if conditions.code else ("Code",))):
            del fields[name]
        fields.update(dict.fromkeys(conditions.blank, ""))
        return fields

    def _set(self, role: str) -> dict[str, str]:
        secrets = secret_fields(self._seed, role, self._term.serial)
        self.secrets.update(secrets.values())
        updated = {"Code": "Success", "LastUpdated": rfc3339(self._term.last_updated), "Type": "AWS-HMAC"}
        return {**updated, **secrets, "Expiration": rfc3339(self._term.expiration)}

    def _item(self, fields: Mapping[str, str], modified: datetime | None = None, *, since: str = _IAM_SINCE) -> Item:
        newline = "\n" if self._conditions.trailing_newline else ""
        text = as_json(fields, self._conditions.style) + newline
        return Item(text.encode(), modified or self._term.last_updated, since)


def _documented(message: str) -> str:
    """End *message* as AWS does, with two blanks (recorded in 2024)."""
    return f"{message}  Please see documentation at {TROUBLESHOOTING}."


Now = Callable[[], datetime]
"""The local clock: aware, UTC."""


class Instance:
    """What the metadata of the instance says now."""

    def __init__(  # noqa: PLR0913 - keyword-only; all are independent
        self,
        conditions: Conditions = HEALTHY,
        *,
        now: Now,
        seed: str = "rolewatch",
        speed: float = 1.0,
        role: str = "",
        instance_profile: str = "",
        user_data: bytes = b"",
    ) -> None:
        """Begin under *conditions*. *role* and *instance_profile* replace the healthy instance's names.

        *user_data* is served unchanged; if it is empty, there is none.
        """
        self.local_time = now
        """The local clock."""
        self._seed = seed
        self._role = role or HEALTHY.role
        self._instance_profile = instance_profile or role or HEALTHY.instance_profile
        self._user_data = user_data
        self.conditions = self._renamed(conditions)
        self._created = self._entered = now()
        self._rotation = Rotation(self.conditions, now=self._entered, speed=speed)
        self.secrets: set[str] = set()
        """Every secret in the documents at the last `find`."""

    def enter(self, conditions: Conditions) -> None:
        """Continue under *conditions*, from now."""
        self._entered = self.local_time()
        self.conditions = self._renamed(conditions)
        self._rotation.enter(self.conditions, self._entered)

    def rotate(self) -> None:
        """Rotate the credentials now."""
        self._rotation.rotate(self.local_time())

    @property
    def imds_time(self) -> datetime:
        """IMDS's clock: the `Date` of a response."""
        return self.local_time() + self.conditions.imds_ahead

    def find(self, version: str, path: str) -> Item | None:
        """Return the document or listing at *path* below *version*, or None."""
        if version not in VERSIONS:
            return None
        started = self._started()
        tree = Tree(started)
        _add_instance_items(tree, self.conditions, started)
        if self._user_data:
            tree.add("user-data", Item(self._user_data, started))
        iam = IamItems(self.conditions, self._rotation.term(self.local_time()), seed=self._seed)
        iam.add_to(tree)
        self.secrets = iam.secrets
        return tree.find(path, "9999" if version == "latest" else version)

    def _started(self) -> datetime:
        """Return when the instance started, by IMDS's clock; only a scenario that sets the uptime changes it."""
        since = self._created if self.conditions.uptime == HEALTHY.uptime else self._entered
        return _whole(since - self.conditions.uptime + self.conditions.imds_ahead)

    def _renamed(self, conditions: Conditions) -> Conditions:
        """Return *conditions* with this instance's names in place of the healthy instance's."""
        role = self._role if conditions.role == HEALTHY.role else conditions.role
        same = conditions.instance_profile == HEALTHY.instance_profile
        profile = self._instance_profile if same else conditions.instance_profile
        return replace(conditions, role=role, instance_profile=profile)
