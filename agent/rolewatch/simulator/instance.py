"""What the metadata says of the instance itself: the items that have nothing to do with its role."""

from __future__ import annotations

from datetime import datetime
from typing import Dict, Optional

from rolewatch.simulator import fake
from rolewatch.simulator.conditions import Conditions
from rolewatch.simulator.documents import rfc3339, written
from rolewatch.simulator.tree import Item, Tree

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

_ITEMS: Dict[str, str] = {
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
    f"{_INTERFACE}/owner-id": fake.ACCOUNT_ID,
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


def _identity(started: datetime) -> Dict[str, Optional[str]]:
    """Return the instance identity document: the keys as in the EC2 user guide."""
    return {
        "accountId": fake.ACCOUNT_ID,
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
