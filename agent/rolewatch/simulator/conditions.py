"""What the simulated instance is like: values that a scenario declares and `Instance` turns into documents.

`HEALTHY` is an instance without a fault; every scenario is a change of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Association(Enum):
    """The instance profile that EC2 associates with the instance, as ``iam/info`` shows it."""

    ATTACHED = "attached"
    DETACHED = "detached"
    """None: the whole ``iam`` subtree is 404."""
    NOT_FOUND = "not_found"
    """One that was deleted: Code ``InstanceProfileNotFound``."""
    WITHOUT_ROLE = "without_role"
    """One whose role was removed: Code ``Success``, and a Message that says so."""


class Listing(Enum):
    """What ``iam/security-credentials/`` lists."""

    ROLE = "role"
    ABSENT = "absent"
    """404."""
    EMPTY = "empty"
    """200 and no body; one emulator does so for a profile without a role."""


class Style(Enum):
    """How the JSON documents are written."""

    RECORDED = "recorded"
    """As IMDS writes them: two blanks of indent, a blank before the colon (recordings of 2016-2024)."""
    COMPACT = "compact"
    """On one line, keys in another order, as kube2iam writes them."""
    LOWER_CASE = "lower_case"
    """Keys in lower case, which the Rust SDK accepts."""


class Effect(Enum):
    """What a network fault does to a response. The value is printed with the request."""

    LATENCY = "latency"
    """Delay it by `NetworkFault.seconds`."""
    STATUS = "status"
    """Send `NetworkFault.status` instead."""
    PROXY = "proxy"
    """Send `NetworkFault.status` as a proxy does, with headers of its own; with 200, pass on what IMDS sends."""
    ROLE_PROXY = "role_proxy"
    """Send a plain 404 without the headers of EC2, as kiam and kube2iam do where they have no role."""
    SILENCE = "silence"
    """Send nothing, and keep the connection open."""
    RESET = "reset"
    """Reset the connection (RST)."""
    DRIP = "drip"
    """Send one byte every `NetworkFault.seconds`."""
    TRUNCATED = "truncated"
    """Send half of the body, then close the connection."""
    EMPTY = "empty"
    """Send 200 without a body."""
    MALFORMED = "malformed"
    """Cut the body after its last field, with a correct Content-Length: not JSON, but with all secrets in it."""
    HTML = "html"
    """Send an HTML page with status 200."""
    NOT_HTTP = "not_http"
    """Send the body on one line, without status line and headers."""
    INVALID_UTF8 = "invalid_utf8"
    """Insert bytes that UTF-8 does not have."""
    HUGE = "huge"
    """Append ten megabytes to the body."""
    REDIRECT = "redirect"
    """Send a 302 to a path that no client may ask for."""
    GZIP = "gzip"
    """Send Content-Encoding: gzip with a body that is not."""
    ENDLESS_HEADERS = "endless_headers"
    """Send header after header, until the client hangs up."""


class Target(Enum):
    """Which requests a network fault affects."""

    ANY = "any"
    TOKEN = "token"  # noqa: S105 - the name of a request
    DOCUMENTS = "documents"
    """All but the token."""
    INFO = "info"
    LISTING = "listing"
    CREDENTIALS = "credentials"
    IDENTITY = "identity"


@dataclass(frozen=True)
class NetworkFault:
    """One effect, and the requests that it affects."""

    effect: Effect
    target: Target = Target.ANY
    seconds: float = 1.0
    """Of LATENCY and DRIP. Real seconds, at any speed."""
    status: int = 500
    """Of STATUS."""
    times: int | None = None
    """How many requests it affects after the scenario was entered; None: all."""


@dataclass(frozen=True)
class Conditions:
    """Everything in which one simulated instance may differ from another. The defaults are a healthy one."""

    instance_profile: str = "web-server"
    role: str = "web-server"
    second_role: str = ""
    """Listed and served besides the role, which IMDS is not known to do."""
    association: Association = Association.ATTACHED
    profile_named: bool = True
    """Whether ``iam/info`` names the profile without a role; no recording shows what IMDS does."""
    listing: Listing = Listing.ROLE
    has_document: bool = True
    """Whether there is a credentials document; False: 404."""
    code: str = "Success"
    """Its Code; empty: it has none."""
    message: str = ""
    """Its Message, which goes with an error Code; ``{role}`` is filled in."""
    missing: tuple[str, ...] = ()
    """Fields that it does not have."""
    blank: tuple[str, ...] = ()
    """Fields of it that are empty strings."""

    lifetime: timedelta = timedelta(hours=6, minutes=2)
    """Shortest lifetime of a set of credentials."""
    lifetime_spread: timedelta = timedelta(minutes=33)
    """By how much a set may live longer: 6 h 02 min to 6 h 35 min were measured (2015-2025)."""
    period: timedelta = timedelta(hours=1)
    """Time from one rotation to the next."""
    age: timedelta | None = None
    """Age of the set when the scenario is entered; such a set is never rotated, and the speed does not change its
    lifetime. None: the set is rotated every `period`."""
    rotates: bool = True
    """False: the set that is served when the scenario is entered is the last."""

    uptime: timedelta = timedelta(days=3)
    """Time since the start of the instance, when the scenario is entered."""
    imds_ahead: timedelta = timedelta(0)
    """IMDS's clock minus the local clock."""
    tags: tuple[tuple[str, str], ...] = ()
    """Instance tags in the metadata; empty: they are not enabled. ``{role}`` is filled in."""
    container_roles: bool = False
    """Whether ECS also serves the credentials of tasks, in namespaces of their own (``iam-ecs-…``, 2026)."""

    listening: bool = True
    """False: connections are refused."""
    enabled: bool = True
    """False: the endpoint is disabled, every response is 403."""
    tokens_required: bool = True
    """False: IMDSv1 gets responses, too."""
    hop_limit: int | None = None
    """HttpPutResponseHopLimit: the IP TTL of the answer to a token request. None: that of the kernel."""
    style: Style = Style.RECORDED
    trailing_newline: bool = False
    """Whether documents end with a newline; IMDS's do not."""
    network_faults: tuple[NetworkFault, ...] = ()


HEALTHY = Conditions()
"""An instance without a fault."""
