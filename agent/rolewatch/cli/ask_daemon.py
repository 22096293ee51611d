"""Ask the running daemon for its last verdict, at its HTTP endpoint: for `status` and `check`.

The endpoint answers every user of this host already, and its document has no secret. What listens there may be another
program, which a user of this host started: only names and times are taken from the answer, never a sentence or a
command to paste.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from datetime import datetime

from rolewatch.aws_names import name
from rolewatch.errors import UnavailableError
from rolewatch.monitor.state_file import Fields
from rolewatch.publish.status import SCHEMA
from rolewatch.settings import MetricsSettings
from rolewatch.vocabulary import SEVERITIES, State

MAX_SIZE = 1 << 20
"""Bytes of an answer. All faults together make some hundred kB."""
_SEVERITIES = {severity.name.lower() for severity in SEVERITIES}


@dataclass(frozen=True)
class DaemonFault:
    """A fault that the daemon says is active. Another version of rolewatch may have others."""

    name: str
    severity: str
    since: datetime
    reason: str
    """Of its evidence; anything, or empty."""


@dataclass(frozen=True)
class DaemonStatus:
    """The daemon's last verdict, from its status document (docs/status.md)."""

    document: dict[str, object]
    """As it was served."""
    state: State
    since: datetime | None = None
    """When the state became this one. None, like `polled`, before the first poll has ended."""
    polled: datetime | None = None
    faults: tuple[DaemonFault, ...] = ()
    """The nearest cause first."""
    role: str | None = None
    instance_profile: str | None = None
    expiration: datetime | None = None
    confirmed: datetime | None = None


def ask(metrics: MetricsSettings, *, timeout: float = 5.0) -> DaemonStatus:
    """Return what the daemon answers at the first address of *metrics*; without any, at the one of rolewatch.socket.

    *timeout* is in seconds, for each step. Raise `UnavailableError`, whose text is why there is no answer.
    """
    address = (metrics.listen or MetricsSettings().listen)[0].replace("*", "127.0.0.1")
    if metrics.tls.client_ca_file:
        raise UnavailableError("it requires a client certificate: client_ca_file in [metrics.tls]")
    try:
        status, body = _get(address, tls=bool(metrics.tls), timeout=timeout)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnavailableError(f"{address}: {why}") from None
    try:
        return decode(body.decode())
    except (ValueError, RecursionError):
        message = f"{address}: what answers there is no rolewatch that this one knows (status {status})"
        raise UnavailableError(message) from None


def _get(address: str, *, tls: bool, timeout: float) -> tuple[int, bytes]:
    """Return status and body of the status document. Never use a proxy, and never redirect."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The certificate is for the names that scrapers use. No secret is sent, and the answer is not trusted.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(address, timeout=timeout, context=context)
    try:
        connection.request("GET", "/status.json")
        response = connection.getresponse()
        return response.status, response.read(MAX_SIZE)
    finally:
        connection.close()


def decode(text: str) -> DaemonStatus:
    """Return the verdict in *text*, a status document. Raise `ValueError` or `RecursionError` if it is none."""
    document = Fields.parse(text)
    document.number("schema", (SCHEMA, SCHEMA))
    members, state = dict(document.items()), State(document.text("state"))
    if "polled" not in members:
        return DaemonStatus(members, state)
    return DaemonStatus(
        members,
        state,
        since=document.time("state_since"),
        polled=document.time("polled"),
        faults=tuple(map(_fault, document.objects("faults"))),
        role=_name(document.optional_text("role")),
        instance_profile=_name(document.optional_text("instance_profile")),
        expiration=document.optional_time("expiration"),
        confirmed=document.optional_time("confirmed") if "confirmed" in members else None,
    )


def _fault(fault: Fields) -> DaemonFault:
    named, severity = fault.text("fault"), fault.text("severity")
    if not named.isidentifier() or severity not in _SEVERITIES:
        raise ValueError("not words of ours")
    reason = str(dict(fault.fields("evidence").items()).get("reason", ""))
    return DaemonFault(named, severity, fault.time("since"), reason)


def _name(text: str | None) -> str | None:
    """Return *text*, or None for null. Raise `ValueError` if it is not the name of a role or instance profile."""
    if text and name(text) is None:
        raise ValueError("not a name")
    return text
