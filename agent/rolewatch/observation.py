"""What one poll of IMDS observed, as values. No I/O, no clock, no judgement.

No secret is an attribute of anything here: `SecretAccessKey`, `Token` and `AccessKeyId` end in `imds.documents`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Union

from rolewatch.vocabulary import Evidence, Phase, Reason, Responder


@dataclass(frozen=True)
class Moment:
    """Both clocks at one moment. Functions get the time only in this form."""

    utc: datetime
    """Local wall clock, aware, UTC. May be wrong."""
    uptime: float
    """Seconds since boot, suspended time included (CLOCK_BOOTTIME). Never goes backwards."""


class RouteKind(str, Enum):
    """What the kernel does with a packet for an address."""

    UNICAST = "unicast"
    """It sends it out."""
    LOCAL = "local"
    """The address is one of this host's own."""
    NONE = "none"
    """It has no route."""
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    BLACKHOLE = "blackhole"


@dataclass(frozen=True)
class Route:
    """The way that the kernel chooses for an address, for this process's user, by all rules and tables."""

    kind: RouteKind
    interface: str = ""
    gateway: str = ""
    """The next hop; empty where the address itself is looked for on the interface."""
    table: int = 0
    """The number of the routing table; 254 is `main`. 0 where the kernel named none."""
    no_neighbour: bool = False
    """Nobody answers for the next hop (ARP, neighbour discovery): no packet leaves."""
    is_aside: bool = False
    """Something takes this address out of the usual way: packets leave by another interface than the main table's
    default route, through a gateway or a tunnel."""
    default_interface: str = ""
    """The interface of the main table's default route; empty if there is none."""


MAIN_TABLE, _LOCAL = 254, 255
"""The tables in which every route is looked for anyhow (ip-rule(8))."""


@dataclass(frozen=True)
class Failure:
    """A request to IMDS that gave no usable answer, with the evidence."""

    phase: Phase
    reason: Reason
    document: str = ""
    """The path below ``/latest/`` of the request, without the role's name."""
    errno: int | None = None
    status: int | None = None
    route: Route | None = None
    """The kernel's way to IMDS, where connecting failed."""
    responder: Responder | None = None
    """Who answered, where the answer shows that it was not EC2's IMDS."""
    server: str = ""
    """The name in the answer's `Server` header, without a version, where it is not IMDS's."""

    @property
    def evidence(self) -> Evidence:
        """The failure as evidence."""
        route = self.route or Route(RouteKind.NONE)
        facts = {
            "phase": self.phase.value,
            "reason": self.reason.value,
            "errno": self.errno,
            "http_status": self.status,
            "document": self.document or None,
            "responder": self.responder.value if self.responder else None,
            "server": self.server or None,
            "route_interface": route.interface or None,
            "route_gateway": route.gateway or None,
            "route_table": route.table if route.table not in (0, MAIN_TABLE, _LOCAL) else None,
        }
        return {key: value for key, value in facts.items() if value is not None}


@dataclass(frozen=True)
class Absent:
    """IMDS answered 404: the document does not exist."""

    like_ec2: bool = True
    """Whether the answer has the header that EC2's IMDS sends with each answer to a token, its 404 included."""


@dataclass(frozen=True)
class Signs:
    """What shows whether it is this instance's IMDS that answers; only in polls that read the identity document."""

    firmware_id: str | None = None
    """The instance id in this machine's firmware; None if it has none, or for an endpoint on loopback."""
    is_local_address: bool = False
    """Whether IMDS's address is one of this host's own. Loopback is not meant."""
    has_identity: bool = True
    """Whether there is an identity document; every EC2 instance has one."""


@dataclass(frozen=True)
class ProfileInfo:
    """``iam/info``: the instance profile, as EC2 reports it."""

    code: str | None
    """``Success``, ``InstanceProfileNotFound``, another code of AWS; None if the document has none."""
    without_role: bool
    """The Message is that the profile does not contain a role. The Code is ``Success`` in this case."""
    name: str | None
    """The profile's name: the last segment of its ARN."""
    arn: str | None
    id: str | None
    """``AIPA…``; from the Message where the profile was not found."""
    last_updated: datetime | None


@dataclass(frozen=True)
class RoleListing:
    """``iam/security-credentials/``: the role that IMDS serves. Its name, never the profile's."""

    role: str
    """The first line, as the Go and Ruby SDKs read it."""
    roles: int = 1
    """Number of lines. More than one is not normal."""


@dataclass(frozen=True)
class Credentials:
    """``iam/security-credentials/<role>`` without its secrets."""

    role: str
    code: str | None
    """As served; None if the document has none, which botocore accepts."""
    last_updated: datetime | None
    expiration: datetime | None
    fingerprint: str | None
    """8 hex digits of SHA-256 of the access key id: enough to distinguish two sets, too few to identify one."""
    missing: tuple[str, ...]
    """The names of the fields that SDKs need and that are absent, empty or unreadable."""


@dataclass(frozen=True)
class RoleBinding:
    """Which role and instance profile an instance has; None for what is not known."""

    role: str | None = None
    instance_profile: str | None = None
    instance_profile_id: str | None = None


@dataclass(frozen=True)
class Identity:
    """The instance, by its identity document."""

    instance_id: str
    region: str | None = None
    account_id: str | None = None
    pending_time: datetime | None = None
    """When the instance was last launched or started."""


@dataclass(frozen=True)
class Tags:
    """The role and instance profile that the tags expect; None without such a tag, or if IMDS serves none."""

    role: str | None = None
    instance_profile: str | None = None


@dataclass(frozen=True)
class Unanswered:
    """One poll that got no session token, and so could send no other request."""

    failure: Failure
    date: datetime | None = None
    """IMDS's clock (`Date`), if an answer had one."""
    dropped_packets: int | None = None
    """Packets to link-local addresses that EC2 has dropped at the interface that leads to IMDS, since its driver was
    loaded; None if the driver does not count them."""
    host: str = ""
    """The address of IMDS that was used."""


@dataclass(frozen=True)
class Answered:
    """One poll that got a session token. The two documents are two independent verdicts."""

    info: ProfileInfo | Absent | Failure
    listing: RoleListing | Absent | Failure
    credentials: Credentials | Absent | Failure | None
    """None if the listing named no role."""
    identity: Identity | None = None
    """Only in polls that requested it."""
    signs: Signs | None = None
    """Likewise."""
    tags: Tags | None = None
    """Only in polls that requested them and got an answer."""
    date: datetime | None = None
    """IMDS's clock (`Date` of the last answer), one-second resolution."""
    dropped_packets: int | None = None
    """As in `Unanswered`."""
    proxy: str | None = None
    """The server's name of a proxy that shows itself in an answer, possibly empty; None if none does."""
    host: str = ""
    """The address of IMDS that was used."""


Observation = Union[Answered, Unanswered]
"""What one poll observed."""
