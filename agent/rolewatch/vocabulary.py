"""Every closed set but the faults: states, reasons, events, and the names of evidence and fields.

The values are the contract (metric labels, journal fields, JSON): never rename one. No prose, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Union


class Document(str, Enum):
    """The documents that one poll reads, by their path below ``/latest/``. The role's name is not part of it."""

    INFO = "meta-data/iam/info"
    LISTING = "meta-data/iam/security-credentials/"
    CREDENTIALS = "meta-data/iam/security-credentials/<role>"


class Who(str, Enum):
    """Who can fix it."""

    HOST = "an administrator of this host (root)"
    EC2 = "someone who can change the instance in EC2"
    IAM = "someone who can change IAM in the account"


Scalar = Union[str, int, float]
"""What a piece of evidence may be."""

Evidence = Mapping[str, Scalar]
"""Named facts that a finding rests on; every key is one of `EVIDENCE_KEYS`."""

EVIDENCE_KEYS = (
    "phase",
    "reason",
    "errno",
    "http_status",
    "document",
    "responder",
    "server",
    "answering_instance_id",
    "route_interface",
    "route_gateway",
    "route_table",
    "code",
    "role",
    "roles",
    "expected_role",
    "instance_profile",
    "instance_profile_id",
    "expected_instance_profile",
    "missing_fields",
    "expiration",
    "last_updated",
    "age_seconds",
    "allowed_age_seconds",
    "rotation_interval_seconds",
    "remaining_seconds",
    "clock_offset_seconds",
    "hop_limit",
    "needed_hop_limit",
    "confirmed",
)
"""The closed set of evidence keys, in the order in which they are shown. The journal's allow-list."""


class State(str, Enum):
    """The overall verdict on the instance-role credentials: exactly one at a time."""

    @property
    def exit_code(self) -> int:
        """Exit status of ``rolewatch check`` and of a Nagios plugin. The contract."""
        return {State.OK: 0, State.DEGRADED: 1, State.FAILED: 2}.get(self, 3)

    STARTING = "starting"
    """Nothing is known yet: before the first verdict, or in the boot grace."""
    OK = "ok"
    """Usable credentials, nothing wrong."""
    DEGRADED = "degraded"
    """Usable credentials, but something is wrong or will break."""
    FAILED = "failed"
    """No usable credentials."""
    UNKNOWN = "unknown"
    """IMDS gave no usable answer."""


class Phase(str, Enum):
    """How far a request to IMDS got."""

    CONNECT = "connect"
    TOKEN = "token"  # noqa: S105 - the name of a phase
    DOCUMENT = "document"


class FailureLabel(str, Enum):
    """The closed, coarse set that labels `rolewatch_poll_failures_total`."""

    CONNECT = "connect"
    TIMEOUT = "timeout"
    FORBIDDEN = "forbidden"
    UNAUTHORIZED = "unauthorized"
    THROTTLED = "throttled"
    HTTP_ERROR = "http_error"
    MALFORMED = "malformed"


class Reason(str, Enum):
    """Why a request to IMDS gave no usable answer: the fine-grained word, for evidence."""

    label: FailureLabel

    def __new__(cls, value: str, label: FailureLabel) -> Reason:
        """Tie the coarse metric label to the member, so that the two cannot drift apart."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    # connect: measured on Linux with routes and nftables rules of each kind (tests/integration/test_errno_table.py)
    REFUSED = ("refused", FailureLabel.CONNECT)
    """ECONNREFUSED: a firewall REJECT, or nothing listens."""
    NO_ROUTE = ("no_route", FailureLabel.CONNECT)
    """ENETUNREACH: no route to the address."""
    NO_IPV4 = ("no_ipv4", FailureLabel.CONNECT)
    """ENETUNREACH, and this host has IPv6 only; IMDS's IPv6 address did not answer, or may not be used."""
    HOST_UNREACHABLE = ("host_unreachable", FailureLabel.CONNECT)
    """EHOSTUNREACH: an `unreachable` route."""
    WRONG_ROUTE = ("wrong_route", FailureLabel.CONNECT)
    """No answer, and the kernel sends elsewhere: the next hop is not there, or packets leave the default interface."""
    LOCAL_ADDRESS = ("local_address", FailureLabel.CONNECT)
    """The address of IMDS is one of this host's own, and nothing listens there."""
    REJECTED = ("rejected", FailureLabel.CONNECT)
    """EHOSTUNREACH or ENETUNREACH though route and next hop are well: a REJECT, here or on the way."""
    PROHIBITED = ("prohibited", FailureLabel.CONNECT)
    """EACCES by a `prohibit` route, such as systemd-imdsd's lock for unprivileged processes."""
    CONFINED = ("confined", FailureLabel.CONNECT)
    """EACCES, and no route prohibits: SELinux, AppArmor, Landlock or another sandbox."""
    NO_FREE_PORT = ("no_free_port", FailureLabel.CONNECT)
    """EADDRNOTAVAIL: all local ports for new connections are in use."""
    BLACKHOLE = ("blackhole", FailureLabel.CONNECT)
    """EINVAL: a `blackhole` route."""
    FILTERED = ("filtered", FailureLabel.CONNECT)
    """EPERM: a filter of system calls or of the control group refused the connection."""
    CONNECT_ERROR = ("connect_error", FailureLabel.CONNECT)
    """Any other errno while connecting."""
    SWITCHED_OFF = ("switched_off", FailureLabel.CONNECT)
    """AWS_EC2_METADATA_DISABLED is set: no request was sent."""
    CONNECT_TIMEOUT = ("connect_timeout", FailureLabel.TIMEOUT)
    """No answer to the SYN: a firewall DROP, or the link-local packet budget is used up."""

    NO_ANSWER = ("no_answer", FailureLabel.TIMEOUT)
    """Connected, and not one byte of an answer came in time. On the token: the hop limit, most often."""
    SLOW = ("slow", FailureLabel.TIMEOUT)
    """An answer began, and was not complete in time; or the poll's time was used up before the request."""
    RESET = ("reset", FailureLabel.HTTP_ERROR)
    """The connection was closed or reset before the answer was complete."""
    FORBIDDEN = ("forbidden", FailureLabel.FORBIDDEN)
    """403. On the token: the IMDS endpoint is disabled."""
    UNAUTHORIZED = ("unauthorized", FailureLabel.UNAUTHORIZED)
    """401, with a token that was just issued, or to the request for one."""
    THROTTLED = ("throttled", FailureLabel.THROTTLED)
    """429, or 503 from EC2's own IMDS."""
    SERVER_ERROR = ("server_error", FailureLabel.HTTP_ERROR)
    """Any other 5xx."""
    UNEXPECTED_STATUS = ("unexpected_status", FailureLabel.HTTP_ERROR)
    """A status that IMDS does not use here. Redirects are among them; they are not followed."""
    EMPTY = ("empty", FailureLabel.MALFORMED)
    """A 200 without a body; seen when IMDS is throttled."""
    TRUNCATED = ("truncated", FailureLabel.MALFORMED)
    """Fewer bytes than Content-Length promised."""
    TOO_LARGE = ("too_large", FailureLabel.MALFORMED)
    """More bytes than any document of IMDS has."""
    MALFORMED = ("malformed", FailureLabel.MALFORMED)
    """Not HTTP, not UTF-8, not JSON, not an object, or not a name."""
    AMBIGUOUS = ("ambiguous", FailureLabel.MALFORMED)
    """The listing names more than one role; an instance has at most one."""


class Responder(str, Enum):
    """What answers in the place of this instance's IMDS."""

    PROXY = "proxy"
    """A proxy between this host and IMDS."""
    OTHER_INSTANCE = "other_instance"
    """The IMDS of another instance, by its identity document and this machine's firmware."""
    LOCAL_ADDRESS = "local_address"
    """A program on this host, which has IMDS's address."""
    NOT_EC2 = "not_ec2"
    """A role proxy, an emulator, or the metadata service of another cloud."""


NO_ROLE_EXPECTED = "none"
"""What evidence has as the expected role where no role is expected."""

SESSIONS_REVOKED = "AccessDenied"
"""The code in the evidence of credentials that STS accepts and a policy of the role denies: what each call gets."""


class CredentialStatus(str, Enum):
    """What one poll shows of whether there are usable credentials."""

    USABLE = "usable"
    UNUSABLE = "unusable"
    UNDETERMINED = "undetermined"
    """IMDS gave no usable answer about them."""
    PENDING = "pending"
    """Missing, but it is too early after boot to call that a fault."""
    NOT_EXPECTED = "not_expected"
    """There are none, as the settings or the instance's tag say."""


class EventKind(str, Enum):
    """The kinds of event. Past tense; each has a journal MESSAGE_ID."""

    STARTED = "started"
    STOPPING = "stopping"
    STATE_CHANGED = "state_changed"
    FAULT_RAISED = "fault_raised"
    FAULT_CLEARED = "fault_cleared"
    FAULT_PERSISTS = "fault_persists"
    ROLE_CHANGED = "role_changed"
    CREDENTIALS_ROTATED = "credentials_rotated"
    POLL_FAILED = "poll_failed"
    CONFIG_WARNING = "config_warning"
    CONFIG_RELOADED = "config_reloaded"
    CONFIG_REJECTED = "config_rejected"
    STATE_FILE_IGNORED = "state_file_ignored"
    PUBLISHER_FAILED = "publisher_failed"


class Level(Enum):
    """How much an event matters: syslog's numbers, as the journal's PRIORITY has them."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


SEVERITIES = (Level.CRITICAL, Level.ERROR, Level.WARNING)
"""What a fault may be. Critical: no usable credentials, or soon none. Error: something is wrong now. Warning: something
will break, or rolewatch cannot see."""


EVENT_FIELDS = (
    *EVIDENCE_KEYS,
    "state",
    "previous_state",
    "since",
    "duration_seconds",
    "previous_role",
    "previous_instance_profile",
    "instance_id",
    "region",
    "key_fingerprint",
    "failures",
    "version",
    "listen",
    "endpoint",
    "file",
    "problem",
    "publisher",
)
"""The closed set of event fields. In the journal each is ``ROLEWATCH_`` and the name in upper case."""
