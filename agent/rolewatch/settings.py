"""The settings in force: values only. `config` reads them, everybody else is handed them.

The field names are the keys of ``rolewatch.toml``: ``settings.poll.interval`` is ``interval`` in ``[poll]``, and
``settings.metrics.tls.key_file`` is ``key_file`` in ``[metrics.tls]``.
Durations are seconds. The attribute docstrings are what ``rolewatch config show`` and the manual say.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImdsSettings:
    """``[imds]``: where IMDS is and how long to wait for it."""

    endpoint: str = ""
    """URL of IMDS. Empty: the well-known address of `endpoint_mode`. Only link-local and loopback addresses are
    accepted, unless `allow_any_endpoint` says otherwise."""
    endpoint_mode: str = "ipv4"
    """``ipv4`` (169.254.169.254) or ``ipv6`` (fd00:ec2::254)."""
    timeout: float = 2.0
    """Longest wait for a connection or for the next bytes of an answer."""
    attempts: int = 1
    """How often a request that gets no answer is tried before the poll counts as failed. The next poll is the better
    retry; a status is an answer."""
    deadline: float = 10.0
    """Longest time one whole poll may take, whatever IMDS does."""
    allow_any_endpoint: bool = False
    """Accept an endpoint that is neither link-local nor loopback. What is read there is a secret."""
    disabled: bool = False
    """Ask nothing, and say so. SDKs call it AWS_EC2_METADATA_DISABLED."""


@dataclass(frozen=True)
class PollSettings:
    """``[poll]``: how often IMDS is asked."""

    interval: float = 30.0
    """Time between two polls."""
    confirm_interval: float = 10.0
    """Time between two polls while a fault is being confirmed or cleared."""
    max_interval: float = 120.0
    """Longest time between two polls, however much IMDS throttles."""


@dataclass(frozen=True)
class ExpectSettings:
    """``[expect]``: which role and instance profile the instance should have."""

    role: tuple[str, ...] = ()
    """Role names that are right here; ``*``, ``?`` and ``[…]`` are wildcards. Empty: any role."""
    instance_profile: tuple[str, ...] = ()
    """Instance profile names that are right here, likewise."""
    role_tag: str = ""
    """Key of the instance tag that names the expected role, read through IMDS (needs instance metadata tags).
    `role` comes before it. Where there is no such tag, any role is right."""
    instance_profile_tag: str = ""
    """Key of the instance tag that names the expected instance profile, likewise."""


@dataclass(frozen=True)
class LimitSettings:
    """``[limits]``: when something is a fault."""

    boot_grace: float = 300.0
    """How long after launch or start the credentials may be missing without a fault."""
    clock_skew: float = 60.0
    """How far the local clock may be from that of IMDS."""
    reminder: float = 3600.0
    """How often a lasting fault is repeated in the journal."""


@dataclass(frozen=True)
class TlsSettings:
    """``[metrics.tls]``: TLS at the HTTP endpoint. The files are read at the start and at each reload."""

    cert_file: str = ""
    """PEM file with the certificate that the endpoint shows, and those between it and its CA. Empty: plain HTTP."""
    key_file: str = ""
    """PEM file with the private key of that certificate, without a passphrase."""
    client_ca_file: str = ""
    """PEM file with the CAs of the clients that may ask: whoever shows no certificate of theirs is turned away. Empty:
    whoever can connect may ask."""
    min_version: str = "tls12"
    """The oldest TLS that is spoken: ``tls12`` or ``tls13``."""

    def __bool__(self) -> bool:
        """Whether the endpoint speaks TLS."""
        return bool(self.cert_file)


@dataclass(frozen=True)
class MetricsSettings:
    """``[metrics]``: the HTTP endpoint. A socket handed in by systemd comes before `listen`."""

    listen: tuple[str, ...] = ("127.0.0.1:10169",)
    """Addresses to listen on: ``HOST:PORT``, ``[IPV6]:PORT``, or ``*:PORT`` for all. Empty: no HTTP endpoint."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names by which the page and ``/status.json`` may be asked for, besides IP addresses, ``localhost`` and the
    host's own names; ``*.DOMAIN`` is every name in a domain. Other names get 421, against DNS rebinding. Read at the
    start and at each reload."""
    role_info: bool = True
    """Whether the names of role and instance profile are exported as labels."""
    tls: TlsSettings = field(default_factory=TlsSettings)


@dataclass(frozen=True)
class TextfileSettings:
    """``[textfile]``: the metrics as a file for node_exporter, beside the port or instead of it."""

    path: str = ""
    """File that is written after each poll; node_exporter reads those that end in ``.prom``. Empty: none is written."""


@dataclass(frozen=True)
class LogSettings:
    """``[log]``: where events are told."""

    format: str = "auto"
    """``journal``, ``json``, ``console``, or ``auto``: the journal where stderr is connected to it, ``console`` on a
    terminal, ``json`` elsewhere."""
    level: str = "info"
    """The least important level that is told: ``error``, ``warning``, ``notice``, ``info`` or ``debug``."""


@dataclass(frozen=True)
class StateSettings:
    """``[state]``: what survives a restart."""

    directory: str = ""
    """Where the state file lies. Empty: ``$STATE_DIRECTORY``, as systemd sets it; without that nothing is kept."""


@dataclass(frozen=True)
class ConfirmSettings:
    """``[confirm]``: what rolewatch-confirm.service finds out from AWS, and when it is asked to."""

    file: str = "/run/rolewatch-confirm/result/evidence.json"
    """File in which a confirmation leaves its evidence (`rolewatch diagnose --output`). It need not be there. Empty:
    none is read."""
    request: str = ""
    """File that the daemon touches to ask for a confirmation. Empty: ``confirm`` in ``$RUNTIME_DIRECTORY``, as systemd
    sets it; without that it does not ask."""
    interval: float = 21600.0
    """How often a confirmation is made without being asked for. Evidence twice as old is not believed any more."""
    spread: float = 300.0
    """Longest wait from a fault to asking for a confirmation, so that a fleet that breaks at once spreads. Also the
    least time between two requests."""


@dataclass(frozen=True)
class Settings:
    """All settings."""

    imds: ImdsSettings = field(default_factory=ImdsSettings)
    poll: PollSettings = field(default_factory=PollSettings)
    expect: ExpectSettings = field(default_factory=ExpectSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    textfile: TextfileSettings = field(default_factory=TextfileSettings)
    log: LogSettings = field(default_factory=LogSettings)
    state: StateSettings = field(default_factory=StateSettings)
    confirm: ConfirmSettings = field(default_factory=ConfirmSettings)
