"""What the simulated instance is like: values that a scenario declares and `World` turns into documents.

`HEALTHY` is an instance with nothing wrong; every scenario is a change of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Association(Enum):
    """What EC2 knows of the instance profile; ``iam/info`` says it."""

    ATTACHED = "attached"
    DETACHED = "detached"
    """None is associated: the whole ``iam`` subtree is away."""
    NOT_FOUND = "not_found"
    """It was deleted: Code ``InstanceProfileNotFound``."""
    WITHOUT_ROLE = "without_role"
    """Its role was removed: Code ``Success``, and a Message that says so."""


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


class Harm(Enum):
    """What may happen to an answer on its way."""

    LATENCY = "latency"
    """It comes `Wire.seconds` late."""
    STATUS = "status"
    """`Wire.status` comes instead."""
    SILENCE = "silence"
    """Nothing comes, and the connection stays open."""
    RESET = "reset"
    """The connection is reset (RST)."""
    DRIP = "drip"
    """One byte comes every `Wire.seconds`."""
    TRUNCATED = "truncated"
    """Half of the body comes, then the connection is closed."""
    EMPTY = "empty"
    """200 without a body."""
    MALFORMED = "malformed"
    """The body is cut off after its last field, and Content-Length agrees: not JSON, and all secrets in it."""
    HTML = "html"
    """An HTML page with status 200."""
    NOT_HTTP = "not_http"
    """The body comes on one line, without a status line or headers before it."""
    INVALID_UTF8 = "invalid_utf8"
    """A byte that UTF-8 does not have stands in the body."""
    HUGE = "huge"
    """Ten megabytes follow the body."""
    REDIRECT = "redirect"
    """302 to a path that nobody may ask for."""
    GZIP = "gzip"
    """Content-Encoding: gzip, and a body that is not."""
    ENDLESS_HEADERS = "endless_headers"
    """Header after header, until the client hangs up."""


class Where(Enum):
    """Which requests a harm befalls."""

    ANY = "any"
    TOKEN = "token"  # noqa: S105 - the name of a request
    DOCUMENTS = "documents"
    """Everything but the token."""
    INFO = "info"
    LISTING = "listing"
    CREDENTIALS = "credentials"
    IDENTITY = "identity"


@dataclass(frozen=True)
class Wire:
    """One harm, and whom it befalls."""

    harm: Harm
    where: Where = Where.ANY
    seconds: float = 1.0
    """Of LATENCY and DRIP. Real seconds, whatever the speed."""
    status: int = 500
    """Of STATUS."""
    times: int | None = None
    """How often it happens after the scenario was entered; None: always."""


@dataclass(frozen=True)
class Conditions:
    """Everything in which one simulated instance may differ from another. The defaults are a healthy one."""

    instance_profile: str = "web-server"
    role: str = "web-server"
    second_role: str = ""
    """Listed and served besides the role, which IMDS is not known to do."""
    association: Association = Association.ATTACHED
    profile_named: bool = True
    """Whether ``iam/info`` names the profile without a role; whether the real one does is not on record."""
    listing: Listing = Listing.ROLE
    document: bool = True
    """Whether there is a credentials document; False: 404."""
    code: str = "Success"
    """Its Code; empty: it has none."""
    message: str = ""
    """Its Message, which goes with an error Code; ``{role}`` is filled in."""
    lacking: tuple[str, ...] = ()
    """Fields that are left out of it."""
    blank: tuple[str, ...] = ()
    """Fields of it that are empty strings."""

    life: timedelta = timedelta(hours=6, minutes=2)
    """Shortest life of a set of credentials."""
    life_spread: timedelta = timedelta(minutes=33)
    """By how much a set may live longer: 6 h 02 min to 6 h 35 min were measured (2015-2025)."""
    period: timedelta = timedelta(hours=1)
    """Time from one rotation to the next."""
    age: timedelta | None = None
    """How old the set is when the scenario is entered. It is never renewed then, and no speed makes it live shorter.
    None: it is rotated every `period`."""
    rotates: bool = True
    """False: the set that is served when the scenario is entered is the last."""

    up_for: timedelta = timedelta(days=3)
    """Time since the instance was started, when the scenario is entered."""
    imds_ahead: timedelta = timedelta(0)
    """IMDS's clock minus the local clock."""
    tags: tuple[tuple[str, str], ...] = ()
    """Instance tags in the metadata; empty: they are not enabled. ``{role}`` is filled in."""
    container_roles: bool = False
    """Whether ECS serves the credentials of tasks besides, in namespaces of their own (``iam-ecs-…``, 2026)."""

    listening: bool = True
    """False: connections are refused."""
    enabled: bool = True
    """False: the endpoint is disabled, everything is 403."""
    tokens_required: bool = True
    """False: IMDSv1 is answered, too."""
    style: Style = Style.RECORDED
    trailing_newline: bool = False
    """Whether documents end with a newline; IMDS's do not."""
    wire: tuple[Wire, ...] = ()


HEALTHY = Conditions()
"""Nothing is wrong."""
