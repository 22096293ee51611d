"""The nouns: what IMDS was seen to say, what that means, and what happened.

Values only: no I/O, no clock, no judgement.
No secret is an attribute of anything here: `SecretAccessKey`, `Token` and `AccessKeyId` end in `documents`.
The members' values are the contract (metric labels, journal fields, JSON): never rename one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Mapping, Optional, Tuple, Union

from rolewatch.faults import Fault

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
    "clock_offset_seconds",
    "confirmed",
)
"""The closed set of evidence keys, in the order in which they are shown. The journal's allow-list."""


FIRST_MOMENT = datetime.min.replace(tzinfo=timezone.utc)
LAST_MOMENT = datetime.max.replace(tzinfo=timezone.utc)
"""The ends of the calendar that `datetime` has: the years 1 and 9999. IMDS and a clock may show either."""


def shift(moment: datetime, seconds: float) -> datetime:
    """Return the time *seconds* after *moment*, or the end of the calendar where that is beyond it. Never raises."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return LAST_MOMENT if seconds > 0 else FIRST_MOMENT


def rfc3339(moment: datetime) -> str:
    """Return *moment* as RFC 3339 in UTC, to the second: ``2026-11-23T17:31:25Z``."""
    return moment.astimezone(timezone.utc).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


class State(str, Enum):
    """The overall verdict on the instance-role credentials; exactly one holds."""

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
    """IMDS does not tell."""


class Phase(str, Enum):
    """How far a request to IMDS came."""

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

    @classmethod
    def named(cls, value: Scalar) -> Reason:
        """Return the member whose value is *value*, as evidence holds it. Raise `KeyError` where there is none."""
        return {member.value: member for member in cls}[str(value)]

    # connect: measured on Linux with routes and nftables rules of each kind (tests/integration/test_errno_table.py)
    REFUSED = ("refused", FailureLabel.CONNECT)
    """ECONNREFUSED: a firewall REJECT, or nothing listens."""
    NO_ROUTE = ("no_route", FailureLabel.CONNECT)
    """ENETUNREACH: no route to the address."""
    HOST_UNREACHABLE = ("host_unreachable", FailureLabel.CONNECT)
    """EHOSTUNREACH: an `unreachable` route, no neighbour that answers, or a REJECT with admin-prohibited."""
    PROHIBITED = ("prohibited", FailureLabel.CONNECT)
    """EACCES: a `prohibit` route, such as systemd-imdsd's lock for unprivileged processes; or SELinux."""
    BLACKHOLE = ("blackhole", FailureLabel.CONNECT)
    """EINVAL: a `blackhole` route."""
    FILTERED = ("filtered", FailureLabel.CONNECT)
    """EPERM: a filter of system calls or of the control group refused the connection."""
    CONNECT_ERROR = ("connect_error", FailureLabel.CONNECT)
    """Any other errno while connecting."""
    SWITCHED_OFF = ("switched_off", FailureLabel.CONNECT)
    """AWS_EC2_METADATA_DISABLED is set: nothing was asked."""
    CONNECT_TIMEOUT = ("connect_timeout", FailureLabel.TIMEOUT)
    """No answer to the SYN: a firewall DROP, or the link-local packet budget is used up."""

    NO_ANSWER = ("no_answer", FailureLabel.TIMEOUT)
    """Connected, and not one byte of an answer came in time. On the token: the hop limit, most often."""
    SLOW = ("slow", FailureLabel.TIMEOUT)
    """An answer began, and was not complete in time; or the poll's time was used up before it was asked for."""
    RESET = ("reset", FailureLabel.HTTP_ERROR)
    """The connection was closed or reset before the answer was complete."""
    FORBIDDEN = ("forbidden", FailureLabel.FORBIDDEN)
    """403. On the token: the IMDS endpoint is disabled."""
    UNAUTHORIZED = ("unauthorized", FailureLabel.UNAUTHORIZED)
    """401, with a token that was just issued."""
    THROTTLED = ("throttled", FailureLabel.THROTTLED)
    """429, or 503."""
    SERVER_ERROR = ("server_error", FailureLabel.HTTP_ERROR)
    """Any other 5xx."""
    UNEXPECTED_STATUS = ("unexpected_status", FailureLabel.HTTP_ERROR)
    """A status that IMDS does not give here; redirects are among them and are not followed."""
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


@dataclass(frozen=True)
class Moment:
    """What the clocks said at one look. The only form in which time travels."""

    utc: datetime
    """Local wall clock, aware, UTC. May be wrong."""
    uptime: float
    """Seconds since boot, suspended time included (CLOCK_BOOTTIME). Never goes backwards."""


@dataclass(frozen=True)
class Failure:
    """A request to IMDS that gave no usable answer, with the evidence."""

    phase: Phase
    reason: Reason
    document: str = ""
    """The path below ``/latest/`` that was asked for, without the role's name."""
    errno: Optional[int] = None
    status: Optional[int] = None

    @property
    def evidence(self) -> Evidence:
        """The failure as evidence."""
        facts = {
            "phase": self.phase.value,
            "reason": self.reason.value,
            "errno": self.errno,
            "http_status": self.status,
            "document": self.document or None,
        }
        return {key: value for key, value in facts.items() if value is not None}


@dataclass(frozen=True)
class Absent:
    """IMDS said 404: there is none, and that is an answer."""


@dataclass(frozen=True)
class ProfileInfo:
    """``iam/info``: what EC2 says of the instance profile."""

    code: Optional[str]
    """``Success``, ``InstanceProfileNotFound``, another word of AWS's; None where the document has none."""
    without_role: bool
    """The Message says that the profile does not contain a role. The Code is ``Success`` then!"""
    name: Optional[str]
    """The profile's name: the last segment of its ARN."""
    arn: Optional[str]
    id: Optional[str]
    """``AIPA…``; from the Message where the profile was not found."""
    last_updated: Optional[datetime]


@dataclass(frozen=True)
class RoleListing:
    """``iam/security-credentials/``: the role that IMDS serves. Its name, never the profile's."""

    role: str
    """The first line, as the Go and Ruby SDKs read it."""
    roles: int = 1
    """How many lines there were. More than one is not normal."""


@dataclass(frozen=True)
class Credentials:
    """``iam/security-credentials/<role>`` without its secrets."""

    role: str
    code: Optional[str]
    """As served; None where the document has none, which botocore accepts."""
    last_updated: Optional[datetime]
    expiration: Optional[datetime]
    fingerprint: Optional[str]
    """8 hex digits of SHA-256 of the access key id: tells two sets apart and identifies none."""
    missing: Tuple[str, ...]
    """The names of the fields that SDKs need and that are absent, empty or unreadable."""


@dataclass(frozen=True)
class Identity:
    """What the instance identity document says of the instance."""

    instance_id: str
    region: Optional[str] = None
    account_id: Optional[str] = None
    pending_time: Optional[datetime] = None
    """When the instance was last launched or started."""


@dataclass(frozen=True)
class Tags:
    """What the instance's tags expect. None where there is no such tag, or IMDS serves no tags."""

    role: Optional[str] = None
    instance_profile: Optional[str] = None


@dataclass(frozen=True)
class Unanswered:
    """One poll that got no session token: nothing about the role could be asked."""

    failure: Failure
    date: Optional[datetime] = None
    """IMDS's clock (`Date`), where an answer carried one."""


@dataclass(frozen=True)
class Answered:
    """One poll that got a session token. The two documents are two independent verdicts."""

    info: Union[ProfileInfo, Absent, Failure]
    listing: Union[RoleListing, Absent, Failure]
    credentials: Union[Credentials, Absent, Failure, None]
    """None where the listing named no role to ask for."""
    identity: Optional[Identity] = None
    """Only in polls that asked for it."""
    tags: Optional[Tags] = None
    """Only in polls that asked for them and were answered."""
    date: Optional[datetime] = None
    """IMDS's clock (`Date` of the last answer), one-second resolution."""


Observation = Union[Answered, Unanswered]
"""What one poll saw."""


@dataclass(frozen=True)
class Finding:
    """One fault that holds, as seen in one look, with what it rests on."""

    fault: Fault
    evidence: Evidence = field(default_factory=dict)


class Told(str, Enum):
    """What one look says about whether there are usable credentials."""

    USABLE = "usable"
    UNUSABLE = "unusable"
    UNTOLD = "untold"
    PENDING = "pending"
    """Not there yet, and it is too early after boot to call that a fault."""


@dataclass(frozen=True)
class Verdict:
    """What one observation means. `track` turns verdicts into states and events."""

    findings: Tuple[Finding, ...]
    """Every fault that holds, in the order of `Fault`."""
    untold: Tuple[Fault, ...]
    """The faults on which this observation is silent: they neither hold nor do they not."""
    credentials: Told
    clock_offset: Optional[float]
    """Local clock minus IMDS's, in seconds; None where no answer had a `Date`."""


@dataclass(frozen=True)
class ActiveFault:
    """A fault that stands, after debouncing."""

    fault: Fault
    since: datetime
    """When it was first seen, by IMDS's clock where that is known. Survives a restart of the daemon."""
    evidence: Evidence


@dataclass(frozen=True)
class Snapshot:
    """Everything that the publishers may tell after one poll."""

    moment: Moment
    state: State
    state_since: datetime
    faults: Tuple[ActiveFault, ...]
    usable: Optional[bool]
    """Whether the last credentials told are well-formed and unexpired; None where nothing was told yet."""
    role: Optional[str] = None
    instance_profile: Optional[str] = None
    instance_profile_id: Optional[str] = None
    expected_role: Tuple[str, ...] = ()
    """The patterns in force, from the settings or the instance tag."""
    expected_instance_profile: Tuple[str, ...] = ()
    expiration: Optional[datetime] = None
    """Of the credentials served last; None once IMDS has withdrawn them."""
    last_updated: Optional[datetime] = None
    rotation_interval: Optional[float] = None
    """The learned cadence in seconds; None while too few rotations were seen."""
    overdue: Optional[datetime] = None
    """From when on a successor of that set is overdue; None where its dates are not known."""
    clock_offset: Optional[float] = None
    identity: Optional[Identity] = None
    polls: int = 0
    """Polls ended since the daemon started."""
    failures: Mapping[FailureLabel, int] = field(default_factory=dict)
    """Polls that yielded no usable answer, since the daemon started."""
    rotations: int = 0
    """Changes of the credential set since the daemon started."""
    last_success: Optional[datetime] = None
    """When the last poll that yielded a credentials document ended."""
    poll_duration: float = 0.0
    """Wall seconds of the last poll."""
    poll_interval: float = 0.0
    """The nominal interval between polls, in seconds."""


class EventKind(str, Enum):
    """The kinds of event that are told. Past tense; each has a journal MESSAGE_ID."""

    STARTED = "started"
    STOPPING = "stopping"
    STATE_CHANGED = "state_changed"
    FAULT_RAISED = "fault_raised"
    FAULT_CLEARED = "fault_cleared"
    FAULT_PERSISTS = "fault_persists"
    ROLE_CHANGED = "role_changed"
    CREDENTIALS_ROTATED = "credentials_rotated"
    POLL_FAILED = "poll_failed"
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


@dataclass(frozen=True)
class Event:
    """Something that happened, once, to be told by the journal."""

    kind: EventKind
    level: Level
    message: str
    """One English sentence for a person. Not to be parsed."""
    fault: Optional[Fault] = None
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    """Named facts; every key is one of `EVENT_FIELDS`."""


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


@dataclass(frozen=True)
class Report:
    """What one turn of the loop hands to every publisher."""

    snapshot: Snapshot
    events: Tuple[Event, ...] = ()


@dataclass(frozen=True)
class AgentStatus:
    """How the agent itself fares: the figures about rolewatch that rolewatch exports."""

    config_ok: bool
    """Whether the last configuration load or reload was successful."""
    config_loaded: datetime
    """When the settings in force were loaded."""
    log_messages: Mapping[Level, int] = field(default_factory=dict)
    """Events told, by level."""
    log_dropped: int = 0
    """Events that could not be written anywhere."""
    publisher_failures: Mapping[str, int] = field(default_factory=dict)
    """How often each publisher failed, by its name; every publisher has an entry."""
