"""The simulated instance: its metadata items, made-up ids and secrets."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rolewatch.simulator.conditions import Conditions, Style

ACCOUNT_ID = "111122223333"
"""One of the account ids that AWS's own documentation uses."""
_KEY_ID_LENGTH = 20
_SECRET_LENGTH = 40
_TOKEN_BYTES = 798
"""Makes documents of the size that was recorded: 1322 to 1610 bytes."""


@dataclass(frozen=True)
class Secrets:
    """The three secret fields of one set of credentials. Never valid anywhere; shown by nobody all the same."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def strings(self) -> tuple[str, str, str]:
        """All three."""
        return self.access_key_id, self.secret_access_key, self.token


def secrets(*seed: str) -> Secrets:
    """Make the set of credentials that belongs to *seed*: ``ASIA…``, 40 characters, and some 900."""
    noise = _noise("/".join(seed), _TOKEN_BYTES)
    letters = base64.b32encode(noise[:30]).decode("ascii").replace("=", "")
    text = base64.b64encode(noise).decode("ascii")
    return Secrets(
        access_key_id=("ASIAFAKE" + letters)[:_KEY_ID_LENGTH],
        secret_access_key=("fake/" + text[100:])[:_SECRET_LENGTH],
        token="IQoJb3JpZ2luX2VjFAKE" + text,
    )


def fake_profile_id(name: str) -> str:
    """Make the id of the instance profile called *name*: ``AIPA`` and 17 characters."""
    return "AIPAFAKE" + base64.b32encode(_noise(name, 10)).decode("ascii")[:13]


def key(*seed: str) -> bytes:
    """Make 32 bytes to sign session tokens with."""
    return _noise("session tokens/" + "/".join(seed), 32)


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
    """One document: its bytes, and since when it stands so."""

    body: bytes = field(repr=False)
    modified: datetime
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

    def list_as(self, path: str, body: bytes, modified: datetime, *, since: str = "1.0") -> None:
        """Answer *body* for the directory *path*, instead of the names of what is in it."""
        self._listings[path] = Item(body, modified, since)

    def find(self, path: str, version: str) -> Item | None:
        """Return the item or the listing at *path*, with or without a slash at its end; None where there is none.

        A document with a slash behind it is none.
        """
        directory = path.endswith("/") or not path
        key = path.strip("/")
        item = self._listings.get(key) or (None if directory else self._items.get(key))
        if item is not None:
            return item if item.since <= version else None
        names = self._names(key + "/" if key else "", version)
        return Item("\n".join(names).encode(), self._modified) if names else None

    def _names(self, prefix: str, version: str) -> list[str]:
        """Return what is in the directory: its own directories end with a slash, except right below the version."""
        names = set()
        for path, item in [*self._items.items(), *self._listings.items()]:
            if path.startswith(prefix) and item.since <= version:
                first, slash, _ = path[len(prefix) :].partition("/")
                names.add(first + ("/" if prefix and (slash or path in self._listings) else ""))
        return sorted(names)


def written(fields: Mapping[str, str | None], style: Style = Style.RECORDED) -> str:
    """Write *fields* as a JSON object in *style*."""
    if style is Style.COMPACT:
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))
    if style is Style.LOWER_CASE:
        fields = {key.lower(): value for key, value in fields.items()}
    return json.dumps(fields, indent=2, separators=(",", " : "))


def rfc3339(moment: datetime) -> str:
    """Write *moment*, which is UTC, as IMDS does."""
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


def plant(tree: Tree, conditions: Conditions, *, started: datetime) -> None:
    """Put every item of the instance into *tree*. It was started at *started*, by IMDS's clock."""
    for path, text in _ITEMS.items():
        tree.add("meta-data/" + path, Item(text.encode(), started, _SINCE.get(path, "1.0")))
    tree.list_as("meta-data/public-keys", b"0=rolewatch-simulator", started)
    tree.add("dynamic/instance-identity/document", Item(written(_identity(started)).encode(), started, "2009-04-04"))
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
