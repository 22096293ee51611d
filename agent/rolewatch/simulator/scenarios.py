"""The one list of scenarios, for simulator, tests, demo and documentation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from enum import Enum

from rolewatch.errors import UsageError
from rolewatch.faults import Fault
from rolewatch.simulator.conditions import (
    HEALTHY,
    Association,
    Conditions,
    Effect,
    Listing,
    NetworkFault,
    Style,
    Target,
)
from rolewatch.simulator.instance import TROUBLESHOOTING
from rolewatch.vocabulary import FailureLabel, Reason, State


class Group(str, Enum):
    """What a scenario shows."""

    HEALTHY = "well"
    """No fault."""
    FAULT = "fault"
    """A fault of the credentials or of IMDS."""
    TRAP = "trap"
    """An unusual state that a careless client misjudges."""
    HOSTILE = "hostile"
    """Responses that no IMDS should send."""


@dataclass(frozen=True)
class Expectation:
    """What rolewatch reports: in a single check, and as a daemon that started in the scenario, after debouncing."""

    state: State = State.OK
    faults: tuple[Fault, ...] = ()
    """Exactly the active faults, in the order of `Fault`."""
    reason: Reason | None = None
    """Why IMDS gave no usable answer; the evidence of the IMDS fault has it."""
    expect_role: tuple[str, ...] = ()
    """The setting ``expect.role`` with which this is true."""

    @property
    def failure(self) -> FailureLabel | None:
        """The label of ``rolewatch_poll_failures_total`` that counts the poll; None: it is not counted."""
        return None if self.reason is None else self.reason.label

    @property
    def exit_code(self) -> int:
        """Exit status of ``rolewatch check``."""
        return self.state.exit_code


@dataclass(frozen=True)
class Scenario:
    """One named state of IMDS and the instance, and what rolewatch reports of it."""

    name: str
    title: str
    """What is the case, in a few words, without a full stop."""
    group: Group
    conditions: Conditions
    expect: Expectation
    note: str = ""
    """More about it, in full sentences."""

    @property
    def command(self) -> str:
        """The command that says what `expect` says."""
        return "rolewatch check" + "".join(f" --expect-role '{each}'" for each in self.expect.expect_role)


def scenario(name: str) -> Scenario:
    """Return the scenario called *name*; a dash counts as an underscore. Raise `UsageError` with the nearest names."""
    wanted = name.strip().lower().replace("-", "_")
    if wanted in _BY_NAME:
        return _BY_NAME[wanted]
    nearest = get_close_matches(wanted, _BY_NAME, n=3) or [each for each in _BY_NAME if wanted and wanted in each][:3]
    hint = f" Did you mean {' or '.join(nearest)}?" if nearest else ""
    message = f"there is no scenario {name[:80]!r}.{hint} `rolewatch simulate --list` lists them."
    raise UsageError(message)


def _network(effect: Effect, target: Target = Target.ANY, **more: float) -> Conditions:
    """Return a healthy instance with one network fault; *more* are fields of `NetworkFault`."""
    return replace(HEALTHY, network_faults=(NetworkFault(effect, target, **more),))  # type: ignore[arg-type]


def _failed(*faults: Fault) -> Expectation:
    return Expectation(State.FAILED, faults)


def _degraded(*faults: Fault) -> Expectation:
    return Expectation(State.DEGRADED, faults)


def _unknown(reason: Reason, fault: Fault = Fault.IMDS_ERROR) -> Expectation:
    return Expectation(State.UNKNOWN, (fault,), reason)


OK = Expectation()
_STILL_BOOTING = timedelta(seconds=30)
_CANNOT_ASSUME = f"EC2 cannot assume the role {{role}}.  Please see documentation at {TROUBLESHOOTING}."
"""As recorded, with two blanks (five recordings of IMDS, 2016-2024)."""

_HEALTHY = (
    Scenario("healthy", "The role's credentials are served and rotated every hour", Group.HEALTHY, HEALTHY, OK),
)

_CHAIN = (
    Scenario(
        "assume_role_unauthorized",
        "The role's trust policy does not let EC2 assume it",
        Group.FAULT,
        replace(HEALTHY, code="AssumeRoleUnauthorizedAccess", message=_CANNOT_ASSUME),
        _failed(Fault.ASSUME_ROLE_UNAUTHORIZED),
        note="iam/info says Success, and the error document has a fresh LastUpdated.",
    ),
    Scenario(
        "instance_profile_without_role",
        "The role was removed from the instance profile",
        Group.FAULT,
        replace(HEALTHY, association=Association.WITHOUT_ROLE, listing=Listing.ABSENT),
        _failed(Fault.INSTANCE_PROFILE_WITHOUT_ROLE),
        note="The Code of iam/info is Success; only its Message shows the fault.",
    ),
    Scenario(
        "instance_profile_without_role_empty_listing",
        "The role was removed from the instance profile; the listing is empty",
        Group.FAULT,
        replace(HEALTHY, association=Association.WITHOUT_ROLE, listing=Listing.EMPTY, profile_named=False),
        _failed(Fault.INSTANCE_PROFILE_WITHOUT_ROLE),
        note="No recording shows whether IMDS responds with 404 or an empty 200 here; emulators disagree.",
    ),
    Scenario(
        "instance_profile_without_role_early",
        "The role was just removed from the instance profile; the old credentials are still served",
        Group.FAULT,
        replace(HEALTHY, association=Association.WITHOUT_ROLE, rotates=False),
        _degraded(Fault.INSTANCE_PROFILE_WITHOUT_ROLE),
        note="The credentials are valid for some more hours: the fault is visible before applications fail.",
    ),
    Scenario(
        "instance_profile_not_found",
        "The instance profile was deleted",
        Group.FAULT,
        replace(HEALTHY, association=Association.NOT_FOUND, listing=Listing.ABSENT),
        _failed(Fault.INSTANCE_PROFILE_NOT_FOUND),
        note="iam/info has neither ARN nor id; its Message has the id.",
    ),
    Scenario(
        "instance_profile_not_found_early",
        "The instance profile was just deleted; the old credentials are still served",
        Group.FAULT,
        replace(HEALTHY, association=Association.NOT_FOUND, rotates=False),
        _degraded(Fault.INSTANCE_PROFILE_NOT_FOUND),
    ),
    Scenario(
        "instance_profile_detached",
        "No instance profile is associated with the instance",
        Group.FAULT,
        replace(HEALTHY, association=Association.DETACHED),
        _failed(Fault.INSTANCE_PROFILE_DETACHED),
    ),
    Scenario(
        "credentials_missing",
        "The role is listed, but there is no credentials document",
        Group.FAULT,
        replace(HEALTHY, has_document=False),
        _failed(Fault.CREDENTIALS_MISSING),
    ),
    Scenario(
        "credentials_missing_no_listing",
        "The instance profile has no fault, but no role is listed",
        Group.FAULT,
        replace(HEALTHY, listing=Listing.ABSENT),
        _failed(Fault.CREDENTIALS_MISSING),
    ),
    Scenario(
        "credentials_error",
        "The credentials document says Failed",
        Group.FAULT,
        replace(HEALTHY, code="Failed", message="The credentials of {role} could not be made."),
        _failed(Fault.CREDENTIALS_ERROR),
        note="AssumeRoleUnauthorizedAccess is the only error Code in the recordings; AWS's list is open.",
    ),
    Scenario(
        "credentials_incomplete",
        "The credentials document says Success and has no SecretAccessKey",
        Group.FAULT,
        replace(HEALTHY, missing=("SecretAccessKey",)),
        _failed(Fault.CREDENTIALS_ERROR),
    ),
    Scenario(
        "credentials_blank",
        "The credentials document says Success and its Token is empty",
        Group.FAULT,
        replace(HEALTHY, blank=("Token",)),
        _failed(Fault.CREDENTIALS_ERROR),
    ),
    Scenario(
        "rotation_overdue",
        "The rotation is stuck; the credentials are four hours old and valid for two more",
        Group.FAULT,
        replace(HEALTHY, age=timedelta(hours=4), lifetime=timedelta(hours=6, minutes=2), lifetime_spread=timedelta(0)),
        _degraded(Fault.ROTATION_OVERDUE),
    ),
    Scenario(
        "credentials_expired",
        "The credentials expired an hour ago",
        Group.FAULT,
        replace(HEALTHY, age=timedelta(hours=7, minutes=2), lifetime_spread=timedelta(0)),
        _failed(Fault.CREDENTIALS_EXPIRED),
    ),
    Scenario(
        "credentials_expired_short_lived",
        "Credentials that live for 15 minutes expired five minutes ago",
        Group.FAULT,
        replace(HEALTHY, age=timedelta(minutes=20), lifetime=timedelta(minutes=15), lifetime_spread=timedelta(0)),
        _failed(Fault.CREDENTIALS_EXPIRED),
    ),
    Scenario(
        "role_mismatch",
        "The role is not the expected one",
        Group.FAULT,
        replace(HEALTHY, role="admin-break-glass"),
        Expectation(State.DEGRADED, (Fault.ROLE_MISMATCH,), expect_role=("web-*",)),
        note="Without an expected role nothing is wrong: `rolewatch check --expect-role 'web-*'`.",
    ),
    Scenario(
        "clock_skew",
        "The local clock is ten minutes ahead of that of IMDS",
        Group.FAULT,
        replace(HEALTHY, imds_ahead=timedelta(minutes=-10)),
        _degraded(Fault.CLOCK_SKEW),
    ),
)

_IMDS = (
    Scenario(
        "imds_unreachable",
        "Connections to IMDS are refused",
        Group.FAULT,
        replace(HEALTHY, listening=False),
        _unknown(Reason.REFUSED, Fault.IMDS_UNREACHABLE),
    ),
    Scenario(
        "imds_hop_limit",
        "The token request gets no response: the hop limit is too low for a container",
        Group.FAULT,
        replace(HEALTHY, network_faults=(NetworkFault(Effect.SILENCE, Target.TOKEN),), tokens_required=False),
        _unknown(Reason.NO_ANSWER, Fault.IMDS_HOP_LIMIT),
        note="Requests without a token get responses: SDKs fall back to IMDSv1 here, without a message.",
    ),
    Scenario(
        "imds_disabled",
        "The IMDS endpoint is disabled",
        Group.FAULT,
        replace(HEALTHY, enabled=False),
        _unknown(Reason.FORBIDDEN, Fault.IMDS_DISABLED),
    ),
    Scenario(
        "imds_intercepted",
        "A proxy answers in the place of IMDS, and refuses with 403",
        Group.FAULT,
        _network(Effect.PROXY, Target.ANY, status=403),
        _unknown(Reason.FORBIDDEN, Fault.IMDS_INTERCEPTED),
        note="Its own headers show it: IMDS itself refuses with 403, too, where it is disabled.",
    ),
    Scenario(
        "imds_intercepted_role_proxy",
        "A role proxy (kiam, kube2iam) has no role for this host: a plain 404 in the iam tree",
        Group.FAULT,
        replace(
            HEALTHY,
            network_faults=(
                NetworkFault(Effect.ROLE_PROXY, Target.INFO),
                NetworkFault(Effect.ROLE_PROXY, Target.LISTING),
            ),
        ),
        _failed(Fault.IMDS_INTERCEPTED),
        note="EC2's own 404 has the header of the token's life. Attaching another instance profile changes nothing.",
    ),
    Scenario(
        "imds_intercepted_emulator",
        "Credentials are served, and the identity document that every EC2 instance has is missing",
        Group.FAULT,
        _network(Effect.ROLE_PROXY, Target.IDENTITY),
        _degraded(Fault.IMDS_INTERCEPTED),
    ),
    Scenario(
        "imds_intercepted_serving_proxy",
        "A proxy passes requests to IMDS and its answers back, and names itself in them",
        Group.FAULT,
        _network(Effect.PROXY, Target.ANY, status=200),
        _degraded(Fault.IMDS_INTERCEPTED),
        note="Programs get the role's credentials, as long as the proxy runs. `accept_responder` accepts it.",
    ),
    Scenario(
        "imds_proxy_without_backend",
        "A proxy has nobody behind it (503)",
        Group.FAULT,
        _network(Effect.PROXY, Target.ANY, status=503),
        _unknown(Reason.SERVER_ERROR, Fault.IMDS_INTERCEPTED),
    ),
    Scenario(
        "imds_unauthorized",
        "Every token is refused with 401",
        Group.FAULT,
        _network(Effect.STATUS, Target.DOCUMENTS, status=401),
        _unknown(Reason.UNAUTHORIZED),
    ),
    Scenario(
        "imds_throttled",
        "IMDS throttles with 429",
        Group.FAULT,
        _network(Effect.STATUS, Target.ANY, status=429),
        _unknown(Reason.THROTTLED),
    ),
    Scenario(
        "imds_unavailable",
        "IMDS is unavailable (503)",
        Group.FAULT,
        _network(Effect.STATUS, Target.ANY, status=503),
        _unknown(Reason.THROTTLED),
    ),
    Scenario(
        "imds_server_error",
        "IMDS responds with 500 for the credentials",
        Group.FAULT,
        _network(Effect.STATUS, Target.CREDENTIALS, status=500),
        _unknown(Reason.SERVER_ERROR),
    ),
    Scenario(
        "imds_empty",
        "The listing is empty, but the instance profile has no fault",
        Group.FAULT,
        _network(Effect.EMPTY, Target.LISTING),
        _unknown(Reason.EMPTY),
        note="Observed on real instances when link-local packets are dropped. It does not mean that there is no role.",
    ),
    Scenario(
        "imds_malformed",
        "The credentials document is not JSON",
        Group.FAULT,
        _network(Effect.MALFORMED, Target.CREDENTIALS),
        _unknown(Reason.MALFORMED),
    ),
    Scenario(
        "imds_html",
        "The listing is an HTML page with status 200",
        Group.FAULT,
        _network(Effect.HTML, Target.LISTING),
        _unknown(Reason.MALFORMED),
    ),
    Scenario(
        "imds_truncated",
        "The credentials document is cut off in the middle",
        Group.FAULT,
        _network(Effect.TRUNCATED, Target.CREDENTIALS),
        _unknown(Reason.TRUNCATED),
    ),
    Scenario(
        "imds_info_malformed",
        "iam/info is not JSON; the credentials have no fault",
        Group.FAULT,
        _network(Effect.MALFORMED, Target.INFO),
        Expectation(State.DEGRADED, (Fault.IMDS_ERROR,), Reason.MALFORMED),
    ),
    Scenario(
        "two_roles",
        "The listing names two roles",
        Group.FAULT,
        replace(HEALTHY, second_role="web-server-2"),
        Expectation(State.DEGRADED, (Fault.IMDS_ERROR,), Reason.AMBIGUOUS),
        note="An instance has at most one role. The first one's credentials are usable.",
    ),
)

_TRAPS = (
    Scenario(
        "starting",
        "The instance was started half a minute ago and has no iam subtree yet",
        Group.TRAP,
        replace(HEALTHY, association=Association.DETACHED, uptime=_STILL_BOOTING),
        Expectation(State.STARTING),
        note="It becomes a fault when the boot grace ends.",
    ),
    Scenario(
        "starting_without_credentials",
        "The instance was started half a minute ago; the role is listed, its credentials are not there yet",
        Group.TRAP,
        replace(HEALTHY, has_document=False, uptime=_STILL_BOOTING),
        Expectation(State.STARTING),
    ),
    Scenario(
        "role_swapped",
        "The instance profile holds another role, served under another path",
        Group.TRAP,
        replace(HEALTHY, role="web-server-v2"),
        OK,
        note="The old role's path is 404: a client that caches the role finds no credentials. Enter it from `healthy`.",
    ),
    Scenario(
        "other_profile_name",
        "Instance profile and role have different names",
        Group.TRAP,
        replace(HEALTHY, instance_profile="iac_admin", role="IAC-ProvisioningFullAccess"),
        OK,
    ),
    Scenario(
        "odd_role_name",
        "The role's name has every character that IAM allows",
        Group.TRAP,
        replace(HEALTHY, role="App+web=1,eu.west@prod-_"),
        OK,
    ),
    Scenario(
        "rotation_stopped",
        "The rotation stops now; the credentials are fresh",
        Group.TRAP,
        replace(HEALTHY, rotates=False),
        OK,
        note="It becomes rotation_overdue after two rotation intervals (about two hours) if the interval was learned.",
    ),
    Scenario(
        "late_rotation",
        "The credentials are 5 h 50 min old and valid for 6 h 02 min",
        Group.TRAP,
        replace(HEALTHY, age=timedelta(hours=5, minutes=50), lifetime_spread=timedelta(0)),
        _degraded(Fault.ROTATION_OVERDUE),
        note="A single check cannot know better. The daemon learns the interval of a platform that rotates so late.",
    ),
    Scenario(
        "short_lived",
        "The credentials are valid for 15 minutes and rotated every ten",
        Group.TRAP,
        replace(HEALTHY, lifetime=timedelta(minutes=15), lifetime_spread=timedelta(0), period=timedelta(minutes=10)),
        OK,
    ),
    Scenario(
        "clock_a_day_ahead",
        "The local clock is a day ahead; the credentials have no fault",
        Group.TRAP,
        replace(HEALTHY, imds_ahead=timedelta(days=-1)),
        _degraded(Fault.CLOCK_SKEW),
        note="By the local clock they would have expired.",
    ),
    Scenario(
        "clock_a_day_behind",
        "The local clock is a day behind; the credentials have expired",
        Group.TRAP,
        replace(HEALTHY, imds_ahead=timedelta(days=1), age=timedelta(hours=7, minutes=2), lifetime_spread=timedelta(0)),
        _failed(Fault.CREDENTIALS_EXPIRED, Fault.CLOCK_SKEW),
        note="By the local clock they would be valid.",
    ),
    Scenario(
        "container_roles",
        "ECS serves the credentials of tasks in namespaces of their own",
        Group.TRAP,
        replace(HEALTHY, container_roles=True),
        OK,
    ),
    Scenario(
        "container_roles_only",
        "ECS serves the credentials of tasks, and the instance has no instance profile",
        Group.TRAP,
        replace(HEALTHY, container_roles=True, association=Association.DETACHED),
        _failed(Fault.INSTANCE_PROFILE_DETACHED),
        note="iam-ecs-… and identity-credentials/ do not contain the instance's role.",
    ),
    Scenario(
        "hop_limit_of_one",
        "The hop limit is 1: this host gets tokens, and containers behind a bridge get none",
        Group.TRAP,
        replace(HEALTHY, hop_limit=1),
        OK,
        note="With `[expect] containers = true` it is imds_hop_limit, and the state is degraded.",
    ),
    Scenario(
        "instance_tags",
        "Instance tags are enabled in the metadata, and one names the role",
        Group.TRAP,
        replace(HEALTHY, tags=(("Name", "web 1"), ("ExpectedRole", "{role}"), ("team", "shop/front"))),
        OK,
    ),
    Scenario(
        "lower_case_keys",
        "The keys of the documents are in lower case",
        Group.TRAP,
        replace(HEALTHY, style=Style.LOWER_CASE),
        OK,
    ),
    Scenario(
        "compact_json",
        "The documents are on one line, with their keys in another order",
        Group.TRAP,
        replace(HEALTHY, style=Style.COMPACT),
        OK,
    ),
    Scenario(
        "without_code",
        "The credentials document has all fields and no Code",
        Group.TRAP,
        replace(HEALTHY, code=""),
        OK,
    ),
    Scenario(
        "trailing_newline",
        "Listing and documents end with a newline",
        Group.TRAP,
        replace(HEALTHY, trailing_newline=True),
        OK,
    ),
    Scenario(
        "slow",
        "Every response takes half a second",
        Group.TRAP,
        _network(Effect.LATENCY, Target.ANY, seconds=0.5),
        OK,
    ),
    Scenario(
        "one_unauthorized",
        "One request is refused with 401; a new token solves it",
        Group.TRAP,
        _network(Effect.STATUS, Target.DOCUMENTS, status=401, times=1),
        OK,
    ),
    Scenario(
        "imdsv1_answered",
        "Tokens are optional: requests without one get responses",
        Group.TRAP,
        replace(HEALTHY, tokens_required=False),
        OK,
        note="rolewatch uses IMDSv2 all the same.",
    ),
)

_HOSTILE = (
    Scenario(
        "silent",
        "The request for the credentials gets no response",
        Group.HOSTILE,
        _network(Effect.SILENCE, Target.CREDENTIALS),
        _unknown(Reason.NO_ANSWER),
    ),
    Scenario(
        "drip",
        "The credentials arrive at two bytes per second",
        Group.HOSTILE,
        _network(Effect.DRIP, Target.CREDENTIALS, seconds=0.5),
        _unknown(Reason.SLOW),
        note="A time-out for each read never ends this; a deadline for the whole response does.",
    ),
    Scenario(
        "reset",
        "Every connection is reset",
        Group.HOSTILE,
        _network(Effect.RESET),
        _unknown(Reason.RESET),
    ),
    Scenario(
        "not_http",
        "The credentials arrive without status line and headers",
        Group.HOSTILE,
        _network(Effect.NOT_HTTP, Target.CREDENTIALS),
        _unknown(Reason.MALFORMED),
    ),
    Scenario(
        "invalid_utf8",
        "The credentials document is not UTF-8",
        Group.HOSTILE,
        _network(Effect.INVALID_UTF8, Target.CREDENTIALS),
        _unknown(Reason.MALFORMED),
    ),
    Scenario(
        "huge",
        "The credentials document has ten megabytes",
        Group.HOSTILE,
        _network(Effect.HUGE, Target.CREDENTIALS),
        _unknown(Reason.TOO_LARGE),
    ),
    Scenario(
        "redirect",
        "The credentials are redirected elsewhere",
        Group.HOSTILE,
        _network(Effect.REDIRECT, Target.CREDENTIALS),
        _unknown(Reason.UNEXPECTED_STATUS),
    ),
    Scenario(
        "gzip_nonsense",
        "The credentials have Content-Encoding: gzip, and are not compressed",
        Group.HOSTILE,
        _network(Effect.GZIP, Target.CREDENTIALS),
        _unknown(Reason.MALFORMED),
    ),
    Scenario(
        "endless_headers",
        "The headers of the credentials never end",
        Group.HOSTILE,
        _network(Effect.ENDLESS_HEADERS, Target.CREDENTIALS),
        _unknown(Reason.TOO_LARGE),
    ),
)

SCENARIOS: tuple[Scenario, ...] = _HEALTHY + _CHAIN + _IMDS + _TRAPS + _HOSTILE
"""Every scenario, in the order of the demo."""

_BY_NAME = {each.name: each for each in SCENARIOS}


def catalog() -> list[dict[str, object]]:
    """Return every scenario in the form of ``rolewatch simulate --list --format json``."""
    return [
        {
            "name": each.name,
            "title": each.title,
            "group": each.group.value,
            "state": each.expect.state.value,
            "faults": [fault.value for fault in each.expect.faults],
            "reason": each.expect.reason.value if each.expect.reason else None,
            "expect_role": list(each.expect.expect_role),
            "note": each.note,
        }
        for each in SCENARIOS
    ]
